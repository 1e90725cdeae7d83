"""The package as it is installed."""

import configparser
import importlib.metadata
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import firstseen

ROOT = Path(__file__).parents[2]
FOR_DEVELOPERS = {"test", "fuzz", "dist", "chart", "check"}


def test_the_version_is_the_metadata_s() -> None:
    assert importlib.metadata.version("firstseen") == firstseen.__version__


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("deb/postinst", r"install -d .*-m 0700 /var/lib/firstseen\n"),
        ("systemd/firstseen.service", r"StateDirectoryMode=0700\n"),
        ("container/Dockerfile", r"COPY .*--chmod=0700 /state /var/lib/firstseen\n"),
    ],
)
def test_the_state_is_for_its_owner_alone_whoever_makes_its_directory(file: str, said: str) -> None:
    assert re.search(said, (ROOT / "packaging" / file).read_text())


def test_it_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "firstseen", "--version"], capture_output=True, text=True, check=True, timeout=30
    )

    assert done.stdout == f"firstseen, version {firstseen.__version__}\n"


INTERRUPTED = """
import os, runpy, signal, sys
place = sys.argv.pop(1)
sys.addaudithook(lambda _, told: told and str(told[0]) == place and os.kill(os.getpid(), signal.SIGINT))
runpy.run_module("firstseen", run_name="__main__", alter_sys=True)
"""


def interrupted(place: str, *arguments: object, **more: Any) -> tuple[int, str]:
    """How the command ends that is interrupted as it imports or opens ``place``: its exit code, and what it tells."""
    command = [sys.executable, "-c", INTERRUPTED, place, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30, **more)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("module", ["click", "firstseen.eventfolders"])
def test_who_interrupts_it_while_it_is_imported_gets_no_traceback(module: str) -> None:
    assert interrupted(module, "fields") == (-signal.SIGINT, "")


def test_once_it_is_imported_a_command_ends_in_order(tmp_path: Path) -> None:
    events = tmp_path / "events.json"
    events.write_text("{}")

    assert interrupted(str(events), "fields", events) == (1, "\nAborted!\n")


def test_who_is_not_to_hear_an_interrupt_does_not_hear_it_from_the_first_moment() -> None:
    """As a shell without a terminal has it for what it starts in the background."""
    ignoring = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)}

    assert interrupted("click", "--version", **ignoring) == (0, f"firstseen, version {firstseen.__version__}\n")


def test_importing_the_command_loads_none_of_the_subcommands() -> None:
    code = "import sys, firstseen.cli; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)

    assert not {"uvloop", "lmdb", "msgpack", "fluent"} & set(done.stdout.split())


@pytest.mark.parametrize("recipe", ["packaging/deb/build.sh", "packaging/container/Dockerfile", "packaging/dist.sh"])
def test_what_is_built_for_people_has_all_that_a_configuration_can_ask_for(recipe: str) -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    extras = set(setup["options.extras_require"]) - FOR_DEVELOPERS

    (taken,) = re.findall(r"\[([a-z,-]+)\]\"", (ROOT / recipe).read_text())

    assert set(taken.split(",")) == extras


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the Debian package has in /usr/share/doc/firstseen of the checkout."""
    folder = tmp_path_factory.mktemp("doc") / "firstseen"
    subprocess.run(["sh", str(ROOT / "packaging/deb/documents.sh"), str(folder)], check=True, timeout=30)
    return folder


def test_links_in_the_documents_of_the_debian_package_lead_to_one_of_them(documents: Path) -> None:
    links = [
        (page, target)
        for page in documents.rglob("*.md")
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text())
        if "://" not in target
    ]
    assert {page.parent.relative_to(documents) for page, _ in links} > {Path(), Path("docs")}
    lost = [
        f"{page.relative_to(documents)}: {target}"
        for page, target in links
        if not (page.parent / target).exists() or not (page.parent / target).resolve().is_relative_to(documents)
    ]
    assert lost == []


@pytest.mark.parametrize("file", ["docs/ten-minutes.md", "docs/operations.md", "packaging/systemd/firstseen.service"])
def test_where_documents_are_said_to_lie_they_do(documents: Path, file: str) -> None:
    named = re.findall(r"/usr/share/doc/firstseen/([\w./-]*)", (ROOT / file).read_text())
    assert named
    assert [path for path in named if not (documents / path).exists()] == []
