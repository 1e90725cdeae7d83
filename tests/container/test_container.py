"""The image's steps, carried out in directories, and the agent in what they make, as the image runs it.

Run by `make test-container`, which makes the system they begin with: no engine is needed, and in place of an image of
Python there is a Debian with its own.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgpack
import pytest

from support.agent import AgentProcess
from support.dockerfile import Stage, carry_out
from support.peers import Sink, Source
from support.rulebook import call
from support.visitor import Visitor

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build/container"
SYSTEM = BUILD / "root.tar"
WHEELS = BUILD / "wheels"
REVISION = "0123456789abcdef0123456789abcdef01234567"

pytestmark = [
    pytest.mark.container,
    pytest.mark.skipif(
        not SYSTEM.exists() or not WHEELS.exists() or os.getuid() != 0, reason="run by `make test-container`, as root"
    ),
]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """What is built, with wheels from this machine in place of an index."""
    folder = tmp_path_factory.mktemp("image")
    shutil.copy(SYSTEM, folder / "root.tar")
    subprocess.run(["mkdir", "-p", str(folder / "add/wheelhouse")], check=True)
    for wheel in WHEELS.glob("*.whl"):
        shutil.copy(wheel, folder / "add/wheelhouse")
    add = ["tar", "-C", str(folder / "add"), "--append", "-f", str(folder / "root.tar"), "./wheelhouse"]
    subprocess.run(add, check=True)
    made = carry_out(
        (ROOT / "packaging/container/Dockerfile").read_text(),
        ROOT,
        folder / "root.tar",
        folder / "stages",
        {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/wheelhouse"},
        {"VERSION": "1.2.3", "REVISION": REVISION},
    )
    for place in (folder, *folder.parents[:2]):
        place.chmod(place.stat().st_mode | 0o011)
    yield made
    shutil.rmtree(folder)


def run(image: Stage, *command: str) -> subprocess.CompletedProcess[str]:
    done = image.chroot(*command)
    return subprocess.run(done, capture_output=True, text=True, check=False, env=image.environment)


def test_the_agent_runs_as_the_image_says_and_says_that_it_is_well(image: Stage) -> None:
    config = image.folder / "etc/firstseen/firstseen.toml"
    shipped = config.read_text()
    assert image.user == "65532:65532"
    assert image.command == ["run", "-c", "/etc/firstseen/firstseen.toml"]
    with Sink() as sink:
        text = shipped.replace("127.0.0.1:24224", sink.address).replace('format = "text"', 'format = "json"')
        config.write_text(text.replace('"127.0.0.1:24225"', '"127.0.0.1:0"'))
        before = written(image)
        (program,) = image.entrypoint
        where = ["env", "-i", *(f"{key}={value}" for key, value in image.environment.items())]
        with AgentProcess(
            Path("/etc/firstseen/firstseen.toml"), through=[*image.chroot(), *where], program=Path(program)
        ) as agent:
            with Source(agent.port) as client:
                event = call("arn:aws:iam::111122223333:user/ada", "e-1")
                client.send(msgpack.packb(["aws", [[1_790_000_000, event]], {"chunk": "c"}]))
                assert client.ack() == "c"
            Visitor(agent.http).until_ready()
            asked = run(image, *image.health)
            assert (asked.returncode, asked.stdout) == (0, "ready\n")
            agent.stop()
        asked = run(image, *image.health)
        assert asked.returncode == 1
        assert "no answer from 127.0.0.1:24226" in asked.stderr
        assert "alerts" in sink.entries[0].record
        assert {path for path in written(image) - before if "var/lib/firstseen" not in path} == set()


def written(image: Stage) -> set[str]:
    """All files there are: what is new, would not be there with a root that is read-only."""
    return {str(path.relative_to(image.folder)) for path in image.folder.rglob("*") if not path.is_dir()}


def test_its_user_can_write_to_the_state_and_nowhere_else(image: Stage) -> None:
    found = run(image, "find", "/", "-xdev", "-writable", "-not", "-type", "l", "-not", "-path", "/proc/*")
    own = {line for line in found.stdout.splitlines() if not line.startswith(("/dev/", "/var/lib/firstseen"))}
    assert own <= {"/tmp", "/var/tmp", "/run/lock"}  # as in any system; with a read-only root not even those


def test_what_the_build_was_told_is_in_its_labels_and_in_what_the_agent_says(image: Stage) -> None:
    labels = dict(label.split("=", 1) for label in image.others["LABEL"])
    assert labels["org.opencontainers.image.version"] == "1.2.3"
    assert labels["org.opencontainers.image.revision"] == REVISION
    assert run(image, "firstseen", "--version").stdout.endswith(f", revision {REVISION}\n")
