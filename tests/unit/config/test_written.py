from __future__ import annotations

import json
from pathlib import Path

import pytest

from firstseen import config
from firstseen.config import AT_RELOAD, taken, written

KEY = 'shared_key = "swordfish"\n'


def read(folder: Path, text: str) -> config.Config:
    file = folder / "firstseen.toml"
    file.write_text(text)
    return config.load(file)


def different(before: config.Config, after: config.Config) -> set[str]:
    one, other = written(before), written(after)
    return {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}


def test_every_setting_is_there(tmp_path: Path) -> None:
    names = {each.name for each in config.settings() if each.section != "sources"}
    assert written(read(tmp_path, "")).keys() == names | {"sources"}
    assert names >= AT_RELOAD


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('[input]\nlisten = ["127.0.0.1:1"]\n', "input.listen"),
        (f"[input]\n{KEY}", "input.shared_key"),
        ('[output]\nservers = [{address = "a:1", entries = "v1"}]\n', "output.servers"),
        ("[output]\nconnections = 3\n", "output.connections"),
        ('[rules]\nlearning = {"*" = "2d"}\n', "rules.learning"),
        ("[rules]\nshadow = {a = 2027-01-31}\n", "rules.shadow"),
        ('[state]\nurl = "redis://:secret@127.0.0.1"\n', "state.url"),
        ('[sources]\n"a.*" = "ecs"\n', "sources"),
    ],
)
def test_what_is_different(tmp_path: Path, text: str, name: str) -> None:
    assert different(read(tmp_path, ""), read(tmp_path, text)) == {name}
    assert different(read(tmp_path, text), read(tmp_path, text)) == set()


def test_settings_in_tables_are_told_apart(tmp_path: Path) -> None:
    servers = '[output]\nservers = ["tls://127.0.0.1:1"]\n'
    assert different(read(tmp_path, servers), read(tmp_path, f"{servers}tls = {{verify = false}}\n")) == {
        "output.tls.verify"
    }
    users = f'[input]\n{KEY}users = [{{name = "a", password = "b"}}]\n'
    assert different(read(tmp_path, users), read(tmp_path, users.replace('"b"', '"c"'))) == {"input.users"}


def test_secrets_are_told_apart_and_not_told(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("swordfish")
    settings = f'[input]\n{KEY}[output]\nshared_key_file = "key"\n[state]\nurl = "redis://:swordfish@127.0.0.1"\n'
    before = read(tmp_path, settings)
    assert "swordfish" not in repr(written(before))
    (tmp_path / "key").write_text("another")
    after = read(tmp_path, settings.replace("swordfish", "sailfish"))
    assert different(before, after) == {"input.shared_key", "output.shared_key_file", "state.url"}


def test_what_a_reload_takes_and_what_it_leaves(tmp_path: Path) -> None:
    before = read(tmp_path, "")
    after = read(
        tmp_path,
        '[rules]\npaths = ["r"]\nexceptions = ["e"]\nlearning = {a = "1d"}\nshadow = {a = true}\n'
        '[state]\npath = "other"\nmap_size = "2MiB"\nlearning_period = "1h"\n'
        '[geoip]\ncity = "c"\nasn = "a"\ncopy = false\n'
        '[log]\nlevel = "debug"\nformat = "json"\n[output]\nconnections = 5\n',
    )
    plain = {name for name in AT_RELOAD if ".tls." not in name}
    assert different(before, after) == plain | {"state.path", "output.connections"}
    assert different(before, taken(before, after)) == plain


def secured(endpoints: str, name: str) -> str:
    """A configuration that speaks TLS everywhere, with files of this name."""
    server = f'tls = {{cert = "{name}", key = "{name}", client_ca = "{name}"}}\n'
    client = f'tls = {{ca = "{name}", cert = "{name}", key = "{name}", verify = {json.dumps(name == "a")}}}\n'
    return (
        f'[input]\nlisten = ["{endpoints}1"]\n{server}[output]\nservers = ["{endpoints}2"]\n{client}'
        f'[http]\nlisten = "{endpoints}3"\n{server}'
    )


def test_files_of_tls_are_taken_where_it_is_spoken_before_and_after(tmp_path: Path) -> None:
    plain = read(tmp_path, "")
    before, after = (read(tmp_path, secured("tls://127.0.0.1:", name)) for name in ("a", "b"))
    of_tls = {name for name in AT_RELOAD if ".tls." in name}
    assert different(before, taken(before, after)) == of_tls
    assert taken(plain, after) == plain
    assert taken(before, plain) == before
