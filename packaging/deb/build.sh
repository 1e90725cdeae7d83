#!/bin/sh
# Builds the Debian package: the agent in a virtual environment of its own under /opt/firstseen, on the system's Python.
#
#   packaging/deb/build.sh PIP OUTPUT [VERSION]
#
# PIP is a pip that can install for another Python (22.3 or newer); OUTPUT is the directory for the package. The same sources
# and the same versions of what they depend on give the same package, byte for byte.
#
# Whoever builds it for others answers for it: DEBFULLNAME and DEBEMAIL, as Debian's own tools know them, name its maintainer.
set -eu

pip=$(realpath "$1")
output=$(realpath -m "$2")
here=$(dirname "$(realpath "$0")")
source=$(dirname "$(dirname "$here")")
python=/usr/bin/python3

version=${3:-$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' "$source/plugin/firstseen/__init__.py")}
maintainer="${DEBFULLNAME:-$(sed -n 's/^author = //p' "$source/setup.cfg")} <${DEBEMAIL:-developers@firstseen.invalid}>"
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$source" log -1 --format=%ct)}
export SOURCE_DATE_EPOCH
umask 022

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
venv=$root/opt/firstseen

# 1. The virtual environment. What names the place where it is built is taken out: the package is for another.
"$python" -m venv --without-pip "$venv"
"$pip" wheel --quiet --disable-pip-version-check --no-deps --wheel-dir "$work/wheels" "$source"
"$pip" --python "$venv/bin/python" install --quiet --disable-pip-version-check --no-compile --no-warn-script-location \
    --only-binary :all: --find-links "$work/wheels" \
    "firstseen[geoip,redis,user-agent]"
site=$(echo "$venv"/lib/python3.*/site-packages)
find "$venv/bin" -type f ! -name firstseen -delete
sed -i '1s|.*|#!/opt/firstseen/bin/python -I|' "$venv/bin/firstseen"
sed -i -e '/^command/d' "$venv/pyvenv.cfg"
rm -rf "$venv/include" "$venv/lib64"
find "$site" -name '*.py' -exec chmod a-x {} +
find "$site" -name direct_url.json -delete
sed -i -e '/direct_url\.json/d' -e '/\.\.\/bin\//d' "$site"/*.dist-info/RECORD
# Nobody but root may write there, so what is compiled is compiled now, and held by its content.
"$python" -m compileall -q -s "$root" -p / --invalidation-mode unchecked-hash "$site"

# 2. Configuration, rules, unit, documents.
install -D -m 644 "$source/conf/firstseen.toml" "$root/etc/firstseen/firstseen.toml"
install -d "$root/etc/firstseen/rules"
install -m 644 "$source"/rules/*.toml "$root/etc/firstseen/rules/"
install -D -m 644 "$here/default" "$root/etc/default/firstseen"
install -D -m 644 "$source/packaging/systemd/firstseen.service" "$root/usr/lib/systemd/system/firstseen.service"
install -d "$root/usr/bin"
ln -s /opt/firstseen/bin/firstseen "$root/usr/bin/firstseen"
documents=$root/usr/share/doc/firstseen
sh "$here/documents.sh" "$documents"
install -m 644 "$here/copyright" "$documents/copyright"
{
    printf 'firstseen (%s) stable; urgency=medium\n\n  * What has changed is in CHANGELOG.md.\n\n' "$version"
    printf ' -- %s  %s\n' "$maintainer" "$(date -uRd "@$SOURCE_DATE_EPOCH")"
} | gzip -9n > "$documents/changelog.gz"
PYTHONPATH=$site PYTHONDONTWRITEBYTECODE=1 "$python" "$source/packaging/man.py" "$root/usr/share/man/man1"
gzip -9n "$root"/usr/share/man/man1/*.1
complete() {
    install -d "$(dirname "$root/usr/share/$2")"
    PYTHONPATH=$site PYTHONDONTWRITEBYTECODE=1 "$python" -m firstseen completion "$1" > "$root/usr/share/$2"
}
complete bash bash-completion/completions/firstseen
complete zsh zsh/vendor-completions/_firstseen
complete fish fish/vendor_completions.d/firstseen.fish
install -D -m 644 "$here/lintian-overrides" "$root/usr/share/lintian/overrides/firstseen"
chmod -R u=rwX,go=rX "$root"

# 3. What the package is, and needs.
install -d "$root/DEBIAN" "$work/debian"
for script in postinst prerm postrm; do
    install -m 755 "$here/$script" "$root/DEBIAN/$script"
done
(cd "$root" && find etc -type f -printf '/%p\n' | LC_ALL=C sort > DEBIAN/conffiles)
(cd "$root" && find opt usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum > DEBIAN/md5sums)
printf 'Source: firstseen\n\nPackage: firstseen\nArchitecture: any\n' > "$work/debian/control"
find "$site" -name '*.so*' -type f > "$work/libraries"
libraries=$(cd "$work" && xargs dpkg-shlibdeps -O --warnings=0 < libraries | sed -n 's/^shlibs:Depends=//p')
minor=$("$python" -c 'import sys; print(sys.version_info.minor)')
sed -e "s|@VERSION@|$version|" \
    -e "s|@ARCHITECTURE@|$(dpkg --print-architecture)|" \
    -e "s|@MAINTAINER@|$maintainer|" \
    -e "s|@LIBRARIES@|$libraries|" \
    -e "s|@PYTHON@|python3 (>= 3.$minor), python3 (<< 3.$((minor + 1)))|" \
    -e "s|@SIZE@|$(du -sk --exclude DEBIAN "$root" | cut -f1)|" \
    "$here/control" > "$root/DEBIAN/control"

install -d "$output"
dpkg-deb --build --root-owner-group -Zxz "$root" "$output" > /dev/null
echo "$output/firstseen_${version}_$(dpkg --print-architecture).deb"
