import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from firstseen import config
from firstseen.config.manual import hint, section_meant

SHIPPED = Path(__file__).parents[3] / "conf/firstseen.toml"


def keys(table: dict[str, object], prefix: str = "") -> Iterator[str]:
    for key, value in table.items():
        if isinstance(value, dict) and value:
            yield from keys(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def test_the_shipped_file_is_the_sample():
    assert SHIPPED.read_text("utf-8") == config.sample()


def test_the_sample_says_what_holds_without_it(tmp_path):
    path = tmp_path / "firstseen.toml"
    path.write_text("", "utf-8")
    empty = config.load(path)
    path.write_text(config.sample(), "utf-8")
    assert config.load(path) == empty


def test_the_sample_lists_every_setting_once():
    listed = list(keys(tomllib.loads(config.sample())))
    assert listed == [setting.name.replace('"', "") for setting in config.settings()]


def test_the_sample_fits_a_screen():
    assert max(map(len, config.sample().splitlines())) <= 120


@pytest.mark.parametrize("setting", list(config.settings()), ids=lambda setting: setting.name)
def test_settings_are_documented(setting):
    assert setting.type
    assert setting.default
    assert setting.description.endswith(".")


def test_a_setting_as_documentation_shows_it():
    shown = {setting.name: setting for setting in config.settings()}
    assert shown["output.ack_timeout"][:4] == (
        "output",
        "ack_timeout",
        'a duration with its unit, such as "60s"',
        '"60s"',
    )
    assert shown["input.tls.client_ca"][:4] == ("input", "tls.client_ca", 'a path or ""', '""')
    assert shown['sources."*"'][2:4] == ('one of "auto", "cloudtrail", "ecs", "none"', '"auto"')


@pytest.mark.parametrize(
    ("key", "section", "what"),
    [
        ("max_frame", "output", "; did you mean output.max_frame?"),
        ("max_frame", "input", "; did you mean input.max_frame?"),
        ("cert", "input", "; did you mean input.tls.cert?"),
        ("on", "input", "; did you mean [one]?"),
        ("ack_timeot", "input", "; did you mean output.ack_timeout?"),
        ("xyzzy", "input", "; there is [one], [two]"),
    ],
)
def test_hints(key, section, what):
    assert hint(key, {"one": "[one]", "two": "[two]"}, section) == what


@pytest.mark.parametrize(("name", "section"), [("htpp", "http"), ("stat", "state"), ("xyzzy", None)])
def test_the_section_that_was_meant(name, section):
    assert section_meant(name) == section
