from __future__ import annotations

import pytest

from firstseen.record.category import category_of


@pytest.mark.parametrize(
    ("event_name", "category", "types"),
    [
        ("AddUserToGroup", "iam", ("group", "change")),
        ("TagUser", "iam", ("user", "change")),
        ("UpdateRole", "iam", ("admin", "change")),
        ("ListRoles", "iam", ("info",)),
        ("AttachRolePolicy", "iam", ("change",)),
        ("GetCallerIdentity", "authentication", ("info",)),
        ("DeleteObject", "file", ("deletion",)),
        ("AuthorizeSecurityGroupIngress", "network", ("access",)),
        ("DeleteTrail", "configuration", ("deletion",)),
        ("SendCommand", "process", ("start",)),
        ("TerminateSession", "session", ("end",)),
        ("getcalleridentity", None, ("info",)),
        ("ListFunctions20150331", None, ("info",)),
        (None, None, ("info",)),
    ],
)
def test_category(event_name, category, types):
    assert category_of(event_name) == (category, types)
