from pathlib import Path

import pytest

from firstseen import config
from firstseen.errors import ConfigError, Problem
from firstseen.notation import Duration


def test_values_are_frozen(tmp_path):
    path = tmp_path / "firstseen.toml"
    path.write_text('[output]\nack_timeout = "2s"\n', "utf-8")
    read = config.load(path)
    assert read.path == path
    assert read.output.ack_timeout == Duration("2s")
    with pytest.raises(AttributeError):
        read.output.ack_timeout = Duration("3s")
    with pytest.raises(AttributeError):
        read.output = config.Output()


def test_the_environment_is_the_process_s_own(tmp_path, monkeypatch):
    path = tmp_path / "firstseen.toml"
    path.write_text('[alerts]\nkey = "${FIRSTSEEN_TEST_KEY}"\n', "utf-8")
    monkeypatch.setenv("FIRSTSEEN_TEST_KEY", "found")
    assert config.load(path).alerts.key == "found"


def test_relative_paths_start_at_the_file(tmp_path, monkeypatch):
    (tmp_path / "etc").mkdir()
    text = '[input]\nlisten = ["unix:run/a.sock"]\nquarantine = "bad"\n[rules]\npaths = ["rules", "../up"]\n'
    (tmp_path / "etc/firstseen.toml").write_text(text, "utf-8")
    monkeypatch.chdir(tmp_path)
    read = config.load(Path("etc/firstseen.toml"))
    assert read.rules.paths == (Path("etc/rules"), Path("etc/../up"))
    assert read.input.quarantine == Path("etc/bad")
    assert read.input.listen[0].path == Path("etc/run/a.sock")


def test_secrets_are_read_and_never_shown(tmp_path):
    path = tmp_path / "firstseen.toml"
    (tmp_path / "key").write_bytes(b"in-s3cret\n")
    path.write_text(
        '[input]\nshared_key_file = "key"\nusers = [{name = "alice", password = "alice-s3cret"}]\n'
        '[output]\nshared_key = "${KEY}"\nusername = "bob"\npassword = "bob-s3cret"\n',
        "utf-8",
    )
    read = config.load(path, {"KEY": "out-s3cret"})
    assert (read.input.key, read.output.key, read.output.secret) == (b"in-s3cret", b"out-s3cret", b"bob-s3cret")
    assert dict(read.input.passwords) == {"alice": b"alice-s3cret"}
    assert "s3cret" not in f"{read} {read!r}"


def test_a_missing_file_says_what_to_do(tmp_path):
    path = tmp_path / "firstseen.toml"
    with pytest.raises(ConfigError) as caught:
        config.load(path)
    advice = "check the path that was given with -c, or put a copy of the sample there"
    assert str(caught.value) == f"{path}: no such file: {advice}"


def test_an_unreadable_file(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        config.load(tmp_path)


def test_what_is_found_out_later_has_its_line(tmp_path):
    path = tmp_path / "firstseen.toml"
    path.write_text("[input]\n\n[output]\ntls.verify = true\n")
    read = config.load(path)
    assert config.located(read, "output.tls.verify", "no") == Problem(str(path), 4, "output.tls.verify: no")
    assert config.located(read, "input.tls.cert", "no") == Problem(str(path), 1, "input.tls.cert: no")
    path.unlink()
    assert config.located(read, "input.tls.cert", "no") == Problem(str(path), None, "input.tls.cert: no")
