from __future__ import annotations

import pytest

from firstseen.store.texts import pack_text, unpack_text, verbatim

ADA = "arn:aws:iam::111122223333:user/ada"
SESSION = "arn:aws:sts::000000000001:assumed-role/deployment/i-0123456789abcdef0"


@pytest.mark.parametrize(
    ("text", "packed"),
    [
        (ADA, b"\x80" + (111122223333).to_bytes(5, "big") + b"ada"),
        ("arn:aws:iam::111122223333:role/ci/deploy", b"\x81" + (111122223333).to_bytes(5, "big") + b"ci/deploy"),
        (SESSION, b"\x82" + (1).to_bytes(5, "big") + b"deployment/i-0123456789abcdef0"),
        ("arn:aws:iam::999999999999:root", b"\x84" + (999999999999).to_bytes(5, "big") + b"root"),
        ("arn:aws-us-gov:sts::111122223333:", b"\x91" + (111122223333).to_bytes(5, "big")),
        ("ada", b"ada"),
        ("", b""),
        ("\ud800", b"\xed\xa0\x80"),
        ("arn:aws:iam::1111:user/ada", b"arn:aws:iam::1111:user/ada"),
        ("arn:aws:iam:eu-west-1:111122223333:user/ada", b"arn:aws:iam:eu-west-1:111122223333:user/ada"),
    ],
    ids=ascii,
)
def test_what_lies_on_disk(text: str, packed: bytes) -> None:
    assert pack_text(text) == packed
    assert unpack_text(packed) == text


@pytest.mark.parametrize(
    "text",
    [
        ADA + "\n",
        "arn:aws:iam::111122223333:user/\ud800\udc00 é\0",
        "arn:aws:iam::111122223333:user",
        "arn:aws:sts::111122223333:user/",
        "arn:aws:iam::\N{ARABIC-INDIC DIGIT ONE}11122223333:user/ada",
        " " + ADA,
        "\x80",
        "\u0800",
    ],
    ids=ascii,
)
def test_any_text_comes_back_as_it_was(text: str) -> None:
    assert unpack_text(pack_text(text)) == text


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"\xff", "invalid start byte"),
        (b"\x80\0\0\0\0", "its ARN is no ARN"),
        (b"\x80\xff\xff\xff\xff\xffada", "its ARN is no ARN"),
        (b"\xbf\0\0\0\0\0ada", "invalid start byte"),
        (b"\x80\0\0\0\0\0\xff", "invalid start byte"),
    ],
)
def test_bytes_that_are_no_text_are_refused(raw: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        unpack_text(raw)


@pytest.mark.parametrize(
    ("text", "sharp"),
    [
        (ADA, b"ada"),
        ("user/", b""),
        ("111122223333", b""),
        ("1111222233334", b"1111222233334"),
        ("iam::1111", b""),
        ("arn:aws:iam::111122223333:us", b""),
        ("ole/deployment/i-01", b"i-01"),
        ("sume", b""),
        ("a:b/c", b""),
        ("a:b/ccc", b"ccc"),
        ("é x", b"\xc3\xa9 x"),
    ],
)
def test_a_filter_is_as_sharp_as_it_may_be(text: str, sharp: bytes) -> None:
    assert verbatim(text) == sharp
