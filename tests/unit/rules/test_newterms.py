"""The cases are in tests/spec/rules; here is what they cannot say."""

import msgpack

from firstseen.rules.loader import load_rules
from support.documents import Document
from support.rulefiles import changed, rule_of


def test_the_predicate_is_the_query(tmp_path):
    rule = rule_of('event.action: "CreateUser" and not user.name: svc-*', tmp_path)
    assert rule.predicate(Document({"event": {"action": "CreateUser"}, "user.name": "mary"}))
    assert not rule.predicate(Document({"event": {"action": "CreateUser"}, "user.name": "svc-ci"}))


def test_a_threat_can_be_sent_as_it_is(tmp_path):
    path = tmp_path / "rule.toml"
    threat = '[[rule.threat]]\nframework = "F"\ntactic = {id = "T", name = "N", reference = "R"}\n'
    path.write_text(changed([("[rule.new_terms]", threat + "[rule.new_terms]")]))
    (rule,) = load_rules([path]).rules
    packed = msgpack.packb(list(rule.threat))
    assert msgpack.unpackb(packed) == [{"framework": "F", "tactic": {"id": "T", "name": "N"}, "technique": []}]
