import tomllib
from pathlib import Path

import pytest

from firstseen import config
from firstseen.errors import ConfigError
from firstseen.notation import Duration

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "conf/firstseen.toml"


def test_the_shipped_file_is_the_sample():
    assert SHIPPED.read_text("utf-8") == config.sample()


def test_the_sample_says_what_holds_without_it(tmp_path):
    path = tmp_path / "firstseen.toml"
    path.write_text("", "utf-8")
    empty = config.load(path)
    path.write_text(config.sample(), "utf-8")
    assert config.load(path) == empty


def test_the_sample_lists_every_setting_once():
    listed = [(section, key) for section, table in tomllib.loads(config.sample()).items() for key in table]
    assert listed == [(setting.section, setting.key) for setting in config.settings()]


def test_the_sample_fits_a_screen():
    assert max(map(len, config.sample().splitlines())) <= 120


def test_settings_are_documented():
    for setting in config.settings():
        assert setting.type
        assert setting.default
        assert setting.description.endswith("."), setting
    ack = next(setting for setting in config.settings() if setting.key == "ack_timeout")
    assert ack[:4] == ("output", "ack_timeout", 'a duration with its unit, such as "60s"', '"60s"')


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
    (tmp_path / "etc/firstseen.toml").write_text('[rules]\npaths = ["rules", "../up"]\n', "utf-8")
    monkeypatch.chdir(tmp_path)
    assert config.load(Path("etc/firstseen.toml")).rules.paths == (Path("etc/rules"), Path("etc/../up"))


def test_a_missing_file_says_what_to_do(tmp_path):
    path = tmp_path / "firstseen.toml"
    with pytest.raises(ConfigError) as caught:
        config.load(path)
    assert str(caught.value) == f"{path}: no such file: name the configuration with -c, or start from the sample"


def test_an_unreadable_file(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        config.load(tmp_path)
