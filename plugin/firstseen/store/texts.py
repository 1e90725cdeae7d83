"""Texts as they lie in a state: in UTF-8, and of an ARN only what tells it from the thousands that begin as it does.

What stands before and behind the account in the ARN of a user, a role or a session is one byte, one with which no UTF-8
begins; the account is its number in five, and the rest lies as it is. Of 47 characters 22 bytes are left.
"""

from __future__ import annotations

import re

_PARTITIONS = ("aws", "aws-cn", "aws-us-gov")
_KINDS = (
    ("iam", "user/"),
    ("iam", "role/"),
    ("sts", "assumed-role/"),
    ("sts", "federated-user/"),
    ("iam", ""),
    ("sts", ""),
)
_SHAPES = [(partition, service, kind) for partition in _PARTITIONS for service, kind in _KINDS]
"""Their order is the form on disk: add behind them, 64 at the most, and change none."""

_FIRST = 0x80
"""The byte of the first shape: from here on 64 only go on with a character of UTF-8."""
_CODES = {shape: bytes([_FIRST + number]) for number, shape in enumerate(_SHAPES)}
_AROUND = [(f"arn:{partition}:{service}::", f":{kind}") for partition, service, kind in _SHAPES]
_ARN = re.compile(
    f"arn:({'|'.join(_PARTITIONS)}):(iam|sts)::([0-9]{{12}}):(user/|role/|assumed-role/|federated-user/|)(.*)",
    re.DOTALL,
)
_ACCOUNT_SIZE, _ACCOUNTS = 5, 10**12
_REST_AT = 1 + _ACCOUNT_SIZE

_SEPARATOR = re.compile("[:/]")
_LEFT_OUT = frozenset(part for before, behind in _AROUND for part in _SEPARATOR.split(before + behind))
_IN_AN_ACCOUNT = re.compile("[0-9]{1,12}")


def pack_text(text: str) -> bytes:
    """Any text, to come back from `unpack_text` as it was."""
    arn = _ARN.fullmatch(text)
    if arn is not None:
        partition, service, account, kind, rest = arn.groups()
        code = _CODES.get((partition, service, kind))
        if code is not None:
            return code + int(account).to_bytes(_ACCOUNT_SIZE, "big") + _utf8(rest)
    return _utf8(text)


def unpack_text(raw: bytes) -> str:
    """The text of `pack_text`. Raises `ValueError` for what is none."""
    number = raw[0] - _FIRST if raw else -1
    if not 0 <= number < len(_AROUND):
        return raw.decode("utf-8", "surrogatepass")
    account = int.from_bytes(raw[1:_REST_AT], "big")
    if len(raw) < _REST_AT or account >= _ACCOUNTS:
        raise ValueError("its ARN is no ARN")
    before, behind = _AROUND[number]
    return f"{before}{account:012}{behind}{raw[_REST_AT:].decode('utf-8', 'surrogatepass')}"


def verbatim(text: str) -> bytes:
    """Bytes that are in what `pack_text` makes of every text that holds ``text``: the more, the sharper a filter.

    What is left out of an ARN ends with a separator. So the last part of ``text`` that has none in it lies as it is,
    unless it may itself be of what is left out; then there are no such bytes.
    """
    last = _SEPARATOR.split(text)[-1]
    if _IN_AN_ACCOUNT.fullmatch(last) or any(last in part for part in _LEFT_OUT):
        return b""
    return _utf8(last)


def _utf8(text: str) -> bytes:
    # surrogatepass: any text that Python can hold is written and comes back as it was.
    return text.encode("utf-8", "surrogatepass")
