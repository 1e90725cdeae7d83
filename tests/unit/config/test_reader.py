from pathlib import Path

import pytest

from firstseen import config
from firstseen.config import SettingsError
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


def wrong(folder, text):
    """What `config.load` says of a file with this text in it."""
    path = folder / "firstseen.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(SettingsError) as caught:
        config.load(path, {})
    return caught.value


def names(problems):
    return [problem.what.partition(":")[0] for problem in problems]


def test_what_another_environment_would_not_have_is_told_apart(tmp_path):
    error = wrong(
        tmp_path,
        '[input]\nshared_key = "${KEY}"\nusers = [{name = "ada", password = "${PASSWORD}"}]\nmax_frame = "${"\n'
        '[output]\nmax_frame = 1\ntls = {cert = "${CERT}", key = "agent.key"}\n[rules]\nshadow = {a = "${DAY}"}\n',
    )
    assert names(sorted(error.unset, key=lambda problem: problem.line)) == [
        "input.shared_key",
        "input.users[0].password",
        "output.tls.cert",
        "rules.shadow.a",
    ]
    assert set(names(error.problems)) - set(names(error.unset)) == {"input.max_frame", "output.max_frame"}


def test_other_problems_beside(tmp_path):
    error = wrong(tmp_path, '[input]\nmax_frame = 1\nshared_key = "${KEY}"\n')
    own, other = Problem(str(tmp_path / "firstseen.toml"), 1, "first"), Problem("rule.toml", None, "other")
    both = error.beside([other, own])
    assert both.problems == (own, *error.problems, other)
    assert (both.rest, both.unset) == (error.rest, error.unset)


@pytest.mark.parametrize(
    ("text", "needed", "told"),
    [
        ('[input]\nshared_key = "${KEY}"\n[http]\nlisten = 5\n', ["http"], ["http.listen"]),
        ('[input]\nshared_key = "${KEY}"\n[http]\nlisten = 5\n', ["alerts"], []),
        ("[state]\npath = 5\n", ["state.path"], ["state.path"]),
        ("[state]\nmap_size = 5\n", ["state.path"], []),
        ("[state]\nmap_size = 5\n", ["state"], ["state.map_size"]),
        ("state = 5\n", ["state.path"], ["state"]),
        # What is unknown may have been meant for what is not there.
        ('[state]\npaths = "x"\n', ["state.path"], ["state.paths"]),
        ('[state]\npaths = "x"\npath = "y"\n', ["state.path"], []),
        ('[stat]\npath = "x"\n', ["state.path"], ["stat"]),
        ('[stat]\npath = "x"\n', ["state"], ["stat"]),
        ('[stat]\npath = "x"\n[state]\npath = "y"\n', ["state.path"], []),
        ('[stat]\npath = "x"\n', ["http"], []),
        ("[xyz]\n", ["http", "state", "state.path"], []),
        ("[output.tls]\nxyz = 1\n", ["output.servers"], []),
        # What is wrong between settings is so with the first of them.
        ('[input]\nlisten = ["127.0.0.1:1"]\n[http]\nlisten = "127.0.0.1:1"\n', ["http"], ["http.listen"]),
        ('[input]\nlisten = ["127.0.0.1:1"]\n[http]\nlisten = "127.0.0.1:1"\n', ["input"], []),
    ],
)
def test_what_is_wrong_with_a_part(tmp_path, text, needed, told):
    error = wrong(tmp_path, text)
    if told:
        with pytest.raises(ConfigError) as caught:
            error.part(needed, strict=False)
        assert names(caught.value.problems) == told
    else:
        assert error.part(needed, strict=False).path == tmp_path / "firstseen.toml"


def test_strictly_only_variables_are_passed_over(tmp_path):
    text = '[input]\nshared_key = "${KEY}"\n[state]\npath = "here"\n'
    part = wrong(tmp_path, text).part(["state"], strict=True)
    assert (part.state.path, part.rules) == (tmp_path / "here", config.Rules())
    with pytest.raises(ConfigError) as caught:
        wrong(tmp_path, f"{text}[output]\nmax_frame = 1\n").part(["state"], strict=True)
    assert names(caught.value.problems) == ["output.max_frame"]


def test_a_part_of_a_file(tmp_path):
    path = tmp_path / "firstseen.toml"
    path.write_text('[state]\npath = "here"\n', "utf-8")
    assert config.load_part(path, ["state"]) == config.load(path)
    path.write_text('[input]\nshared_key = "${KEY}"\n[state]\npath = "here"\n', "utf-8")
    assert config.load_part(path, ["state"], {}).state.path == tmp_path / "here"
    with pytest.raises(ConfigError, match="the environment variable KEY is not set"):
        config.load_part(path, ["input"], {})
    path.write_text("[state\n", "utf-8")
    with pytest.raises(ConfigError):
        config.load_part(path, ["http"], strict=False)
