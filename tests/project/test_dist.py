"""What a release consists of, as `make dist` has built it, twice."""

import hashlib
import json
import subprocess
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import firstseen

ROOT = Path(__file__).parents[2]
DIST, AGAIN = ROOT / "dist", ROOT / "build/dist-again"
NAME = f"firstseen-{firstseen.__version__}"

pytestmark = [
    pytest.mark.dist,
    pytest.mark.skipif(not DIST.exists() or not AGAIN.exists(), reason="run by `make dist`"),
]


@pytest.fixture(scope="module")
def wheel() -> zipfile.ZipFile:
    (path,) = DIST.glob("*.whl")
    return zipfile.ZipFile(path)


@pytest.fixture(scope="module")
def archive() -> tarfile.TarFile:
    return tarfile.open(DIST / f"{NAME}.tar.gz")


def test_it_is_these_files() -> None:
    files = {f"{NAME}-py3-none-any.whl", f"{NAME}.tar.gz", f"{NAME}.cdx.json", "SHA256SUMS"}
    assert {path.name for path in DIST.iterdir()} == files


@pytest.mark.parametrize("pattern", ["*.whl", "*.tar.gz"])
def test_who_builds_it_again_gets_the_same(pattern: str) -> None:
    (first,), (second,) = DIST.glob(pattern), AGAIN.glob(pattern)
    assert first.read_bytes() == second.read_bytes()


def test_the_sums_are_right() -> None:
    lines = (DIST / "SHA256SUMS").read_text().splitlines()
    assert len(lines) == 3
    for line in lines:
        digest, name = line.split("  ")
        assert hashlib.sha256((DIST / name).read_bytes()).hexdigest() == digest


def test_the_wheel_has_the_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    package = ROOT / "plugin"
    wanted = {
        str(path.relative_to(package))
        for path in (package / "firstseen").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    names = set(wheel.namelist())
    about = {name for name in names if name.startswith(f"{NAME}.dist-info/")}
    assert names - about == wanted
    assert {f"{NAME}.dist-info/licenses/{name}" for name in ("LICENSE", "NOTICE")} <= about


def test_the_metadata_says_what_it_is(wheel: zipfile.ZipFile) -> None:
    told = Parser().parsestr(wheel.read(f"{NAME}.dist-info/METADATA").decode())
    assert (told["Name"], told["Version"], told["Requires-Python"]) == ("firstseen", firstseen.__version__, ">=3.11")
    assert told["License-Expression"] == "Apache-2.0"
    assert "firstseen = firstseen.__main__:main" in wheel.read(f"{NAME}.dist-info/entry_points.txt").decode()


def test_both_know_their_revision(wheel: zipfile.ZipFile, archive: tarfile.TarFile) -> None:
    command = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
    commit = subprocess.run(command, check=True, capture_output=True).stdout
    packed = archive.extractfile(f"{NAME}/plugin/firstseen/revision.txt")
    assert packed is not None
    assert wheel.read("firstseen/revision.txt") == packed.read() == commit


def test_the_source_archive_is_the_checkout(archive: tarfile.TarFile) -> None:
    names = {member.name.removeprefix(f"{NAME}/") for member in archive.getmembers()}
    for needed in (
        "Makefile",
        "CHANGELOG.md",
        "conf/firstseen.toml",
        "docs/operations.md",
        "packaging/deb/build.sh",
        "packaging/helm/firstseen/Chart.yaml",
        "packaging/systemd/firstseen.service",
        "rules/aws_sts_getcalleridentity_first_seen.toml",
        "tests/unit/test_notify.py",
        "plugin/firstseen/daemon.py",
    ):
        assert needed in names
    assert not [name for name in names if name.endswith((".pyc", ".lmdb", ".mdb")) or ".venv" in name]


def test_nothing_tells_who_built_it(archive: tarfile.TarFile) -> None:
    members = archive.getmembers()
    assert {(member.uid, member.gid, member.uname, member.gname) for member in members} == {(0, 0, "", "")}
    assert len({member.mtime for member in members}) == 1


def test_the_bill_of_materials_has_what_is_needed_with_its_licence() -> None:
    bill = json.loads((DIST / f"{NAME}.cdx.json").read_text())
    components = {component["name"]: component for component in bill["components"]}
    assert {"click", "h11", "isal", "lmdb", "maxminddb", "msgpack", "msgspec", "uvloop", "zstandard"} <= set(components)
    assert all(component["version"] for component in components.values())
    assert [name for name, component in components.items() if not component.get("licenses")] == []


def test_the_changelog_has_a_place_for_what_is_to_come() -> None:
    assert "\n## [Unreleased]\n" in (ROOT / "CHANGELOG.md").read_text()
