import re
from itertools import pairwise
from pathlib import Path

from firstseen.status.view import page as module
from firstseen.status.view.page import HEADERS, page
from support.told import Reading, alert, client, learning, rule, server, state, status

ASSETS = Path(module.__file__).parent / "assets"


def reading(**changes: object) -> Reading:
    made = page(status(**changes)).decode()
    assert made.startswith("<!doctype html>\n<html")
    return Reading(made.removeprefix("<!doctype html>\n"))


def full() -> Reading:
    return reading(
        latest_alerts=[alert()],
        latest_others=[alert(2, status="shadow")],
        rules__running=[rule(), learning(2, 1)],
        input__clients=[client()],
        output__servers=[server()],
    )


def test_an_agent_that_is_well() -> None:
    said = reading()

    assert said.texts[0] == "firstseen"
    assert "ready | up 1d 3h | as of | 09:12:33 UTC" in said.text
    assert "Not ready" not in said.texts
    assert "firstseen 1.2.3. All times are UTC. Nothing can be changed here." in said.texts


def test_what_stands_in_the_way_stands_above_everything() -> None:
    said = reading(ready=False, reasons=[{"code": "state_not_written", "text": "the <disk> is full"}])

    assert said.texts[0] == "firstseen: not ready"
    assert "Not ready | state not written | : the <disk> is full" in said.text
    assert said.texts.index("Not ready") < said.texts.index("At a glance")


def test_what_is_wrong_with_the_state_is_told_once() -> None:
    said = reading(state=state(problems=["the server is full"]))
    assert "Something is wrong | state | : the server is full" in said.text

    why = {"code": "state_not_written", "text": "the disk is full"}
    said = reading(ready=False, reasons=[why], state=state(problems=["the disk is full", "the server is full"]))
    assert said.text.count("the disk is full") == 1
    assert "state | : the server is full" in said.text


def test_stopping_says_so() -> None:
    said = reading(ready=False, reasons=[{"code": "stopping", "text": "it was told to"}])

    assert "stopping | up" in said.text


def test_sums_that_do_not_add_up_are_told_of_an_agent_that_is_ready() -> None:
    said = reading(sums__records=False, sums__matches=False)

    assert "Something is wrong | sums broken" in said.text
    assert ": records, matches do not add up;" in said.text


def test_headings_go_one_level_down_at_a_time_and_everything_has_a_name() -> None:
    said = full()
    levels = [int(name[1]) for name, _ in said.elements if re.fullmatch("h[1-6]", name)]

    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))
    assert len(said.all("caption")) == len(said.all("table"))
    assert all(picture["aria-label"] for picture in said.all("svg"))
    ids = [attributes["id"] for _, attributes in said.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert all(part["aria-labelledby"] in ids for part in said.all("section"))


def test_nothing_is_from_elsewhere_and_nothing_runs_in_the_page() -> None:
    said = full()
    links = [value for _, each in said.elements for key, value in each.items() if key in ("href", "src")]

    assert {link for link in links if not str(link).startswith("/")} == {"#main"}
    assert not [key for _, each in said.elements for key in each if key.startswith("on") or key == "style"]
    assert said.all("style") == []
    assert said.all("script") == [{"src": "/page.js", "defer": None}]
    (policy,) = [value for name, value in HEADERS if name == "content-security-policy"]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy


def test_what_the_page_asks_for_is_there() -> None:
    asked = [each["href"] for each in full().all("link")] + [each["src"] for each in full().all("script")]

    assert sorted(f"/{path.name}" for path in ASSETS.iterdir()) == sorted(map(str, asked))
    for path in ASSETS.iterdir():
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|url\(|@import", path.read_text())


def test_every_class_that_the_style_sheet_knows_is_used_somewhere() -> None:
    sheet = re.sub(r"/\*.*?\*/", "", (ASSETS / "page.css").read_text(), flags=re.DOTALL)
    styled = set(re.findall(r"\.([a-z]+)", sheet))
    package = Path(module.__file__).parent
    written = "".join(path.read_text() for path in [*package.glob("*.py"), ASSETS / "page.js"])
    words = set(re.findall(r"[a-z]+", written))
    said = {"medium", "high", "critical", "low", "shadow", "learning", "degraded"}

    assert styled - words - said == set()
