from __future__ import annotations

import subprocess
import sys

import pytest

from firstseen.record import useragent
from firstseen.record.source import Source
from firstseen.record.useragent import FIELDS, LONGEST, is_available, part, parts


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("signin.amazonaws.com", {"name": "Other", "device.name": "Other"}),
        (
            "aws-cli/1.16.248 Python/3.4.7 Linux/4.9.184-0.1.x86_64 botocore/1.12.239",
            {
                "name": "aws-cli",
                "version": "1.16.248",
                "device.name": "Spider",
                "os.name": "Linux",
                "os.version": "4.9.184",
                "os.full": "Linux 4.9.184",
            },
        ),
        (
            "[aws-cli/2.17.60 md/awscrt#0.21.2 ua/2.0 os/linux#6.1 lang/python#3.11.9]",
            {"name": "aws-cli", "version": "2.17.60", "device.name": "Other", "os.name": "Linux"},
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/120.0.1.2 Safari/537.36",
            {
                "name": "Chrome",
                "version": "120.0.1.2",
                "device.name": "Other",
                "os.name": "Windows",
                "os.version": "10",
                "os.full": "Windows 10",
            },
        ),
        ("aws-sdk-go/1.44.1 (go1.18)", {"name": "aws-sdk-go", "version": "1.44.1", "device.name": "Other"}),
        ("m/E aws-sdk-go-v2/1.30.3 ua/2.1", {"name": "Other", "device.name": "Other"}),
        ("", {"name": "Other", "device.name": "Other"}),
        ("aws-cli/2.17 \udcff", {"name": "aws-cli", "version": "2.17", "device.name": "Other"}),
    ],
)
def test_parts(text, found):
    assert parts(text, "agent") | parts(text, "device") | parts(text, "os") == found
    assert set(found) <= set(FIELDS)


def test_the_agent_of_a_record():
    assert part(Source({"userAgent": "aws-cli/2.17.60"}), "version") == "2.17.60"
    assert part(Source({"userAgent": "aws-cli/2.17.60"}), "os.name") is None
    for no_agent in (
        {},
        {"userAgent": 7},
        {"userAgent": ""},
        {"userAgent": "aws-cli/2.17.60 ".ljust(LONGEST + 1, "x")},
    ):
        assert part(Source(no_agent), "name") is None
    assert part(Source({"userAgent": "aws-cli/2.17.60 ".ljust(LONGEST, "x")}), "name") == "aws-cli"


def test_without_the_package_there_are_no_parts(monkeypatch):
    assert is_available()
    monkeypatch.setattr(useragent, "is_available", lambda: False)
    assert part(Source({"userAgent": "aws-cli/2.17.60"}), "name") is None


def test_the_package_is_only_imported_when_a_part_is_asked_for():
    code = """
import sys
from firstseen.record.view import views
(view,) = views({"eventSource": "a", "eventName": "b", "userAgent": "aws-cli/2.17.60"})
view.values("user_agent.original")
assert "ua_parser" not in sys.modules
assert view.values("user_agent.name") == ("aws-cli",)
assert "ua_parser" in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
