from __future__ import annotations

from functools import partial

import pytest

from firstseen.record.fields import (
    NO_LIMIT,
    NodesOf,
    field_type,
    has_indexed,
    ignore_above,
    indexed_values,
    utf16_length,
)
from firstseen.record.tree import find


def within(record: object) -> NodesOf:
    return partial(find, record)


@pytest.mark.parametrize(
    ("es_type", "names"),
    [
        ("keyword", "event.action user.name aws.cloudtrail.request_parameters aws.cloudtrail.error_code process.name"),
        ("unknown", "no.such.field text caseless a.ipx x gcp.audit.method_name process.no_such_key user.namex"),
        ("constant_keyword", "data_stream.dataset data_stream.type data_stream.namespace event.dataset event.module"),
        ("ip", "source.ip destination.nat.ip related.ip network.forwarded_ip dns.resolved_ip x.y.ip ip"),
        ("ip", "process.entry_leader.entry_meta.source.ip threat.enrichments.indicator.ip host.target.ip"),
        ("long", "destination.port source.as.number http.response.status_code process.parent.pid event.duration"),
        ("long", "http.request.body.bytes network.bytes process.args_count kibana.alert.risk_score file.size"),
        ("float", "event.risk_score vulnerability.score.base"),
        ("scaled_float", "host.cpu.usage"),
        (
            "boolean",
            "aws.cloudtrail.read_only process.code_signature.trusted dll.code_signature.exists tls.established",
        ),
        ("boolean", "aws.cloudtrail.console_login.additional_eventdata.mfa_used process.parent.interactive"),
        ("date", "@timestamp event.ingested event.created process.start file.mtime tls.client.not_after"),
        ("date", "aws.cloudtrail.user_identity.session_context.creation_date package.installed"),
        ("wildcard", "url.full url.path process.command_line process.parent.command_line registry.data.strings"),
        ("wildcard", "http.request.body.content threat.indicator.url.original process.io.text error.stack_trace"),
        ("match_only_text", "message error.message powershell.file.script_block_text"),
        ("text", "process.name.text aws.cloudtrail.request_parameters.text"),
        ("caseless", "process.name.caseless"),
        ("nested", "threat.enrichments email.attachments process.pe.sections file.elf.segments"),
        ("object", "event process.parent labels dns.answers aws"),
        ("geo_point", "source.geo.location"),
        ("flattened", "aws.cloudtrail.flattened.request_parameters aws.cloudtrail.flattened.digest"),
        ("flattened", "log.syslog.structured_data"),
        ("flattened_key", "aws.cloudtrail.flattened.request_parameters.source.ip log.syslog.structured_data.a"),
        ("flattened_key", "aws.cloudtrail.flattened.response_elements.a.text"),
        ("keyword", "aws.cloudtrail.flattened.request_parametersx"),
    ],
)
def test_types(es_type, names):
    assert {name: field_type(name) for name in names.split()} == dict.fromkeys(names.split(), es_type)


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("user.name", 1024),
        ("user.name.caseless", 1024),
        ("aws.cloudtrail.request_parameters", 8191),
        ("aws.cloudtrail.response_elements", 8191),
        ("aws.cloudtrail.additional_eventdata", 1024),
        ("url.query", 2083),
        ("no.such.field", 1024),
        ("aws.cloudtrail.flattened.request_parameters.key", 32_766),
        ("message", NO_LIMIT),
        ("process.command_line", NO_LIMIT),
        ("aws.cloudtrail.request_parameters.text", NO_LIMIT),
    ],
)
def test_limits(name, limit):
    assert ignore_above(name) == limit


@pytest.mark.parametrize(("text", "length"), [("", 0), ("é", 1), ("😀", 2), ("a😀b", 4), ("\udcff", 1)])
def test_length_is_counted_as_java_does(text, length):
    assert utf16_length(text) == length


@pytest.mark.parametrize(
    ("text", "indexed"),
    [("x" * 1024, True), ("x" * 1025, False), ("😀" * 512, True), ("😀" * 512 + "x", False), ("é" * 1024, True)],
)
def test_a_longer_text_is_no_value_and_does_not_exist(text, indexed):
    record = {"a": {"b": text}}
    assert indexed_values("a.b", within(record)) == ((text,) if indexed else ())
    assert has_indexed("a.b", within(record)) is indexed
    assert has_indexed("a", within(record)) is indexed


def test_the_limit_is_that_of_the_field_that_holds_the_text():
    record = {"aws": {"cloudtrail": {"request_parameters": "x" * 8191, "error_message": "x" * 8191}}}
    assert has_indexed("aws", within(record))
    del record["aws"]["cloudtrail"]["request_parameters"]
    assert not has_indexed("aws", within(record))
    assert indexed_values("aws.cloudtrail.error_message.text", within(record)) == ("x" * 8191,)


def test_a_multi_field_exists_where_its_field_has_a_value():
    record = {"process": {"name": "sh"}}
    assert has_indexed("process.name.caseless", within(record))
    assert not has_indexed("process.caseless", within(record))


def test_a_flattened_object_has_its_leaves_as_values():
    record = {"aws.cloudtrail.flattened.digest": {"a": [1, {"b": b"x"}], "c": None}}
    assert indexed_values("aws.cloudtrail.flattened.digest", within(record)) == (1, "x")
    assert indexed_values("aws.cloudtrail.flattened", within(record)) == ()


def test_a_key_that_goes_on_after_the_name_is_below_it():
    record = {"aws.cloudtrail.flattened.digest.a": 1, "b": [{b"c.d": "x" * 1025, "c.e": None, "cc.d": 2}]}
    assert has_indexed("aws.cloudtrail", within(record))
    assert indexed_values("aws.cloudtrail.flattened.digest", within(record)) == (1,)
    assert indexed_values("aws.cloudtrail.flattened", within(record)) == ()
    assert not has_indexed("b.c", within(record))
    assert has_indexed("b", within(record))
