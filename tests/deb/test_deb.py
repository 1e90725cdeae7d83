"""The Debian package in a Debian of its own: installed, run under its user, upgraded, removed, purged.

Run by `make test-deb`, which makes the package and the system that it is installed in: without them it is skipped.
"""

import json
import re
import shutil
import stat
import subprocess
import time
from pathlib import Path

import msgpack
import pytest

from firstseen.cli import COMMANDS
from support.machine import CONFIG, Machine
from support.peers import Sink, Source
from support.rulebook import call

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.deb

ENVIRONMENT = Path("etc/default/firstseen")

ADA, BOB = "arn:aws:iam::111122223333:user/ada", "arn:aws:iam::111122223333:user/bob"


@pytest.fixture(scope="module")
def next_package(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A later version, with another default configuration and another file of its environment."""
    folder = tmp_path_factory.mktemp("next")
    subprocess.run(["dpkg-deb", "-R", str(package), str(folder / "root")], check=True)
    control = folder / "root/DEBIAN/control"
    control.write_text(re.sub(r"^Version: .*$", r"\g<0>+next", control.read_text(), flags=re.MULTILINE))
    for name in (CONFIG, ENVIRONMENT):
        file = folder / "root" / name
        file.write_text(f"{file.read_text()}# of the next version\n")
    command = ["dpkg-deb", "--build", "--root-owner-group", "-Zgzip", "-z1", str(folder / "root"), str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    shutil.rmtree(folder / "root")
    (made,) = folder.glob("*.deb")
    return made


def configure(machine: Machine, sink: Sink) -> None:
    """What an operator changes, and ports that are free here."""
    file = machine.folder / CONFIG
    text = file.read_text()
    for old, new in (
        ('servers = ["127.0.0.1:24224"]', f'servers = ["{sink.address}"]'),
        ('listen = ["127.0.0.1:24225"]', 'listen = ["127.0.0.1:0"]'),
        ('listen = "127.0.0.1:24226"', 'listen = "127.0.0.1:0"'),
        ('format = "text"', 'format = "json"'),
    ):
        assert text.count(old) == 1
        text = text.replace(old, new)
    file.write_text(text)


def alerts(machine: Machine, sink: Sink, *calls: str) -> int:
    """How many alerts the agent raises that is started now, sent calls by these, and stopped."""
    before = sum("alerts" in entry.record for entry in sink.entries)
    with machine.agent() as agent, Source(agent.port) as client:
        records = [[1_790_000_000, call(arn, f"e-{number}")] for number, arn in enumerate(calls)]
        client.send(msgpack.packb(["aws", records, {"chunk": "c"}]))
        assert client.ack() == "c"
        agent.stop()
    return sum("alerts" in entry.record for entry in sink.entries) - before


def leftovers(machine: Machine) -> set[str]:
    """What is called firstseen in the system, but for dpkg's own books."""
    found = machine.run("find", "/", "-xdev", "-name", "*firstseen*", "-not", "-path", "/proc/*")
    return {line for line in found.splitlines() if not line.startswith("/var/lib/dpkg/")}


def test_a_life(machine: Machine, sink: Sink, package: Path, next_package: Path) -> None:
    machine.install(package)
    assert machine.owner("/var/lib/firstseen") == "firstseen:firstseen 700"
    assert machine.owner(f"/{CONFIG}") == "root:firstseen 640"
    assert machine.owner(f"/{ENVIRONMENT}") == "root:firstseen 640"
    assert machine.run("getent", "passwd", "firstseen").split(":")[5:] == ["/var/lib/firstseen", "/usr/sbin/nologin\n"]
    assert "14 of 14 rules run" in machine.run("firstseen", "validate", "-c", f"/{CONFIG}")

    configure(machine, sink)
    (machine.folder / "etc/firstseen/rules/aws_region_first_used.toml").unlink()
    assert alerts(machine, sink, ADA) == 1
    assert alerts(machine, sink, ADA, BOB) == 1

    machine.install(next_package)
    assert "# of the next version" not in (machine.folder / CONFIG).read_text()
    assert "# of the next version" in (machine.folder / ENVIRONMENT).read_text()
    assert not (machine.folder / "etc/firstseen/rules/aws_region_first_used.toml").exists()
    assert machine.owner(f"/{CONFIG}") == "root:firstseen 640"
    assert machine.owner(f"/{ENVIRONMENT}") == "root:firstseen 640"
    assert alerts(machine, sink, ADA, BOB) == 0

    machine.run("dpkg", "--remove", "firstseen")
    assert not (machine.folder / "usr/bin/firstseen").exists()
    assert not (machine.folder / "opt/firstseen").exists()
    assert (machine.folder / "var/lib/firstseen").is_dir()
    assert (machine.folder / CONFIG).exists()

    machine.install(package)
    assert alerts(machine, sink, ADA, BOB) == 0

    machine.run("dpkg", "--purge", "firstseen")
    assert leftovers(machine) == set()
    assert "firstseen" not in (machine.folder / "etc/passwd").read_text() + (machine.folder / "etc/group").read_text()


def test_the_agent_goes_on_with_what_root_has_filled_in(machine: Machine, sink: Sink, package: Path) -> None:
    machine.install(package)
    configure(machine, sink)
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    (machine.folder / "root/past.json").write_text(json.dumps(call(ADA, "e-0") | {"eventTime": now}))
    assert "1 new term" in machine.run("firstseen", "backfill", "-c", f"/{CONFIG}", "/root/past.json")
    assert alerts(machine, sink, ADA, BOB) == 1


def test_what_people_put_there_outlives_a_purge(machine: Machine, package: Path) -> None:
    machine.install(package)
    own = machine.folder / "etc/firstseen/rules/own.toml"
    own.write_text("")
    machine.run("dpkg", "--purge", "firstseen")
    assert own.exists()
    assert leftovers(machine) == {"/etc/firstseen"}


def test_the_scripts_may_run_as_often_as_one_likes(machine: Machine, package: Path) -> None:
    machine.install(package)
    machine.install(package)
    for _ in range(2):
        machine.run("/var/lib/dpkg/info/firstseen.postinst", "configure", "")
    for file in (CONFIG, ENVIRONMENT):
        machine.run("dpkg-statoverride", "--update", "--add", "root", "adm", "0644", f"/{file}")
        machine.run("/var/lib/dpkg/info/firstseen.postinst", "configure", "0.0.1")
        assert machine.owner(f"/{file}") == "root:adm 644"
    shutil.copy(machine.folder / "var/lib/dpkg/info/firstseen.postrm", machine.folder / "postrm")
    machine.run("dpkg", "--purge", "firstseen")
    for _ in range(2):
        machine.run("/postrm", "purge")
    for script in ("postrm",):
        machine.run(f"/{script}", "mistake", code=1)


def test_the_agent_s_user_may_change_none_of_it(machine: Machine, package: Path) -> None:
    machine.install(package)
    for path in [*(machine.folder / "opt").rglob("*"), *(machine.folder / "etc/firstseen").rglob("*")]:
        info = path.lstat()
        assert info.st_uid == 0, path
        assert path.is_symlink() or not info.st_mode & (stat.S_IWGRP | stat.S_IWOTH | stat.S_ISUID | stat.S_ISGID), path


def test_nothing_in_it_names_the_place_where_it_was_built(package: Path, tmp_path: Path) -> None:
    subprocess.run(["dpkg-deb", "-x", str(package), str(tmp_path)], check=True)
    named = [
        path.relative_to(tmp_path)
        for path in tmp_path.rglob("*")
        if path.is_file() and not path.is_symlink() and str(ROOT).encode() in path.read_bytes()
    ]
    assert named == []


@pytest.mark.skipif(shutil.which("lintian") is None, reason="there is no lintian on PATH")
def test_lintian_has_nothing_to_say(package: Path) -> None:
    done = subprocess.run(["lintian", "--allow-root", str(package)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.skipif(not Path("/lib/systemd/systemd").exists(), reason="there is no systemd")
def test_a_real_systemd_runs_the_unit(package: Path, tmp_path: Path) -> None:
    subprocess.run(["dpkg-deb", "-x", str(package), str(tmp_path)], check=True)
    done = subprocess.run(
        [str(Path(__file__).with_name("manager.sh")), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (done.returncode, done.stdout.splitlines()) == (
        0,
        [
            "started: 14 rules run active",
            "confined: CapBnd=0000000000000000 NoNewPrivs=1 Seccomp=2",
            "read-only",
            "alive",
            "reloaded: 14 rules run active",
            "started anew: 14 rules run active",
            "stopped: inactive success",
            "a wrong configuration is not started",
            "mended: 14 rules run active",
        ],
    ), done.stderr


def test_every_command_has_its_man_page_and_shells_complete_it(package: Path, tmp_path: Path) -> None:
    subprocess.run(["dpkg-deb", "-x", str(package), str(tmp_path)], check=True)
    share = tmp_path / "usr/share"
    pages = {path.name for path in (share / "man/man1").iterdir()}
    assert pages >= {"firstseen.1.gz", *(f"firstseen-{command}.1.gz" for command in COMMANDS)}
    for file, shell in [
        ("bash-completion/completions/firstseen", "bash"),
        ("zsh/vendor-completions/_firstseen", "zsh"),
        ("fish/vendor_completions.d/firstseen.fish", "fish"),
    ]:
        assert f"_FIRSTSEEN_COMPLETE={shell}_complete" in (share / file).read_text()
