import errno
import gzip
import os
import re
from pathlib import Path
from threading import Thread

import pytest

from firstseen.errors import InputError
from firstseen.eventfiles import read_events
from firstseen.eventfolders import event_files


def test_directories_are_walked_in_order_of_names(tmp_path: Path) -> None:
    for name in ("b/2.json.gz", "b/1.ndjson", "a.json", "LICENSE", "b/notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("{}")

    files = [Path(file).relative_to(tmp_path).as_posix() for file in event_files([str(tmp_path), "-"][:1])]

    assert files == ["a.json", "b/1.ndjson", "b/2.json.gz"]


@pytest.mark.parametrize("name", ["nowhere.json", f"{__file__}/below.json"])
def test_a_file_that_is_missing_is_an_error(name: str) -> None:
    with pytest.raises(InputError, match="no such file"):
        list(event_files([name]))


def test_a_file_whose_name_cannot_be_one_is_an_error() -> None:
    with pytest.raises(InputError, match=": File name too long"):
        list(event_files(["x" * 999]))


def test_a_link_that_leads_nowhere_is_given_for_its_reader_to_tell_of(tmp_path: Path) -> None:
    link = tmp_path / "events.json"
    for path in (link, tmp_path / "README", tmp_path / ".#events.json"):
        path.symlink_to(tmp_path / "nowhere")

    assert list(event_files([str(tmp_path)])) == [str(link)]
    with pytest.raises(InputError, match=re.escape(str(link))):
        list(read_events(str(link)))


def test_a_directory_that_cannot_be_read_is_given_for_its_reader_to_tell_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "b"
    closed.mkdir()
    for name in ("a.json", "c.json"):
        (tmp_path / name).write_text("{}")
    scandir = os.scandir

    def refused(path: str) -> object:
        if str(path) == str(closed):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)

    assert [Path(file).name for file in event_files([str(tmp_path)])] == ["a.json", "b", "c.json"]
    with pytest.raises(InputError, match=re.escape(str(closed))):
        list(read_events(str(closed)))


def test_a_named_pipe_is_read_where_it_is_named_and_left_alone_in_a_directory(tmp_path: Path) -> None:
    pipe = tmp_path / "events.json"
    os.mkfifo(pipe)

    assert list(event_files([str(tmp_path)])) == []
    (file,) = event_files([str(pipe)])
    writer = Thread(target=pipe.write_bytes, args=(gzip.compress(b'{"eventName":"A"}'),), daemon=True)
    writer.start()
    assert [event.raw for event in read_events(file)] == [b'{"eventName":"A"}']
    writer.join()


def test_links_to_directories_are_followed_and_every_directory_is_walked_once(tmp_path: Path) -> None:
    logs, disk = tmp_path / "logs", tmp_path / "disk"
    for name in ("logs/b/1.json", "disk/2.json", "disk/deep/3.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    (logs / "a").symlink_to("b")  # which has a path of its own
    (logs / "d").symlink_to(disk)
    (logs / "e").symlink_to(disk / "deep")
    (logs / "b" / "up").symlink_to("..")
    (disk / "deep" / "round").symlink_to(disk)
    (logs / "itself").symlink_to("itself")

    files = [Path(file).relative_to(logs).as_posix() for file in event_files([str(logs)])]

    assert files == ["b/1.json", "d/2.json", "d/deep/3.json"]


def test_a_link_that_is_named_is_walked(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "1.json").write_text("{}")
    (tmp_path / "link").symlink_to("logs")

    assert list(event_files([str(tmp_path / "link")])) == [str(tmp_path / "link" / "1.json")]
