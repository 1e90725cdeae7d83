"""The image's recipe: what it says. `make test-container` carries its steps out, `make check` has hadolint read it."""

import fnmatch
import re
from pathlib import Path

from support.dockerfile import instructions

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "packaging/container/Dockerfile"
STEPS = list(instructions(RECIPE.read_text()))
LAST = STEPS[max(number for number, (name, _) in enumerate(STEPS) if name == "FROM") :]
KEPT = [line[1:] for line in RECIPE.with_suffix(".dockerignore").read_text().splitlines() if line.startswith("!")]


def of(name: str) -> list[str]:
    return [rest for each, rest in LAST if each == name]


def test_it_does_not_run_as_root() -> None:
    (user,) = of("USER")
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user)
    assert LAST.index(("USER", user)) > max(number for number, (name, _) in enumerate(LAST) if name in ("COPY", "ENV"))


def test_nothing_is_installed_in_what_is_shipped() -> None:
    """And so there is no compiler, no package index's client at work, and no cache in it."""
    assert of("RUN") == []
    assert of("ADD") == []


def test_signals_reach_the_agent() -> None:
    (entrypoint,), (signal,) = of("ENTRYPOINT"), of("STOPSIGNAL")
    assert entrypoint == '["firstseen"]'
    assert signal == "SIGTERM"


def test_its_health_is_asked_without_a_shell_and_another_program() -> None:
    (check,) = of("HEALTHCHECK")
    assert check.endswith('CMD ["firstseen", "health", "-c", "/etc/firstseen/firstseen.toml"]')


def test_what_is_copied_is_there_and_not_left_out() -> None:
    for name, rest in STEPS:
        if name == "COPY" and "--from=" not in rest:
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists(), source
                assert any(source == kept or source.startswith(f"{kept}/") for kept in KEPT), source


def test_nothing_else_gets_into_the_build() -> None:
    copied = " ".join(rest for name, rest in STEPS if name == "COPY" and "--from=" not in rest).split()
    assert [kept for kept in KEPT if not fnmatch.filter(copied, kept)] == []
    assert RECIPE.with_suffix(".dockerignore").read_text().splitlines()[1] == "*"
