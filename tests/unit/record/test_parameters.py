from __future__ import annotations

from firstseen.record.javamap import hash_order
from firstseen.record.parameters import flattened, insight, resources, text
from firstseen.record.source import Source


def test_text_and_object():
    source = Source({"requestParameters": {b"q": [1, "", {"p": b"x"}], "p": None}})
    assert text(source, "requestParameters") == "{q=[1, {p=x}]}"
    assert flattened(source, "requestParameters") == {"q": [1, {"p": "x"}]}
    assert text(source, "responseElements") is flattened(source, "responseElements") is None


def test_only_objects_are_flattened():
    source = Source({"requestParameters": "x", "responseElements": [{"a": 1}]})
    assert (text(source, "requestParameters"), flattened(source, "requestParameters")) == ("x", None)
    assert (text(source, "responseElements"), flattened(source, "responseElements")) == ("[{a=1}]", None)


def test_an_object_whose_text_is_too_long_for_a_term_is_not_flattened():
    longest = 32_765 - len("{a=}")
    for length, kept in ((longest, True), (longest + 1, False)):
        source = Source({"requestParameters": {"a": "x" * length}})
        assert (flattened(source, "requestParameters") is not None) is kept
        assert len(text(source, "requestParameters") or "") == length + 4


def test_the_name_of_who_authenticates_is_taken_out_and_still_counts():
    twelve = {letter: letter for letter in "pqrstuvwxyz`"}
    record = {"eventName": "UserAuthentication", "additionalEventData": {**twelve, "UserName": "erin"}}
    source = Source(record)
    assert (text(source, "additionalEventData") or "").startswith("{`=`, p=p, q=q")
    assert flattened(source, "additionalEventData") == twelve
    assert record["additionalEventData"]["UserName"] == "erin"
    source = Source({"eventName": "UserAuthentication", "additionalEventData": {b"UserName": b"erin", b"x": 1}})
    assert (text(source, "additionalEventData"), flattened(source, "additionalEventData")) == ("{x=1}", {"x": 1})


def test_insight():
    assert insight(Source({"insightDetails": {"state": "Start", "x": ""}})) == {"state": "Start"}
    assert insight(Source({"insightDetails": "x"})) is None


def test_each_resource_once_the_last_of_those_alike():
    one = {"ARN": "a", "accountId": "111122223333", "type": "t", "more": [1]}
    source = Source({"resources": [one, {"arn": "b"}, {**one, "more": [2]}, {**one, "type": "u"}, "x"]})
    renamed = {"arn": "a", "account_id": "111122223333", "type": "t", "more": [2]}
    found = resources(source)
    assert found is not None
    assert sorted(found, key=repr) == sorted([renamed, {"arn": "b"}, {**renamed, "type": "u", "more": [1]}], key=repr)
    assert resources(Source({"resources": ["x"]})) is None


def test_resources_in_the_order_of_a_hash_map():
    arns = ["arn:aws:s3:::a", "arn:aws:s3:::b", "arn:aws:s3:::c"]
    keys = {f"{arn}_111122223333_": arn for arn in arns}
    source = Source({"resources": [{"ARN": arn, "accountId": "111122223333"} for arn in reversed(arns)]})
    assert [resource["arn"] for resource in resources(source) or ()] == [
        keys[key] for key in hash_order(reversed(list(keys)))
    ]
