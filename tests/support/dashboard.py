"""What the dashboard that is shipped asks of Prometheus."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

DASHBOARD = Path(__file__).parents[2] / "packaging/grafana/firstseen.json"


def expressions() -> Sequence[str]:
    """The expressions of all panels, of all jobs and agents, over five minutes."""
    asked = []
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", ()):
            expression = target["expr"].replace("$__rate_interval", "5m")
            asked.append(expression.replace("$job", ".*").replace("$instance", ".*"))
    return asked
