import pytest

from firstseen.kql.ast import Exists
from firstseen.rules.exceptions import Exempting, Scope, meant_for, names, reports
from firstseen.rules.rule import ExceptionItem

ID, NAME = "5f0c4a0e-1", "First call (of an API)"


@pytest.mark.parametrize(
    ("rules", "list_id", "lists", "covered"),
    [
        (None, "", (), True),
        ((ID,), "", (), True),
        ((NAME,), "", (), True),
        (("other", NAME), "", (), True),
        (("First*",), "", (), True),
        (("*(of an API)",), "", (), True),
        (("5f0c*-1",), "", (), True),
        (("*",), "", (), True),
        (("First",), "", (), False),
        (("first*",), "", (), False),
        (("First call .of an API.",), "", (), False),
        ((), "", (), False),
        ((), "admins", ("admins",), True),
        ((), "admins", ("others",), False),
        ((), "", ("",), False),
        (("other",), "admins", ("others", "admins"), True),
    ],
)
def test_which_rules_an_exception_is_for(rules, list_id, lists, covered):
    exempting = Exempting(ExceptionItem("x", Exists("a"), "e.toml", 1), Scope(rules, list_id), plain=True)
    assert meant_for([exempting], ID, NAME, lists) == ([exempting.item] if covered else [])


def report(scope, *, plain=True, expires_ms=None, known=((ID, NAME, ()),), now_ms=10):
    item = ExceptionItem("x", Exists("a"), "e.toml", 3, expires_ms=expires_ms)
    (told,) = reports([Exempting(item, scope, plain)], known, now_ms)
    assert (told.name, told.file, told.line) == ("x", "e.toml", 3)
    return told.status, told.reason, told.rules


@pytest.mark.parametrize(
    ("expires_ms", "status"), [(None, "applied"), (11, "applied"), (10, "expired"), (9, "expired")]
)
def test_an_exception_expires_at_its_moment(expires_ms, status):
    assert report(Scope(None), expires_ms=expires_ms)[::2] == (status, 1)


def test_of_several_names_each_counts_where_somebody_wrote_them_by_hand():
    scope = Scope((ID, "gone"))
    assert report(scope) == ("unused", "there is no rule gone", 1)
    assert report(scope, plain=False) == ("applied", "", 1)


def test_an_exception_for_nobody():
    assert report(Scope(("a", "b")), plain=False) == ("unused", "there is no rule a and no rule b", 0)
    assert report(Scope((), "admins"), plain=False) == ("unused", "there is no rule that it is for", 0)
    assert report(Scope(None), known=()) == ("unused", "there is no rule that it is for", 0)


def test_a_name_of_many_stars_takes_no_time():
    assert not names("*a" * 200 + "b", ID, "a" * 10_000)
