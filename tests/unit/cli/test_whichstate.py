from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from firstseen.cli.whichstate import place_of, placed, reader_of, state_options
from firstseen.errors import ConfigError, StoreError
from firstseen.states import OnDisk, Place, Shared, edit
from firstseen.stateurl import StateUrl
from firstseen.store.redis.access import Access

URL = "redis://127.0.0.1:1/2"


def config(folder: Path, *state: str) -> Path:
    path = folder / "firstseen.toml"
    path.write_text("\n".join(["[state]", *state]))
    return path


@pytest.fixture
def on_disk(tmp_path: Path) -> Path:
    return config(tmp_path, 'path = "state"', 'map_size = "16MiB"')


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    return config(tmp_path, f'url = "{URL}"', 'prefix = "p:"', 'username = "ada"', 'password = "secret"')


def test_the_state_of_the_configuration(tmp_path: Path, on_disk: Path) -> None:
    assert place_of(on_disk, None, None) == OnDisk(tmp_path / "state", 16 << 20)


def test_the_shared_state_of_the_configuration_with_what_its_server_asks_for(shared: Path) -> None:
    assert place_of(shared, None, None) == Shared(StateUrl(URL), "p:", Access("ada", b"secret"))


def test_a_state_that_is_named_goes_before_the_configuration_s(on_disk: Path) -> None:
    assert place_of(on_disk, "other", None) == OnDisk(Path("other"), 16 << 20)
    assert place_of(None, "other", None) == OnDisk(Path("other"), None)
    assert place_of(on_disk, URL, None) == Shared(StateUrl(URL), "firstseen:")
    assert place_of(None, URL, "x:") == Shared(StateUrl(URL), "x:")


def test_a_password_goes_to_no_server_but_its_own(shared: Path) -> None:
    assert place_of(shared, "redis://127.0.0.2", None) == Shared(StateUrl("redis://127.0.0.2"))


def test_none_is_meant(shared: Path) -> None:
    assert place_of(None, None, None) is None


@pytest.mark.parametrize(
    ("state", "prefix", "says"),
    [
        ("http://127.0.0.1", None, "expected one of redis, "),
        (URL, "a b", "a prefix is 1 to 64 ASCII characters, got 'a b'"),
        ("folder", "p:", "a prefix is for a state at a URL"),
        (None, "p:", "in a configuration file it is state.prefix"),
    ],
)
def test_what_is_meant_cannot_be(shared: Path, state: str | None, prefix: str | None, says: str) -> None:
    with pytest.raises(click.UsageError, match=says):
        place_of(shared, state, prefix)


def invoke(*arguments: str | Path) -> tuple[Place | None, int]:
    """The place that a command is called with, and its exit code."""
    found: list[Place] = []

    @click.command()
    @placed
    @click.option("--more", default="")
    @click.pass_context
    def command(ctx: click.Context, place: Place, more: str) -> None:
        """What it does."""
        found.append(place)

    result = CliRunner().invoke(command, [*map(str, arguments)])
    return (found[0] if found else None), result.exit_code


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        (["--state", "there", "--more", "x"], OnDisk(Path("there"))),
        (["--state", URL, "--prefix", "x:"], Shared(StateUrl(URL), "x:")),
        ([], None),
    ],
)
def test_a_command_is_called_with_the_place(arguments: Sequence[str], place: Place | None) -> None:
    assert invoke(*arguments) == (place, 0 if place else 2)


def test_a_command_is_called_with_the_place_of_the_configuration(tmp_path: Path, on_disk: Path) -> None:
    assert invoke("-c", on_disk) == (OnDisk(tmp_path / "state", 16 << 20), 0)


def test_the_help_says_what_the_state_is_for() -> None:
    @click.command()
    @state_options("Ask this state")
    def command(state: str | None, prefix: str | None) -> None:
        """What it does."""

    said = " ".join(CliRunner().invoke(command, ["--help"]).stdout.split())

    assert "--state DIR|URL Ask this state: a directory, or redis://host:6379/0." in said


def test_a_state_that_is_named_has_to_be_there_and_an_agent_s_may_be_missing(tmp_path: Path, on_disk: Path) -> None:
    with reader_of(on_disk, None, None) as reader:
        assert reader is None
    with reader_of(None, None, None) as reader:
        assert reader is None
    missing = str(tmp_path / "state")
    with pytest.raises(StoreError, match="holds no state yet"), reader_of(on_disk, missing, None):
        pass

    with closing(edit(OnDisk(tmp_path / "state"))):
        pass
    for named in (None, missing):
        with reader_of(on_disk, named, None) as reader:
            assert reader is not None
            assert list(reader.rules()) == []


KEYED = ["[input]", 'shared_key = "${FIRSTSEEN_TEST_KEY}"']
UNSET = "the environment variable FIRSTSEEN_TEST_KEY is not set"


def test_a_variable_is_not_missed_where_it_says_nothing_of_the_state(tmp_path: Path) -> None:
    keyed = config(tmp_path, 'path = "state"', 'map_size = "16MiB"', *KEYED)
    assert place_of(keyed, None, None) == OnDisk(tmp_path / "state", 16 << 20)


@pytest.mark.parametrize("setting", ["path", "map_size", "learning_period"])
def test_a_variable_is_missed_where_it_says_what_the_state_is(tmp_path: Path, setting: str) -> None:
    keyed = config(tmp_path, f'{setting} = "${{FIRSTSEEN_TEST_KEY}}"', *KEYED)
    with pytest.raises(ConfigError, match=f"state.{setting}: {UNSET}") as caught:
        place_of(keyed, None, None)
    assert len(caught.value.problems) == 1


def test_a_password_is_missed_where_its_server_is_asked(tmp_path: Path) -> None:
    keyed = config(tmp_path, f'url = "{URL}"', 'username = "ada"', 'password = "${FIRSTSEEN_TEST_KEY}"')
    with pytest.raises(ConfigError, match=f"state.password: {UNSET}"):
        place_of(keyed, None, None)
    assert place_of(keyed, "other", None) == OnDisk(Path("other"), 1 << 30)


def test_a_state_is_not_touched_by_a_configuration_that_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"output\.max_frame"):
        place_of(config(tmp_path, 'path = "state"', "[output]", "max_frame = 1", *KEYED), None, None)
