from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from firstseen.store.texts import pack_text, unpack_text, verbatim

parts = st.text(st.characters(), max_size=8) | st.sampled_from(["user", "role", "root", "1", "aws", "/", ":"])
arns = st.builds(
    "arn:{}:{}::{:012}:{}{}".format,
    st.sampled_from(["aws", "aws-cn", "aws-us-gov", "aws-iso"]),
    st.sampled_from(["iam", "sts", "s3"]),
    st.integers(0, 10**12),
    st.sampled_from(["user/", "role/", "assumed-role/", "federated-user/", "group/", ""]),
    st.lists(parts, max_size=4).map("".join),
)
texts = arns | st.text(st.characters(), max_size=20)


@given(texts)
def test_any_text_comes_back(text):
    """And different texts lie as different bytes, or they would not come back."""
    assert unpack_text(pack_text(text)) == text


@given(st.binary(max_size=12))
def test_any_bytes_are_a_text_or_refused(raw):
    """Any bytes are a text or raise `ValueError`; never anything else."""
    try:
        text = unpack_text(raw)
    except ValueError:
        return
    assert unpack_text(pack_text(text)) == text


@given(texts, st.data())
def test_no_text_that_holds_it_is_filtered_out(text, data):
    """Of any part of a text: the bytes by which it is looked for lie in what lies for the text."""
    start = data.draw(st.integers(0, len(text)))
    part = text[start : data.draw(st.integers(start, len(text)))]
    assert verbatim(part) in pack_text(text)
    assert verbatim(part) in text.encode("utf-8", "surrogatepass")
