"""``docs/ten-minutes.md``, word for word, on a Debian that has nothing but the package and a Fluent Bit."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import fluentbit
from support.machine import Machine
from support.pages import ROOT, Reader, blocks, can_be_apart

pytestmark = [
    pytest.mark.deb,
    *fluentbit.marks,
    pytest.mark.skipif(not can_be_apart(), reason="needs a network of its own, from unshare and ip"),
]

PAGE = (ROOT / "docs/ten-minutes.md").read_text()
HOME = Path("root")
ARN = "arn:aws:iam::111122223333:user/"


@pytest.fixture
def reader(machine: Machine, package: Path) -> Iterator[Reader]:
    shutil.copy(package, machine.folder / HOME)
    machine.lend("fluent-bit")
    # Fluent Bit looks into /proc for the names of files.
    enter = 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"'
    through = ["unshare", "--mount", "sh", "-c", enter, str(machine.folder)]
    with Reader(machine.folder / HOME, through=through, inside=Path("/") / HOME) as made:
        made.run("cd; export DEBIAN_FRONTEND=noninteractive")
        yield made


def records(machine: Machine, tag: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in (machine.folder / "var/log/forwarded" / tag).read_text().splitlines()]


def test_it_is_as_it_says(machine: Machine, reader: Reader) -> None:
    install, configure, behind, start, ready, send, look, why, front, more, past = blocks(PAGE)

    reader.run(install)
    said = re.search(r"says `([^`]+)`", PAGE)
    assert said is not None
    assert said[1] in reader.run(configure)
    for part in (behind, start):
        reader.run(part)
    assert reader.run(ready).endswith("\nready")

    reader.run(send)
    reader.run(look)
    (first,) = records(machine, "alert.aws.cloudtrail")
    (alert,) = first["alerts"]
    assert f'"reason":"{alert["reason"]}"' in PAGE
    answer = reader.run(why)
    assert "First GetCallerIdentity by an AWS identity (new_terms): known" in answer
    assert re.search(rf"terms +{ARN}ada\n", answer)

    reader.run(front)
    reader.run(more)
    assert [record["alerts"][0]["new_terms"]["values"] for record in records(machine, "alert.aws.cloudtrail")] == [
        [f"{ARN}ada"],
        [f"{ARN}bob"],
    ]
    assert [record["userIdentity"]["arn"] for record in records(machine, "aws.cloudtrail")] == [f"{ARN}ada"]

    assert "1 event in 1 file" in reader.run(past)
    end, purge = re.findall(r"`(kill \$[^`]+|apt-get purge [^`]+)`", PAGE)
    reader.run(f"{end}; wait")
    reader.run(purge.replace("purge", "purge --yes"))
    assert not (machine.folder / "var/lib/firstseen").exists()
