"""The status page: a report for people. It works without a script, which only renews its parts in place."""

from __future__ import annotations

from firstseen.status.report import Status
from firstseen.status.view.alerts import alerts
from firstseen.status.view.books import books
from firstseen.status.view.ends import ends
from firstseen.status.view.glance import overview
from firstseen.status.view.markup import Html, element, joined
from firstseen.status.view.rules import rules
from firstseen.status.view.words import clock, length

HEADERS = (
    (
        "content-security-policy",
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
)


def page(told: Status) -> bytes:
    """The whole page, in UTF-8."""
    title = "firstseen" if told.ready else "firstseen: not ready"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("link", rel="icon", href="/icon.svg", type="image/svg+xml"),
        element("link", rel="stylesheet", href="/page.css"),
        element("script", src="/page.js", defer=True),
    )
    body = element(
        "body",
        element("a", "To the content", href="#main", class_="skip"),
        _header(told),
        element("main", _trouble(told), overview(told), alerts(told), rules(told), ends(told), books(told), id="main"),
        _footer(told),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n".encode("utf-8", "backslashreplace")


def _header(told: Status) -> Html:
    word = "ready" if told.ready else "not ready"
    stage = next((reason.code for reason in told.reasons if reason.code in ("starting", "stopping")), word)
    return element(
        "header",
        element("h1", "firstseen"),
        element(
            "div",
            element("span", stage, class_=f"badge stage {'good' if told.ready else 'bad'}"),
            element("span", f"up {length(told.uptime_seconds)}"),
            element("span", "as of ", element("time", f"{clock(told.now)} UTC", datetime=told.now)),
            class_="state",
            id="state",
            data_part=True,
        ),
        element("p", "", id="away", role="status", hidden=True),
    )


def _trouble(told: Status) -> Html:
    """What stands in the way of the job, and what else is wrong; an empty part where nothing is."""
    lines = [joined(element("strong", reason.code.replace("_", " ")), f": {reason.text}") for reason in told.reasons]
    sums = {"records": told.sums.records, "chunks": told.sums.chunks, "matches": told.sums.matches}
    broken = ", ".join(name for name, holds in sums.items() if not holds)
    if broken:
        what = f": {broken} do not add up; something was lost or counted twice, which is a mistake of the program"
        lines.append(joined(element("strong", "sums broken"), what))
    said = {reason.text for reason in told.reasons}
    problems = () if told.state is None else told.state.problems
    lines += [joined(element("strong", "state"), f": {problem}") for problem in problems if problem not in said]
    content = None
    if lines:
        heading = "Not ready" if told.reasons else "Something is wrong"
        content = joined(element("h2", heading), element("ul", *(element("li", line) for line in lines)))
    return element("div", content, id="trouble", class_="trouble" if lines else None, data_part=True)


def _footer(told: Status) -> Html:
    links = ("/status", "as JSON"), ("/metrics", "metrics"), ("/readyz", "readiness")
    return element(
        "footer",
        element("p", f"firstseen {told.version}. All times are UTC. Nothing can be changed here."),
        element("nav", *(element("a", words, href=path) for path, words in links), aria_label="The same for programs"),
    )
