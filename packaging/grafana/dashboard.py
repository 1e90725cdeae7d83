"""Writes the dashboard: what panels there are, once, and Grafana's many words around them.

python packaging/grafana/dashboard.py > packaging/grafana/firstseen.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

OF = '{job=~"$job", instance=~"$instance"}'
OPEN = '{job=~"$job", instance=~"$instance", status="open"}'
SOURCE = {"type": "prometheus", "uid": "${source}"}
WIDTH = 24


def rate(metric: str, by: str = "instance") -> str:
    """How fast a counter grows, summed by a label."""
    return f"sum by ({by}) (rate({metric}{OF}[$__rate_interval]))"


def quantile(share: float, metric: str) -> str:
    """A quantile of a histogram, over all agents that are chosen."""
    return f"histogram_quantile({share}, sum by (le) (rate({metric}_bucket{OF}[$__rate_interval])))"


Query = tuple[str, str]
"""An expression, and what its lines are called."""

ROWS: Sequence[tuple[str, Sequence[tuple[str, str, str, int, Sequence[Query]]]]] = [
    (
        "Is it well",
        [
            ("stat", "Ready", "bool_yes_no", 4, [(f"firstseen_ready{OF}", "{{instance}}")]),
            ("stat", "Why not", "none", 4, [(f"firstseen_unready{OF} == 1", "{{reason}}")]),
            (
                "stat",
                "Sums that do not hold",
                "none",
                4,
                [
                    (
                        f"sum(abs(firstseen_input_records_total{OF} - firstseen_output_proc_records_total{OF}"
                        f" - firstseen_output_dropped_records_total{OF} - firstseen_records_in_flight{OF}))",
                        "records",
                    )
                ],
            ),
            ("stat", "State in use", "percentunit", 4, [(f"firstseen_state_map_used_ratio{OF}", "{{instance}}")]),
            (
                "stat",
                "Learns still",
                "s",
                4,
                [(f"max by (instance) (firstseen_warmup_remaining_seconds{OF})", "{{instance}}")],
            ),
            (
                "stat",
                "Alerts in 24 hours",
                "short",
                4,
                [(f"sum(increase(firstseen_alerts_total{OPEN}[24h]))", "alerts")],
            ),
        ],
    ),
    (
        "Records",
        [
            (
                "timeseries",
                "Records per second",
                "short",
                12,
                [
                    (rate("firstseen_input_records_total"), "in {{instance}}"),
                    (rate("firstseen_output_proc_records_total"), "out {{instance}}"),
                    (rate("firstseen_output_dropped_records_total"), "refused {{instance}}"),
                ],
            ),
            ("timeseries", "Bytes per second", "Bps", 6, [(rate("firstseen_input_bytes_total"), "{{instance}}")]),
            (
                "timeseries",
                "Shown to the rules",
                "percentunit",
                6,
                [
                    (
                        f"{rate('firstseen_candidate_records_total')} / {rate('firstseen_input_records_total')}",
                        "{{instance}}",
                    )
                ],
            ),
        ],
    ),
    (
        "Alerts",
        [
            (
                "timeseries",
                "Alerts by rule, an hour",
                "short",
                12,
                [
                    (
                        f"sum by (name) (increase(firstseen_alerts_total{OPEN}[1h])"
                        f" * on (job, instance, rule_id) group_left (name) firstseen_rule_info{OF})",
                        "{{name}}",
                    )
                ],
            ),
            (
                "timeseries",
                "What matches came to, an hour",
                "short",
                6,
                [
                    (f"sum by (status) (increase(firstseen_alerts_total{OF}[1h]))", "{{status}}"),
                    (f"sum(increase(firstseen_alerts_suppressed_total{OF}[1h]))", "suppressed"),
                ],
            ),
            (
                "timeseries",
                "Rules in trouble",
                "short",
                6,
                [
                    (f"sum(firstseen_rule_breaker_tripped{OF})", "raise too much"),
                    (f"sum(increase(firstseen_rule_errors_total{OF}[1h]))", "failed on events, an hour"),
                    (f"sum(increase(firstseen_reloads_failed_total{OF}[1h]))", "not loaded anew, an hour"),
                ],
            ),
        ],
    ),
    (
        "Time",
        [
            (
                "timeseries",
                "From arrival to ack",
                "s",
                8,
                [
                    (quantile(0.5, "firstseen_chunk_seconds"), "half"),
                    (quantile(0.99, "firstseen_chunk_seconds"), "99 %"),
                ],
            ),
            (
                "timeseries",
                "Parts of it, 99 %",
                "s",
                8,
                [
                    (quantile(0.99, "firstseen_chunk_processing_seconds"), "looked at"),
                    (quantile(0.99, "firstseen_delivery_seconds"), "delivered"),
                    (quantile(0.99, "firstseen_state_commit_seconds"), "durable"),
                ],
            ),
            (
                "timeseries",
                "Lag",
                "s",
                8,
                [
                    (f"firstseen_event_lag_seconds{OF}", "records that come {{instance}}"),
                    (f"firstseen_output_lag_seconds{OF}", "messages that go {{instance}}"),
                ],
            ),
        ],
    ),
    (
        "State and both ends",
        [
            (
                "timeseries",
                "State",
                "bytes",
                6,
                [
                    (f"firstseen_state_bytes{OF}", "used {{instance}}"),
                    (f"firstseen_state_limit_bytes{OF}", "bound {{instance}}"),
                ],
            ),
            (
                "timeseries",
                "Terms",
                "short",
                6,
                [
                    (f"firstseen_state_keys{OF}", "remembered {{instance}}"),
                    (
                        f"sum by (reason) (increase(firstseen_state_evictions_total{OF}[1h]))",
                        "forgotten, an hour, {{reason}}",
                    ),
                ],
            ),
            (
                "timeseries",
                "In flight",
                "bytes",
                6,
                [
                    (f"firstseen_in_flight_bytes{OF}", "{{instance}}"),
                    (f"firstseen_in_flight_limit_bytes{OF}", "reading stops {{instance}}"),
                ],
            ),
            (
                "timeseries",
                "Trouble downstream",
                "short",
                6,
                [
                    (rate("firstseen_output_errors_total", "server"), "errors {{server}}"),
                    (rate("firstseen_output_retries_total"), "sent again {{instance}}"),
                ],
            ),
        ],
    ),
    (
        "Process",
        [
            ("timeseries", "CPU", "percentunit", 8, [(rate("process_cpu_seconds_total"), "{{instance}}")]),
            ("timeseries", "Memory", "bytes", 8, [(f"process_resident_memory_bytes{OF}", "{{instance}}")]),
            ("timeseries", "Connections", "short", 8, [(f"firstseen_input_connections{OF}", "clients {{instance}}")]),
        ],
    ),
]


def panels() -> Iterator[dict[str, Any]]:
    """Rows and their panels, from left to right and from top to bottom."""
    y = 0
    for title, members in ROWS:
        yield {"type": "row", "title": title, "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1}, "panels": []}
        y, x, height = y + 1, 0, 4 if members[0][0] == "stat" else 8
        for kind, name, unit, width, queries in members:
            yield {
                "type": kind,
                "title": name,
                "datasource": SOURCE,
                "gridPos": {"x": x, "y": y, "w": width, "h": height},
                "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
                "options": _options(kind),
                "targets": [
                    {"refId": chr(ord("A") + number), "datasource": SOURCE, "expr": query, "legendFormat": called}
                    for number, (query, called) in enumerate(queries)
                ],
            }
            x += width
        y += height


def _options(kind: str) -> dict[str, Any]:
    if kind == "stat":
        return {"reduceOptions": {"calcs": ["lastNotNull"]}, "textMode": "auto", "colorMode": "value"}
    return {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}}


def _variable(name: str, label: str, query: str) -> dict[str, Any]:
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def dashboard() -> dict[str, Any]:
    """The whole of it, as Grafana imports it."""
    numbered = [{"id": number, **panel} for number, panel in enumerate(panels(), start=1)]
    return {
        "uid": "firstseen",
        "title": "firstseen",
        "tags": ["firstseen"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [
                {"type": "datasource", "name": "source", "label": "Prometheus", "query": "prometheus"},
                _variable("job", "Job", "label_values(firstseen_build_info, job)"),
                _variable("instance", "Agent", 'label_values(firstseen_build_info{job=~"$job"}, instance)'),
            ]
        },
        "panels": numbered,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(dashboard(), indent=2) + "\n")
