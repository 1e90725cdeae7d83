#!/bin/sh
# Has a systemd of its own run the unit of the unpacked package $1, with all that it forbids, and prints what became of it.
#
# It is the manager of a user's services, which is root's, in a mount namespace where /run and /opt are empty but for what is
# put there: whether this machine was booted with systemd does not matter. Only the user, the paths, and two times are others.
set -eu

[ "${2-}" = inside ] || exec unshare --mount --propagation private "$0" "$1" inside

mount -t tmpfs tmpfs /run
mount -t tmpfs -o mode=755 tmpfs /opt
mkdir -p /run/systemd/system /run/systemd/inaccessible/dir /run/own /run/cfg/systemd/user
touch /run/systemd/inaccessible/reg
mknod /run/systemd/inaccessible/chr c 0 0
mkfifo /run/systemd/inaccessible/fifo
chmod 700 /run/own
cp -a "$1/opt/firstseen" /opt/
cp -a "$1/etc/firstseen" /opt/firstseen/etc
sed -e 's|"/etc/firstseen/rules"|"/opt/firstseen/etc/rules"|' -e 's|"/var/lib/firstseen"|"/run/cfg/firstseen"|' \
    -e 's|"127.0.0.1:24225"|"unix:/run/own/firstseen/forward"|' -e 's|"127.0.0.1:24226"|"unix:/run/own/firstseen/http"|' \
    /opt/firstseen/etc/firstseen.toml > /opt/firstseen/test.toml
sed -e '/^User=/d' -e '/^Group=/d' -e 's|/usr/bin/firstseen|/opt/firstseen/bin/firstseen|' \
    -e 's|/etc/firstseen/firstseen.toml|/opt/firstseen/test.toml|' -e 's|^WatchdogSec=.*|WatchdogSec=3s|' \
    -e 's|^RestartSec=.*|RestartSec=1s|' "$1/usr/lib/systemd/system/firstseen.service" > /run/cfg/systemd/user/firstseen.service

export XDG_RUNTIME_DIR=/run/own XDG_CONFIG_HOME=/run/cfg
/lib/systemd/systemd --user < /dev/null > /run/manager.log 2>&1 &
manager=$!
trap 'kill $manager; wait $manager || true' EXIT
tries=0
until systemctl --user is-system-running > /dev/null 2>&1; do
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || { cat /run/manager.log; exit 1; }
    sleep 0.2
done

show() {
    echo "$1: $(systemctl --user show --value -p "$2" firstseen.service | sort | paste -sd ' ')"
}

systemctl --user start firstseen.service
show started "ActiveState,StatusText"
main=$(systemctl --user show -p MainPID --value firstseen.service)
echo "confined: $(sed -n 's/^\(CapBnd\|NoNewPrivs\|Seccomp\):\t/\1=/p' "/proc/$main/status" | paste -sd ' ')"
nsenter -t "$main" -m sh -c 'touch /opt/x /etc/x /usr/x 2> /dev/null && echo writable || echo read-only; ls -A /root /home | grep -v : | grep . || true'
/opt/firstseen/bin/firstseen health --live -c /opt/firstseen/test.toml
systemctl --user reload firstseen.service
show reloaded "ActiveState,StatusText"

kill -STOP "$main" # as if its loop was stuck
tries=0
until [ "$(systemctl --user show -p NRestarts --value firstseen.service)" = 1 ] \
    && systemctl --user is-active --quiet firstseen.service; do
    tries=$((tries + 1))
    [ "$tries" -lt 300 ] || { show "not started anew" "ActiveState,NRestarts"; exit 1; }
    sleep 0.2
done
show "started anew" "ActiveState,StatusText"
systemctl --user stop firstseen.service
show stopped "ActiveState,Result"

sed -i 's/^\[rules\]/[ruless]/' /opt/firstseen/test.toml
systemctl --user start firstseen.service 2> /dev/null || echo "a wrong configuration is not started"
sed -i 's/^\[ruless\]/[rules]/' /opt/firstseen/test.toml
tries=0
until systemctl --user is-active --quiet firstseen.service; do
    tries=$((tries + 1))
    [ "$tries" -lt 300 ] || { show "not mended" "ActiveState"; exit 1; }
    sleep 0.2
done
show mended "ActiveState,StatusText"
systemctl --user stop firstseen.service
