from __future__ import annotations

import hashlib
import logging
import os
import re
import resource
import signal
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from firstseen import shelf as module
from firstseen import toml
from firstseen.rules.loader import Known, load_rules
from firstseen.rules.ruleset import RuleSet
from firstseen.shelf import Shelf
from support.logged import events
from support.rulebook import rule_text
from support.rulefiles import BASES

EXCEPTIONS = '[[exception]]\nname = "x"\nquery = "user.name: ada"\n'


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """A folder with a rule of each type, and one that does not run."""
    folder = tmp_path / "rules"
    folder.mkdir()
    texts = BASES | {"off": BASES["query"].replace("[rule]", "[rule]\nenabled = false")}
    for name, text in texts.items():
        (folder / f"{name}.toml").write_text(named(text, name))
    return folder


def named(text: str, rule_id: str) -> str:
    return re.sub(r'rule_id = "[^"]*"', lambda _: f'rule_id = "{rule_id}"', text)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "new" / "state"


def loaded(folder: Path, known: Known, monkeypatch: pytest.MonkeyPatch, **more: object) -> tuple[RuleSet, list[str]]:
    """The rules in the folder, and the names of the files that had to be read for them."""
    read: list[str] = []
    with monkeypatch.context() as patched:

        def watched(raw: bytes, file: str) -> toml.Document:
            if Path(file).parent == folder:
                read.append(Path(file).name)
            return parse(raw, file)

        parse = toml.parse

        patched.setattr("firstseen.rules.loader.toml.parse", watched)
        return load_rules([folder], known=known, **more), read  # type: ignore[arg-type]


def put(folder: Path, state: Path) -> RuleSet:
    shelf = Shelf(state)
    known = shelf.known()
    found = load_rules([folder], known=known)
    shelf.keep(known)
    return found


def told(rules: RuleSet) -> object:
    """All that a rule set says, as builtins."""
    return [(msgspec.to_builtins(each), repr(each.node)) for each in rules.rules], rules.reports, rules.exceptions


def test_the_next_start_reads_no_file_that_is_the_same(
    rules: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = put(rules, state)
    again, read = loaded(rules, Shelf(state).known(), monkeypatch)
    assert read == []
    assert told(again) == told(first)
    assert told(again) == told(load_rules([rules]))


def test_what_changed_is_read_and_what_is_gone_is_gone(
    rules: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(rules, state)
    (rules / "query.toml").write_text(named(BASES["query"], "query").replace("CreateUser", "DeleteUser"))
    (rules / "threshold.toml").unlink()
    (rules / "off.toml").rename(rules / "of.toml")
    again, read = loaded(rules, Shelf(state).known(), monkeypatch)
    assert sorted(read) == ["of.toml", "query.toml"]
    assert told(again) == told(load_rules([rules]))
    put(rules, state)
    assert loaded(rules, Shelf(state).known(), monkeypatch)[1] == []


def test_exceptions_are_not_on_it(rules: Path, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exceptions = tmp_path / "exceptions.toml"
    exceptions.write_text(EXCEPTIONS)
    shelf = Shelf(state)
    known = shelf.known()
    load_rules([rules], [exceptions], known=known)
    shelf.keep(known)
    exceptions.write_text(EXCEPTIONS.replace("ada", "bob"))
    for paths in ([exceptions], []):
        again, read = loaded(rules, Shelf(state).known(), monkeypatch, exception_paths=paths)
        assert read == []
        assert told(again) == told(load_rules([rules], paths))


@pytest.mark.parametrize("what", ["cut", "flipped", "longer", "empty", "a folder", "of another program", "a pipe"])
def test_what_it_did_not_put_there_counts_for_nothing(
    rules: Path, state: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    first = put(rules, state)
    file = state / module.NAME
    content = file.read_bytes()
    match what:
        case "cut":
            file.write_bytes(content[: len(content) // 2])
        case "flipped":
            at = content.index(b"CreateUser")
            file.write_bytes(content[:at] + b"B" + content[at + 1 :])
        case "longer":
            file.write_bytes(content + b"\0")
        case "empty":
            file.write_bytes(b"")
        case "of another program":
            monkeypatch.setattr(module.program, "loaded", lambda: b"another".ljust(32))
        case "a folder":
            file.unlink()
            file.mkdir()
        case _:
            file.unlink()
            os.mkfifo(file)
    again, read = loaded(rules, Shelf(state).known(), monkeypatch)
    assert len(read) == len(BASES) + 1
    assert told(again) == told(first)


DEEP = 5_000 * b"\x93\xa3Not" + b"\xc0"


@pytest.mark.parametrize(
    "content",
    [b"\0\0\0\1\xc0", b"\0\0\0\2\xc0", b"\0\0\0", b"\0\0\0\0", len(DEEP).to_bytes(4) + DEEP],
    ids=["nil", "short", "cut", "empty", "deep"],
)
def test_what_is_no_reading_counts_for_nothing(
    rules: Path, state: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    put(rules, state)
    (state / module.NAME).write_bytes((module.program.loaded() or b"") + hashlib.sha256(content).digest() + content)
    assert len(loaded(rules, Shelf(state).known(), monkeypatch)[1]) == len(BASES) + 1


@pytest.mark.parametrize("what", ["of another program", "damaged", "no file"])
def test_why_nothing_is_known_is_told_to_whoever_asks(
    state: Path, rules: Path, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    caplog.set_level(logging.DEBUG)
    if what != "no file":
        put(rules, state)
        content = (state / module.NAME).read_bytes()
        (state / module.NAME).write_bytes(b"x" + content[1:] if what == "of another program" else content + b"x")
    Shelf(state).known()
    told = [each["reason"] for each in events(caplog, "rules_not_known")]
    assert (
        told
        == {
            "of another program": ["another version of firstseen put it there"],
            "damaged": ["it is damaged"],
            "no file": [],
        }[what]
    )


def test_nothing_is_kept_by_a_program_whose_sources_are_others_by_now(
    rules: Path, state: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(module.program, "digest", lambda: b"another")
        put(rules, state)
    assert not state.exists()
    with monkeypatch.context() as patched:
        patched.setattr(module.program, "loaded", lambda: None)
        put(rules, state)
    assert not state.exists()
    assert events(caplog, "rules_not_kept") == []


def test_the_last_of_a_disk_is_left_to_the_state(
    rules: Path, state: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(module.os, "statvfs", lambda _: SimpleNamespace(f_bavail=100, f_frsize=1_000))
        put(rules, state)
    assert "100000 bytes that are left" in events(caplog, "rules_not_kept")[0]["reason"]
    assert list(state.iterdir()) == []


@pytest.mark.parametrize("what", ["a pipe", "a link", "a rest"])
def test_what_has_the_name_of_what_is_being_written_makes_room(
    rules: Path, state: Path, tmp_path: Path, what: str
) -> None:
    state.mkdir(parents=True)
    new = state / f"{module.NAME}.new"
    (tmp_path / "elsewhere").write_text("kept")
    match what:
        case "a pipe":
            os.mkfifo(new)
        case "a link":
            new.symlink_to(tmp_path / "elsewhere")
        case _:
            new.write_bytes(b"x" * 100_000)
    shelf = Shelf(state)
    known = shelf.known()
    assert new.is_symlink() or new.exists(), "validate looks too, while an agent writes"
    load_rules([rules], known=known)
    shelf.keep(known)
    assert [path.name for path in state.iterdir()] == [module.NAME]
    assert (tmp_path / "elsewhere").read_text() == "kept"
    new.write_bytes(b"x")
    shelf.keep(known)
    assert not new.exists(), "also where there is no more to keep"


def test_what_is_far_too_large_is_not_read(
    state: Path, rules: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    put(rules, state)
    os.truncate(state / module.NAME, 10 << 30)
    assert len(loaded(rules, Shelf(state).known(), monkeypatch)[1]) == len(BASES) + 1
    assert "larger than 64 MiB" in events(caplog, "rules_not_known")[0]["reason"]


def test_it_is_written_where_something_changed(rules: Path, state: Path) -> None:
    put(rules, state)
    before = (state / module.NAME).stat()
    put(rules, state)
    assert (state / module.NAME).stat().st_ino == before.st_ino
    assert before.st_mode & 0o777 == 0o600
    shelf = Shelf(state)
    known = shelf.known()
    (rules / "of.toml").write_text(named(BASES["query"], "of"))
    load_rules([rules], known=known)
    shelf.keep(known)
    kept = (state / module.NAME).stat().st_ino
    shelf.keep(known)
    assert (state / module.NAME).stat().st_ino == kept != before.st_ino
    (rules / "of.toml").unlink()
    (rules / "off.toml").unlink()
    put(rules, state)
    assert (state / module.NAME).stat().st_size < before.st_size
    assert sorted(path.name for path in state.iterdir()) == [module.NAME]


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give something away")
def test_what_root_puts_there_belongs_to_whom_the_state_does(rules: Path, state: Path) -> None:
    state.mkdir(parents=True)
    os.chown(state, 65_534, 65_534)
    put(rules, state)
    found = (state / module.NAME).stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (65_534, 65_534, 0o600)


def test_where_it_cannot_be_put_the_old_one_stays(rules: Path, state: Path, caplog: pytest.LogCaptureFixture) -> None:
    put(rules, state)
    content = (state / module.NAME).read_bytes()
    (rules / "off.toml").unlink()
    (state / f"{module.NAME}.new").mkdir()
    put(rules, state)
    assert "rules.kept.new" in events(caplog, "rules_not_kept")[0]["reason"]
    assert (state / module.NAME).read_bytes() == content
    (state / f"{module.NAME}.new").rmdir()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, limit[1]))
    try:
        put(rules, state)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    assert [path.name for path in state.iterdir()] == [module.NAME], "nothing of it stays on a disk that is full"
    assert (state / module.NAME).read_bytes() == content
    put(rules, state)
    assert (state / module.NAME).read_bytes() != content


def test_what_cannot_be_written_down_is_read_every_time(
    rules: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (rules / "half.toml").write_text(named(rule_text("event.action: \\ud83d", ["user.name"]), "half"))
    (rules / "long.toml").write_text(
        named(rule_text(look_back=f"now-{10**11}w"), "long").replace("now-10d", "now-999999999999w")
    )
    put(rules, state)
    kept = (state / module.NAME).stat().st_ino
    again, read = loaded(rules, Shelf(state).known(), monkeypatch)
    assert sorted(read) == ["half.toml", "long.toml"]
    put(rules, state)
    assert (state / module.NAME).stat().st_ino == kept, "there is no more to keep"
    assert told(again) == told(load_rules([rules]))
