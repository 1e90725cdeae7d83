from __future__ import annotations

import msgpack
import pytest

from firstseen.record.spans import decode_record, entry_span, message_span
from firstseen.record.splice import labelled_entry, place_of_labels

LABEL = {"id": "1"}
PACKED = msgpack.packb(LABEL)

map_header = msgpack.Packer().pack_map_header


def labelled(entry: bytes, labels=(LABEL,), key: str = "alerts") -> bytes:
    data = b"before" + entry + b"behind"
    span = entry_span(data, 6, 6 + len(entry))
    assert span is not None
    return labelled_entry(data, span, decode_record(data, span), key, labels)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (b"\x92\x01\x80", b"\x92\x01\x81\xa6alerts\x91" + PACKED),
        (b"\x92\x01\x81\xa1m\xa1\xff", b"\x92\x01\x82\xa1m\xa1\xff\xa6alerts\x91" + PACKED),
        (b"\x92\x92\x01\x81\xa1m\x02\x80", b"\x92\x92\x01\x81\xa1m\x02\x81\xa6alerts\x91" + PACKED),
        (b"\x92\x01\xdf\x00\x00\x00\x00", b"\x92\x01\xdf\x00\x00\x00\x01\xa6alerts\x91" + PACKED),
        (b"\x92\x01\xde\x00\x00", b"\x92\x01\xde\x00\x01\xa6alerts\x91" + PACKED),
        (
            b"\xdd\x00\x00\x00\x02\xcf" + bytes(7) + b"\x01\x82\xa1a\x01\xa1a\xca\x3f\xc0\x00\x00",
            b"\xdd\x00\x00\x00\x02\xcf"
            + bytes(7)
            + b"\x01\x83\xa1a\x01\xa1a\xca\x3f\xc0\x00\x00\xa6alerts\x91"
            + PACKED,
        ),
    ],
)
def test_one_pair_more(entry, expected):
    assert labelled(entry) == expected


def test_a_message_has_no_array_around_it():
    data = b"before\x01\x80behind"
    span = message_span(data, 6, 8)
    assert labelled_entry(data, span, {}, "alerts", [LABEL]) == b"\x01\x81\xa6alerts\x91" + PACKED


@pytest.mark.parametrize("count", [14, 15, 16, 65_534, 65_535, 65_536])
def test_maps_that_grow_out_of_their_width(count):
    record = {f"{number:05}": 0 for number in range(count)}
    entry = msgpack.packb([1, record])
    pairs = entry[2 + len(map_header(count)) :]
    assert labelled(entry) == b"\x92\x01" + map_header(count + 1) + pairs + b"\xa6alerts\x91" + PACKED
    assert msgpack.unpackb(labelled(entry)) == [1, {**record, "alerts": [LABEL]}]


@pytest.mark.parametrize("count", [1, 15, 16, 17])
def test_several_labels(count):
    labels = [{"id": str(number)} for number in range(count)]
    assert msgpack.unpackb(labelled(b"\x92\x01\x80", labels)) == [1, {"alerts": labels}]


@pytest.mark.parametrize("count", [0, 1, 14, 15, 16, 65_534, 65_535])
def test_a_list_that_is_there_is_made_longer(count):
    entry = msgpack.packb([1, {"a": 1, "alerts": [{"id": "0"}] * count, "b": [2]}])
    found = labelled(entry, [LABEL, LABEL])
    assert msgpack.unpackb(found) == [1, {"a": 1, "alerts": [{"id": "0"}] * count + [LABEL, LABEL], "b": [2]}]
    assert list(msgpack.unpackb(found)[1]) == ["a", "alerts", "b"]


def test_a_list_keeps_the_width_of_its_header():
    entry = b"\x92\x01\x81\xda\x00\x06alerts\xdd\x00\x00\x00\x01\xcf" + bytes(8)
    assert labelled(entry) == b"\x92\x01\x81\xda\x00\x06alerts\xdd\x00\x00\x00\x02\xcf" + bytes(8) + PACKED


def test_of_two_lists_the_one_that_decoders_see():
    entry = b"\x92\x01\x82\xa6alerts\x91\x01\xa6alerts\x91\x02"
    assert labelled(entry) == b"\x92\x01\x82\xa6alerts\x91\x01\xa6alerts\x92\x02" + PACKED


@pytest.mark.parametrize(
    ("before", "place"),
    [
        ({"alerts": "mine"}, "alerts_"),
        ({"alerts": {"a": 1}}, "alerts_"),
        ({"alerts": None}, "alerts_"),
        ({"alerts": 1, "alerts_": 2, "alerts__": 3}, "alerts___"),
        ({"alerts": 1, "alerts_": ["not ours"]}, "alerts__"),
        ({b"alerts": ["a bin"]}, "alerts_"),
        ({"alerts": 1, b"alerts_": 2}, "alerts__"),
        ({"alert": 1, "Alerts": 2, "a": {"alerts": 3}}, "alerts"),
    ],
)
def test_what_is_somebody_elses_is_left_alone(before, place):
    found = msgpack.unpackb(labelled(msgpack.packb([1, before])), strict_map_key=False)
    assert found == [1, {**before, place: [LABEL]}]


def test_a_value_after_a_list_decides():
    entry = b"\x92\x01\x82\xa6alerts\x91\x01\xa6alerts\x02"
    assert labelled(entry) == b"\x92\x01\x83" + entry[3:] + b"\xa7alerts_\x91" + PACKED


def test_keys_that_cannot_be_decoded_do_not_hide_a_list():
    entry = b"\x92\x01\x83\x90\x01\x81\x01\x02\x03\xa6alerts\x90"
    assert labelled(entry) == b"\x92\x01\x83\x90\x01\x81\x01\x02\x03\xa6alerts\x91" + PACKED


def test_other_keys():
    assert labelled(b"\x92\x01\x80", key="é") == b"\x92\x01\x81\xa2\xc3\xa9\x91" + PACKED
    assert labelled(b"\x92\x01\x81\xa2\xc3\xa9\x90", key="é") == b"\x92\x01\x81\xa2\xc3\xa9\x91" + PACKED


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("\udcff", b"\xa1\xff"),
        ("\ud800", b"\xa3\xed\xa0\x80"),
        (2**64 - 1, b"\xcf" + b"\xff" * 8),
        (2**64, b"\xb418446744073709551616"),
        (-(2**63) - 1, b"\xb4-9223372036854775809"),
        (float("inf"), b"\xcb\x7f\xf0" + bytes(6)),
        (None, b"\xc0"),
        (True, b"\xc3"),
    ],
)
def test_whatever_a_term_may_be(value, written):
    assert labelled(b"\x92\x01\x80", [{"values": [value]}]).endswith(b"\x91\x81\xa6values\x91" + written)


@pytest.mark.parametrize(
    ("record", "place"),
    [
        ({}, ("alerts", None)),
        ({"alerts": []}, ("alerts", [])),
        ({"alerts": [1], "alerts_": 2}, ("alerts", [1])),
        ({"alerts": "mine"}, ("alerts_", None)),
        ({b"alerts": [1]}, ("alerts_", None)),
        ({"alerts": None, "alerts_": [1]}, ("alerts__", None)),
    ],
)
def test_where_labels_go(record, place):
    assert place_of_labels(record, "alerts") == place
