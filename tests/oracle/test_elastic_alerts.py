"""What Elastic's rules find in real CloudTrail logs, and which of them run, where both lie beside the checkout."""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from firstseen.configuredrules import configured_rules
from firstseen.geoip import GeoIp
from firstseen.rules.loader import load_rules
from firstseen.rules.rule import Report, Status
from support.agent import FIRSTSEEN

SHARED = Path(__file__).parents[2] / "../shared"

pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared beside the checkout")


def labels(folder: str) -> list[dict[str, Any]]:
    """The alerts of Elastic's rules for AWS on the events of a folder, sorted by their time."""
    done = subprocess.run(
        [FIRSTSEEN, "replay", "--rules", SHARED / "rules/elastic", SHARED / "data/cloudtrail" / folder],
        capture_output=True,
        check=True,
        timeout=120,
    )
    return [label for line in done.stdout.splitlines() for label in json.loads(line)["alerts"]]


@pytest.mark.parametrize(("folder", "expected"), [("invictus", 20), ("stratus", 16)])
def test_query_and_new_terms_rules_raise_the_alerts_that_elastic_s_engine_would(folder: str, expected: int) -> None:
    found = [label for label in labels(folder) if label["rule"]["type"] in ("query", "new_terms")]

    assert len(found) == expected, sorted(label["rule"]["name"] for label in found)
    assert len({label["id"] for label in found}) == expected


def in_kql() -> dict[str, Report]:
    """The reports on the rules in KQL, by the name of their file, as an agent without databases loads them."""
    loaded = configured_rules(None, 0, GeoIp(), paths=[SHARED / "rules"])
    return {
        Path(report.file).stem: report
        for report in loaded.reports
        if tomllib.loads(Path(report.file).read_text("utf-8"))["rule"].get("language") == "kuery"
    }


_NUMBER = "source.as.number (a database of networks (geoip.asn))"
_ORGANIZATION = "source.as.organization.name (a database of networks (geoip.asn))"

NOT_RUN = {
    "defense_evasion_elastic_memory_threat_prevented": "turned off (rule.enabled)",
    "discovery_new_terms_sts_getcalleridentity_ec2_role_new_source_as": f"no event can match: {_ORGANIZATION}",
    "discovery_new_terms_vpn_asn_discovery_api_calls": f"no event can match: {_NUMBER}",
    "execution_lambda_function_invoked_from_unusual_source_asn": f"no event can match: {_ORGANIZATION}",
    "persistence_new_terms_ec2_create_keypair_unusual_source_as": f"no event can match: {_ORGANIZATION}",
    "threat_intel_indicator_match_hash": "rule type threat_match is not supported by this version",
}
_WORDS = "rule.query: powershell.file.script_block_text is compared by its words, which are found approximately"
_EVERY_RECORD = "no needle: every record is looked at"
FLAGGED = {
    "collection_posh_webcam_video_capture": _WORDS,
    "command_and_control_beaconing": _EVERY_RECORD,
    "credential_access_icmp_redirect_message_observed": _EVERY_RECORD,
    "credential_access_posh_kerb_ticket_dump": _WORDS,
    "credential_access_posh_relay_tools": _WORDS,
    "credential_access_posh_request_ticket": _WORDS,
    "crowdstrike_external_alerts": _EVERY_RECORD,
    "defense_evasion_posh_process_injection": _WORDS,
    "execution_posh_hacktool_authors": _WORDS,
    "execution_posh_psreflect": _WORDS,
    "privilege_escalation_iam_inline_policy_added_to_group": f"runs without {_ORGANIZATION}",
    "privilege_escalation_iam_permissions_boundary_modified": f"runs without {_ORGANIZATION}",
}


def test_every_rule_in_kql_runs_or_is_told_of() -> None:
    reports = in_kql()
    by_status = {status: {name for name, each in reports.items() if each.status is status} for status in Status}
    reasons = {name: report.reason for name, report in reports.items() if report.reason}

    assert len(reports) == 120
    assert len(by_status[Status.LOADED]) == 120 - len(NOT_RUN) - len(FLAGGED)
    assert by_status[Status.FLAGGED] == set(FLAGGED)
    assert by_status[Status.SKIPPED] == {"defense_evasion_elastic_memory_threat_prevented"}
    assert reasons == NOT_RUN | FLAGGED


def test_with_databases_only_what_no_stream_can_answer_does_not_run() -> None:
    loaded = load_rules([SHARED / "rules"])
    names = {Path(report.file).stem for report in loaded.reports if report.status is Status.NOT_RUNNABLE}

    assert names & set(in_kql()) == {"threat_intel_indicator_match_hash"}
