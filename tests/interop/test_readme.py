"""The README's quick start, word for word, with a real Fluent Bit on both ends."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import fluentbit
from support.pages import ROOT, Reader, blocks, can_be_apart, section

pytestmark = [
    *fluentbit.marks,
    pytest.mark.skipif(not can_be_apart(), reason="needs a network of its own, from unshare and ip"),
]

TEXT = section((ROOT / "README.md").read_text(), "## See it work")
INSTALL, START, _ = blocks(TEXT)
AGAIN, END = re.findall(r"`(cat event\.json >> [^`]+|kill [^`]+)`", TEXT)
EVENT = {
    "eventSource": "sts.amazonaws.com",
    "eventName": "GetCallerIdentity",
    "userIdentity": {"arn": "arn:aws:iam::111122223333:user/ada"},
}


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    (tmp_path / "rules").symlink_to(ROOT / "rules")
    with Reader(tmp_path) as made:
        yield made


def records(reader: Reader) -> list[dict[str, object]]:
    """What was printed behind, without the time that Fluent Bit adds; it ends no line before the next one is there."""
    found = re.findall(r'\{"date":[\d.]+,(.*\})', "\n".join(reader.lines))
    return [json.loads("{" + each) for each in found]


def test_it_is_as_it_says(reader: Reader) -> None:
    assert INSTALL == "python3 -m venv venv && . venv/bin/activate\npip install .\n"  # as the tests were installed

    assert "firstseen.toml: no problems; 14 of 14 rules run" in reader.run(START)
    reader.wait_until(lambda: len(records(reader)) == 1)
    (first,) = records(reader)
    (alert,) = first.pop("alerts")
    assert first == EVENT
    said = re.sub(r"\s+", " ", TEXT)
    assert f'"reason": "{alert["reason"]}" …' in said

    reader.run(AGAIN)
    reader.run("until firstseen top -c firstseen.toml --once | grep -q '2 in, 2 out'; do sleep 0.2; done")
    reader.run(END)
    reader.run("wait")
    assert records(reader)[1:] == [EVENT]
    assert any("stopped drained=true" in line and "records_in=2 records_out=2" in line for line in reader.lines)
