from __future__ import annotations

from firstseen.record.ecs import EcsView, first_instant


def test_values_are_read_once():
    record: dict[object, object] = {"a": {"b": [1, b"x"]}}
    view = EcsView(record)
    assert view.kind == "ecs"
    assert view.values("a.b") == (1, "x")
    assert view.exists("a")
    record.clear()
    assert view.values("a.b") == (1, "x")
    assert view.exists("a")
    assert view.values("a.c") == ()
    assert not view.exists("a.c")


def test_event_id_is_a_text():
    assert EcsView({"event": {"id": "e-1"}}).event_id == "e-1"
    assert EcsView({b"event.id": [7.5, b"e-2"]}).event_id == "e-2"
    assert EcsView({"event": {"id": ""}}).event_id is None
    assert EcsView({"event": {"id": True}}).event_id is None
    assert EcsView({"event": {"id": 10**5000}}).event_id is None


def test_an_integer_names_an_event_as_its_text_does():
    assert EcsView({"event": {"id": 7}}).event_id == EcsView({"event": {"id": "7"}}).event_id == "7"


def test_what_has_nothing_has_no_event_id():
    assert EcsView({}).event_id is None


def test_times():
    view = EcsView({"@timestamp": "2026-05-24T12:00:00.5Z", "event": {"ingested": 1_779_624_001}})
    assert (view.timestamp_ms, view.ingested_ms) == (1_779_624_000_500, 1_779_624_001_000)
    assert (EcsView({}).timestamp_ms, EcsView({"event.ingested": "soon"}).ingested_ms) == (None, None)


def test_the_first_instant_among_values():
    assert first_instant(["soon", True, 5, 6]) == 5000


def test_the_document_is_the_whole_record():
    record = {"a.b": b"x" * 2000, "c": [None, {"d.e": 1}], b"f": True}
    assert EcsView(record).document() == {"a": {"b": "x" * 2000}, "c": [None, {"d": {"e": 1}}], "f": True}


def test_names_and_objects():
    view = EcsView({"a": [{"b": 1, "c.d": None}, {"b": 2}], "e.f": ["x"]})
    assert list(view.names()) == list(view.names()) == ["a.b", "e.f"]
    assert [each.values("b") for each in view.nested("a")] == [(1,), (2,)]
