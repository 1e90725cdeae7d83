import codecs
import gzip
import io
import json
import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from firstseen.errors import InputError
from firstseen.eventfiles import Event, decode_object, encode_object, events_in, in_ascii, read_events, texts_in

A = {"eventName": "A", "n": 1.0}
B = {"eventName": "B"}


def raws(path: Path) -> list[bytes]:
    return [event.raw for event in read_events(str(path))]


@pytest.mark.parametrize(
    "text",
    [
        '{"Records": [{"eventName":"A"},{"eventName":"B"}]}',
        '[{"eventName":"A"},{"eventName":"B"}]',
        '{"eventName":"A"}\n{"eventName":"B"}\n',
        '\n{"eventName":"A"}\n\n{"eventName":"B"}',
        '{"Records": [{"eventName":"A"}]}\n{"Records": [{"eventName":"B"}]}\n',
        '[{"eventName":"A"}]\n',
        '{\n "Records": [\n  {\n   "eventName": "A"\n  },\n  {"eventName": "B"}]}',
        '{"_index":"i","_id":"1","_source":{"eventName":"A"}}\n{"_index":"i","_id":"2","_source":{"eventName":"B"}}\n',
        '{"_index":"i","_source":{"eventName":"A"}}',
        '{"took":1,"hits":{"total":2,"hits":[{"_index":"i","_source":{"eventName":"A"}},'
        '{"_index":"i","_source":{"eventName":"B"}}]}}',
        '[{"_index":"i","_source":{"eventName":"A"}},{"eventName":"B"}]',
    ],
    ids=[
        *("log file", "array", "lines", "blank lines", "log files as lines", "array of one", "pretty"),
        *("elasticdump", "one document", "search", "array of hits"),
    ],
)
def test_shapes(tmp_path: Path, text: str) -> None:
    path = tmp_path / "events.json"
    path.write_text(text)

    names = [json.loads(raw)["eventName"] for raw in raws(path)]

    assert names == (["A"] if "B" not in text else ["A", "B"])


@pytest.mark.parametrize(
    "text",
    [
        '{"eventName":"A"}',
        '{"eventName":"A","Records":7}',
        '{"Records":null}',
        '{"hits":7}',
        '{"_source":{}}',
        '{"hits":{"hits":[{"_index":"i"}]}}',
    ],
)
def test_one_object_is_one_event(tmp_path: Path, text: str) -> None:
    path = tmp_path / "event.json"
    path.write_text(text)

    assert raws(path) == [text.encode()]


def test_the_text_of_an_event_is_kept(tmp_path: Path) -> None:
    text = b'{"a":1.0,"b":1e3,"c":"\\u0041\\/","d":12345678901234567890123,"a":2}'
    path = tmp_path / "events.json"
    path.write_bytes(b'{"Records":[' + text + b"]}")

    assert raws(path) == [text]


@pytest.mark.parametrize("odd", [b"NaN", b"-Infinity", b'"\\ud800"'])
def test_records_that_only_the_standard_library_takes_are_events_of_their_own(tmp_path: Path, odd: bytes) -> None:
    path = tmp_path / "events.json"
    events = [b'{"a":1.00,"b": [{}, "]\\""]}', b'{"a":' + odd + b"}", b"{}"]
    for head, between, tail in (
        (b'{"Records":[', b",", b"]}"),
        (b'{ "x" : {"Records":[]} , "\\u0052ecords"\n:\t[ ', b"\r\n , ", b' ]\n, "y":[] }\n'),
        (b'{"Records":[{}],"Records":[', b", ", b"]}"),
        (b"[", b",", b"]"),
        (b" [ ", b" ,\n", b"\n]\n"),
    ):
        text = head + between.join(events) + tail
        path.write_bytes(text)

        assert raws(path) == events
        assert list(texts_in(text, "it")) == events


@pytest.mark.parametrize("odd", [b'{"n":NaN}', b'{"n":"\\ud83d"}', b'{"Records":[{"n":NaN}]}'])
def test_lines_are_lines_also_where_the_first_is_odd(tmp_path: Path, odd: bytes) -> None:
    path = tmp_path / "events.ndjson"
    path.write_bytes(b"\n".join((odd, b'{"a":1}', b'{"a":2}')))
    assert len(raws(path)) == 3


@pytest.mark.parametrize("text", [b'{"Records":7,"n":NaN}', b'{"n":NaN}', b'{"Records":[],"Records":{"n":NaN}}'])
def test_one_object_that_only_the_standard_library_takes_is_one_event(text: bytes) -> None:
    assert list(events_in(text, "it")) == [text]


def test_documents_beside_one_that_only_the_standard_library_takes_come_without_their_envelopes() -> None:
    text = b'[{"_index":"i","_source":{"a":1}},{"n":NaN}]'

    assert list(events_in(text, "it")) == [b'{"a":1}', b'{"n":NaN}']


def test_a_log_file_that_only_the_standard_library_takes_may_be_empty() -> None:
    assert list(events_in(b'{"Records":[ ],"n":NaN}', "it")) == []


@pytest.mark.parametrize(
    "text",
    [
        b'[{"n":NaN},7]',
        b'[{"n":NaN}',
        b'[{"n":NaN}] {}',
        b'{"Records":[{"n":NaN},7]}',
        b'{"Records":[{"n":NaN}',
        b"NaN",
        b'{\0"\0n\0"\0:\x001\0}\0',
    ],
)
def test_what_is_no_event_is_none_for_the_standard_library_either(text: bytes) -> None:
    with pytest.raises(InputError, match=r"^it: "):
        list(events_in(text, "it"))


def test_an_event_over_several_lines_that_only_the_standard_library_takes_becomes_one(tmp_path: Path) -> None:
    path = tmp_path / "events.json"
    path.write_text('{"Records":[{\r\n "a": NaN}]}')

    assert raws(path) == [b'{   "a": NaN}']


def test_an_event_over_several_lines_becomes_one_line(tmp_path: Path) -> None:
    path = tmp_path / "events.json"
    path.write_text('[{\n "a": 1.0,\r\n "b": "x\\ny"}]')

    assert [raw.count(b"\n") for raw in raws(path)] == [0]
    assert decode_object(raws(path)[0]) == {"a": 1.0, "b": "x\ny"}


def test_gzip_is_known_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "events"
    path.write_bytes(gzip.compress(json.dumps([A]).encode()) + gzip.compress(b"\n", mtime=0))

    assert [event.decode() for event in read_events(str(path))] == [A]


@pytest.mark.parametrize("stored", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_byte_order_mark_is_no_part_of_the_events(tmp_path: Path, stored: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "events.json"
    for text in (b'{"n":1}', b'{"n":1}\n{"n":2}\n', b'{"Records":[{"n":1}]}', b""):
        path.write_bytes(stored(text))
        expected = raws(path)
        path.write_bytes(stored(codecs.BOM_UTF8 + text))

        assert raws(path) == expected


@pytest.mark.parametrize("stored", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_utf_16_is_told_of(tmp_path: Path, stored: Callable[[bytes], bytes], encoding: str) -> None:
    path = tmp_path / "events.json"
    text = '{"n":1}' if encoding == "utf-16" else '\ufeff{"n":1}'
    path.write_bytes(stored(text.encode(encoding)))

    with pytest.raises(InputError, match=r"is UTF-16.*`iconv") as caught:
        raws(path)

    assert str(caught.value).startswith(str(path))


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BufferedReader(io.BytesIO(json.dumps(B).encode())))
    monkeypatch.setattr("sys.stdin", stream)

    assert [(event.source, event.number) for event in read_events("-")] == [("standard input", 1)]


def test_an_empty_file_has_no_events(tmp_path: Path) -> None:
    path = tmp_path / "empty.json"
    path.write_text("\n \n")

    assert raws(path) == []


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"nonsense", "no JSON"),
        (b'{"eventName":"A"}\n{"eventName":', ":2: this is no JSON"),
        (b"[1]", "element 1 is no JSON object"),
        (b'{"a":1}\n{"a":' + b"[" * 9_999 + b"]" * 9_999 + b"}", ":2: this is nested too deep"),
        (b'{"Records":[{"a":1},"x"]}', "element 2 is no JSON object"),
        (gzip.compress(b'{"eventName":"A"}', mtime=0)[:-4], "ended before"),
    ],
)
def test_faults_name_their_place(tmp_path: Path, content: bytes, fault: str) -> None:
    path = tmp_path / "events.json"
    path.write_bytes(content)

    with pytest.raises(InputError, match=fault) as caught:
        raws(path)

    assert str(caught.value).startswith(str(path))


def test_the_lines_before_a_broken_one_are_read(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    path.write_text('{"eventName":"A"}\n{"eventName":"B"}\nbroken\n')
    found = []

    with pytest.raises(InputError, match=":3: "):
        found.extend(event.number for event in read_events(str(path)))

    assert found == [1, 2]


def test_numbers_beyond_64_bits_are_numbers() -> None:
    assert decode_object(b'{"n":123456789012345678901234567890}') == {"n": 123456789012345678901234567890}


@pytest.mark.parametrize("more", [b"", b',"m":NaN'], ids=["decoded", "decoded leniently"])
def test_numbers_longer_than_python_reads_are_beyond_all_numbers(more: bytes) -> None:
    text = b'{"n":-' + b"9" * 5_000 + more + b"}"

    assert list(events_in(b'{"Records":[' + text + b"]}", "it")) == [text]
    assert decode_object(text)["n"] == -math.inf


def test_an_event_that_cannot_be_decoded_is_told_of_with_its_place() -> None:
    with pytest.raises(InputError, match=r"^log\.json: event 7 cannot be read: it is nested too deep$"):
        Event(b'{"a":' + b"[" * 9_999 + b"]" * 9_999 + b"}", "log.json", 7).decode()


@pytest.mark.parametrize(
    "text", [b'{"Records":{"a":"b"}]}', b'{"Records":[7,x]}', b'{"_source":1,"_index":2,"hits":"\\q"}']
)
def test_what_is_no_envelope_and_no_json_either_is_told_of(text: bytes) -> None:
    with pytest.raises(InputError, match=r"^it: this is no JSON"):
        list(events_in(text, "it"))


@pytest.mark.parametrize("text", [b'{"a":1.5}', b'{"n":123456789012345678901234567890}', b'{"half":"\\ud800"}'])
def test_what_is_decoded_can_be_encoded(text: bytes) -> None:
    assert encode_object(decode_object(text)) == text


RECORDS = b'{"Records":[{"a":1},{"b":[{}]}]}'


@pytest.mark.parametrize(
    "text",
    [
        RECORDS,
        b'{"Records":[{}]}',
        RECORDS + b" \n",
        b" " + RECORDS,
        RECORDS.replace(b",{", b" ,{"),
        RECORDS.replace(b",{", b", {"),
        RECORDS.replace(b"}]}", b"} ]}"),
        RECORDS.replace(b"}]}", b"}] }"),
        RECORDS[:-1] + b',"x":[{"c":1},{"d":[{}]}]}',
        RECORDS[:-1] + b',"Records":[{"c":1},{"d":[{}]}]}',
        RECORDS[:-1] + b',"Records":[]}',
        RECORDS[:-1] + b',"Records":[1]}',
        RECORDS[:-1] + b',"Records":0}',
        b'{"Records":[]}',
        b'{"Records":[{"a":1},null]}',
        b'{"Records":[[{"a":1}],{}]}',
        b'{"Records":[{"a":1},{}',
        b'[{"a":1},{}]',
        b'{"_index":"i","_source":{"a":1}}',
        b'{"a":1}',
    ],
)
def test_where_events_lie_in_a_document_is_where_its_events_are(text: bytes) -> None:
    try:
        expected = list(events_in(text, "it"))
    except InputError as error:
        with pytest.raises(InputError, match=re.escape(str(error))):
            texts_in(text, "it")
    else:
        texts = texts_in(text, "it")
        assert list(texts) == expected
        assert len(texts) == len(expected)


def test_events_of_a_log_file_lie_in_its_own_text() -> None:
    assert texts_in(RECORDS, "it").text is RECORDS


@pytest.mark.parametrize("odd", ["\x9b2J", "\u202e", "ü", "\U0001f600", "\\u009b", "\x7f"])
def test_in_ascii_the_text_is_the_same_and_says_the_same(odd: str) -> None:
    raw = f'{{ "{odd}" : 1.50, "b":"{odd} {odd}" }}'.encode()
    shown = in_ascii(raw)
    assert shown.isascii()
    assert decode_object(shown) == decode_object(raw)
    assert shown.startswith(b'{ "')
    assert b" : 1.50, " in shown


def test_in_ascii_bytes_that_are_no_utf8_are_what_is_read_of_them() -> None:
    assert in_ascii(b'{"a":"bad\xe9"}') == b'{"a":"bad\\udce9"}'


def test_bytes_that_are_no_utf8_are_kept() -> None:
    raw = b'{"a":"bad\xe9","b":1}'
    assert decode_object(raw) == {"a": "bad\udce9", "b": 1}
    assert json.loads(encode_object(decode_object(raw))) == {"a": "bad\udce9", "b": 1}


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b'{"a": "' + b"x" * 100 + b'"}', ": a line or a document"),
        (b" " * 200 + b"{}", ": a line or a document"),
        (b'[\n{"a": "' + b"x" * 90 + b'"}\n]', ": a document"),
        (b'{"a": 1}\n{"b": 2}\n{"c": "' + b"x" * 100 + b'"}\n', ":3: a line or a document"),
    ],
    ids=["a line", "blanks", "a document", "a later line"],
)
def test_what_would_take_too_much_memory_is_told_of(tmp_path: Path, content: bytes, place: str) -> None:
    """A few kilobytes of gzip may be gigabytes of text."""
    path = tmp_path / "events.json.gz"
    path.write_bytes(gzip.compress(content))
    with pytest.raises(InputError, match=re.escape(f"{path}{place} of more than 0 MiB")):
        list(read_events(str(path), most=100))
    assert len(list(read_events(str(path)))) in (1, 3)
