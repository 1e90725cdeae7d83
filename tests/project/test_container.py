"""The image's recipe: what it says. `make test-container` carries its steps out, `make check` has hadolint read it."""

import fnmatch
import re
import subprocess
from pathlib import Path

import firstseen
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


def test_it_is_labelled_with_what_the_build_is_told() -> None:
    """An argument is known only in the stage that asks for it, from there on."""
    for label, argument in (("version", "VERSION"), ("revision", "REVISION")):
        (asked,) = (number for number, step in enumerate(LAST) if step == ("ARG", f"{argument}="))
        (told,) = (number for number, (_, rest) in enumerate(LAST) if f'image.{label}="${{{argument}}}"' in rest)
        assert LAST[told][0] == "LABEL"
        assert asked < told
        assert max(number for number, (name, _) in enumerate(LAST) if name == "COPY") < asked


def test_the_command_that_builds_it_is_documented_as_it_stands_in_the_recipe() -> None:
    recipe = "".join(line.removeprefix("#").strip() for line in RECIPE.read_text().splitlines()[3:6])
    documented = (ROOT / "docs/operations.md").read_text().partition("### Container\n\n```\n")[2].splitlines()[:3]
    assert "".join(line.strip() for line in documented) == recipe
    version = subprocess.run(
        ["sh", "-c", re.findall(r"VERSION=\"\$\((.*?)\)\" ?\\", recipe)[0]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert version.stdout.strip() == firstseen.__version__
