"""``docs/backups.md``: what it says to do, done, with agents that run, and a Redis where there is one."""

import gzip
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from firstseen import shelf
from firstseen.store import disk
from support.agent import write_config
from support.pages import ROOT, Reader, blocks, section
from support.redis import SERVER, RedisServer
from support.rulebook import call

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

PAGE = (ROOT / "docs/backups.md").read_text()
SHARED = "## To another machine, to a shared state, and back"

SYSTEMCTL = """
systemctl() {
    case $1 in
        start)
            : > agent.log  # here: the agent that begins below may not have come to it yet
            firstseen run -c firstseen.toml 2>> agent.log & agent=$!
            until grep -q '"ready"' agent.log; do sleep 0.1; done ;;
        stop)
            if kill $agent 2> /dev/null; then wait $agent; fi ;;
    esac
}
"""


class Desk(Reader):
    """Where the page is read: an agent on this machine, that has seen some, and has been started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        super().__init__(folder, apart=False)
        self.run(SYSTEMCTL)
        self.fill("ada", "bob")
        self.run("systemctl start")

    def do(self, block: str) -> str:
        """What the page says, with the places of this test."""
        here = block.replace("/etc/firstseen/firstseen.toml", "firstseen.toml").replace("/var/lib/firstseen", "state")
        assert "/etc" not in here
        return self.run(here)

    def fill(self, *names: str) -> None:
        events = [call(f"arn:aws:iam::111122223333:user/{name}", f"e-{name}") | {"eventTime": "$now"} for name in names]
        (self.folder / "past.json").write_text("".join(json.dumps(event) + "\n" for event in events))
        self.run('sed -i "s/\\$now/$(date -u +%FT%TZ)/" past.json; firstseen backfill -c firstseen.toml past.json')

    def known(self, state: str = "-c firstseen.toml") -> set[str]:
        """Who is known there."""
        return set(re.findall(r'user/(\w+)"', self.run(f"firstseen state export {state}")))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_config(tmp_path / "firstseen.toml", downstream="127.0.0.1:1", state=tmp_path / "state")


@pytest.fixture
def desk(config: Path) -> Iterator[Desk]:
    with Desk(config.parent) as made:
        yield made


def test_every_file_of_a_state_is_told_of(desk: Desk) -> None:
    table = section(PAGE, "## What to keep").replace("/var/lib/firstseen/", "")
    found = {str(path.relative_to(desk.folder / "state")) for path in (desk.folder / "state").rglob("*")}
    later = {shelf.NAME, f"{shelf.NAME}.new"}  # where the agent has been ready for a moment

    assert sorted(found - later) == ["control", "lmdb", "lmdb/data.mdb", "lmdb/lock.mdb", "lock"]
    assert [name for name in found | later if f"`{name}`" not in table and name != disk.DATA] == []
    assert all(f"`{name}`" in table for name in (disk.NEW, disk.OLD))


def test_a_backup_and_what_is_copied(desk: Desk) -> None:
    backup, copy = blocks(section(PAGE, "## A backup, while it runs"))

    desk.do(backup)
    assert gzip.decompress((desk.folder / "state.ndjson.gz").read_bytes()).count(b'"terms"') == 2

    desk.do(copy)
    assert desk.known("--state state.copy") == {"ada", "bob"}


def test_half_a_backup_does_not_take_the_place_of_a_whole_one(desk: Desk) -> None:
    backup, _ = blocks(section(PAGE, "## A backup, while it runs"))
    desk.do(backup)
    before = (desk.folder / "state.ndjson.gz").read_bytes()
    desk.run("systemctl stop")
    (desk.folder / "state/lmdb/data.mdb").write_bytes(b"")

    desk.do(f"({backup}) || echo it failed")

    assert "it failed" in desk.lines
    assert (desk.folder / "state.ndjson.gz").read_bytes() == before


def test_it_is_brought_back(desk: Desk) -> None:
    backup, _ = blocks(section(PAGE, "## A backup, while it runs"))
    (back,) = blocks(section(PAGE, "## Bringing it back"))
    desk.do(backup)
    desk.run("systemctl stop")
    with (desk.folder / "state/lmdb/data.mdb").open("r+b") as file:
        file.truncate(5_000)

    desk.do(back)
    assert desk.known() == {"ada", "bob"}

    desk.run("systemctl stop")
    desk.fill("eve")
    desk.run("systemctl start")
    desk.do(re.sub(r"^mv .*\n", "", back, flags=re.MULTILINE))
    assert desk.known() == {"ada", "bob", "eve"}


def test_the_way_back_from_a_later_version(desk: Desk) -> None:
    _, away, back = blocks(section(PAGE, "## Upgrades"))
    schemas = re.findall(r"^\| (\d) \| ", PAGE, re.MULTILINE)

    desk.do(away)
    assert not disk.is_there(desk.folder / "state")
    desk.do(back)

    assert desk.known() == {"ada", "bob"}
    assert schemas == [str(number) for number in range(1, int(disk.SCHEMA) + 1)]


@pytest.mark.redis
@pytest.mark.skipif(SERVER is None, reason="needs a redis-server or a valkey-server on PATH")
def test_to_a_shared_state_and_back(desk: Desk, tmp_path: Path) -> None:
    there, back = blocks(section(PAGE, SHARED))
    (tmp_path / "redis").mkdir()
    with RedisServer(tmp_path / "redis") as server:
        text = (desk.folder / "firstseen.toml").read_text()
        text = text.replace(str(desk.folder / "state"), str(desk.folder / "fleet"))
        (desk.folder / "fleet.toml").write_text(
            text.replace("[state]\n", f'[state]\nurl = "redis://127.0.0.1:{server.port}/0"\n')
        )

        for _ in range(2):
            desk.do(there)
            assert desk.known("-c fleet.toml") == {"ada", "bob"}

        desk.run("systemctl stop")
        desk.run("mv state state.before; systemctl start")
        assert desk.known() == set()
        desk.do(back)
        assert desk.known() == {"ada", "bob"}


def test_a_second_agent_does_not_start(desk: Desk) -> None:
    said = desk.run("firstseen run -c firstseen.toml 2>&1 || echo it ended with $?")

    assert "it ended with 1" in said
    assert f"is in use by process {desk.run('echo $agent').split()[-1]}" in said


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give something away")
def test_what_root_makes_gets_the_owner_of_the_directory(desk: Desk) -> None:
    desk.run("systemctl stop; chown -R 65534:65534 state; mv state/lmdb lmdb.away; rm state/lock")
    desk.fill("ada")

    assert {path.stat().st_uid for path in (desk.folder / "state").rglob("*")} == {65_534}
