"""The alerts and the dashboard that are shipped: they ask for what there is, and Prometheus understands them."""

import json
import re
import subprocess
import sys
from pathlib import Path
from shutil import which

import pytest

from firstseen.config import AT_RELOAD
from firstseen.status.families import FAMILIES
from support.dashboard import DASHBOARD, expressions

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "packaging/prometheus"
ALERTS = (PROMETHEUS / "alerts.yaml").read_text()
OPERATIONS = (ROOT / "docs/operations.md").read_text()

SERIES = {
    f"{family.name}{suffix}"
    for family in FAMILIES
    for suffix in (("_bucket", "_count", "_sum") if family.kind == "histogram" else ("",))
}
LABELS = {label for family in FAMILIES for label in family.labels} | {"instance", "job", "le"}

needs_promtool = pytest.mark.skipif(which("promtool") is None, reason="there is no promtool on PATH")


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("text", [ALERTS, *expressions()])
def test_every_metric_and_label_that_is_asked_for_exists(text: str) -> None:
    asked = re.sub(r"^#.*$|^ *summary:.*$|\[\S+\]", "", text, flags=re.MULTILINE)
    named = set(re.findall(r"\b(?:firstseen|process)_\w+", asked))
    by = {label for labels in re.findall(r"\b(?:by|on|group_left) \(([^)]*)\)", asked) for label in labels.split(", ")}
    selected = set(re.findall(r"[{,] ?(\w+)=~?\"", asked))
    assert named
    assert named <= SERIES
    assert by <= LABELS
    assert selected <= LABELS


def test_every_alert_says_what_to_do() -> None:
    """By the name of its row in the table; the sums share one."""
    page = OPERATIONS.partition("## Alarms")[2].partition("\n## ")[0]
    for alert in re.findall(r"- alert: (\w+)", ALERTS):
        assert re.search(rf"^\| .*`{alert}`.* \| \S", page, re.MULTILINE), alert


def test_no_alert_asks_for_a_restart_where_a_reload_does() -> None:
    page = OPERATIONS.partition("## Alarms")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| .*`Firstseen\w+`.*$", page, re.MULTILINE)
    taken = [row for row in rows if AT_RELOAD & set(re.findall(r"`([^`]+)`", row))]
    assert taken
    assert not [row for row in taken if "restart" in row]


def test_the_dashboard_is_what_its_program_writes() -> None:
    command = [sys.executable, str(ROOT / "packaging/grafana/dashboard.py")]
    assert DASHBOARD.read_text() == subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_panels_fill_the_dashboard_and_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken
        taken |= cells
    assert len(taken) == 24 * (max(y for _, y in taken) + 1)


@needs_promtool
def test_promtool_has_nothing_to_say_of_the_alerts() -> None:
    done = promtool("check", "rules", "--lint-fatal", PROMETHEUS / "alerts.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_the_alerts_are_raised_when_they_should_and_only_then() -> None:
    done = promtool("test", "rules", PROMETHEUS / "alerts.test.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
