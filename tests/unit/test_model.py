from firstseen.model import Fields, Verdict
from support.documents import Document


def test_verdicts_have_the_names_that_logs_and_states_use() -> None:
    assert [verdict.value for verdict in Verdict] == ["new", "again", "known"]


def test_anything_with_values_and_existence_can_be_queried() -> None:
    fields: Fields = Document({"a": {"b": 1}})

    assert (list(fields.values("a.b")), fields.exists("a"), fields.exists("c")) == ([1], True, False)
