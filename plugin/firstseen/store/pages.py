"""Whether a database's file holds every page that is in use: LMDB maps it, and what is cut off would end the process.

A file may be shorter than its last page number says, as pages that a transaction took and gave back are not written. So
a short one is walked: from the newer of the two meta pages along everything that they lead to. This reads the file's
own form (LMDB 0.9, 64 bits): pages with a head of 16 bytes, nodes with one of 8.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_HEAD = struct.Struct("=QHHHH")  # page number, padding, flags, end of the node pointers, start of the nodes
_NODE = struct.Struct("=HHHH")  # size of the data or number of the page, in two or three parts, and size of the key
_META = struct.Struct("=II16x48s48sQQ")  # magic, version, ..., two trees, last page, transaction
_TREE = struct.Struct("=IHH32xQ")  # padding (of the first: size of a page), flags, depth, ..., root
_NUMBER = struct.Struct("=Q")

_MAGIC, _VERSION = 0xBEEFC0DE, 1
_BRANCH, _LEAF = 0x01, 0x02
_BIG, _SUBTREE = 0x01, 0x02
_NOWHERE = (1 << 64) - 1
_TRIES = 3


class Missing(NamedTuple):
    """What a file lacks: it has so many bytes, and a page that is in use ends behind them, at ``needed``."""

    size: int
    needed: int


class _Meta(NamedTuple):
    page_size: int
    roots: tuple[int, int]
    last_page: int
    transaction: int


def missing(path: Path) -> Missing | None:
    """What the file lacks of the pages in use, if anything. None also for what is no such database: LMDB says why.

    A file that is being written meanwhile is looked at again, and taken for whole where it does not keep still: its
    owner has looked at it before.
    """
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        for _ in range(_TRIES):
            meta = _meta(file)
            if meta is None or os.fstat(file).st_size >= (meta.last_page + 1) * meta.page_size:
                return None
            try:
                needed = max((last for root in meta.roots for last in _pages(file, meta.page_size, root)), default=0)
            except struct.error:  # it is damaged in more ways than one
                needed = meta.last_page
            lacks = Missing(os.fstat(file).st_size, (needed + 1) * meta.page_size)
            if lacks.size >= lacks.needed:
                return None
            if _meta(file) == meta:
                return lacks
    finally:
        os.close(file)
    return None


def _meta(file: int) -> _Meta | None:
    first = _meta_at(file, 0)
    if first is None:
        return None
    second = _meta_at(file, first.page_size)
    return first if second is None or first.transaction > second.transaction else second


def _meta_at(file: int, at: int) -> _Meta | None:
    raw = os.pread(file, _META.size, at + _HEAD.size)
    if len(raw) < _META.size:
        return None
    magic, version, free, main, last_page, transaction = _META.unpack(raw)
    if (magic, version) != (_MAGIC, _VERSION):
        return None
    page_size, _, _, free_root = _TREE.unpack(free)
    *_, main_root = _TREE.unpack(main)
    return _Meta(page_size, (free_root, main_root), last_page, transaction) if page_size else None


def _pages(file: int, page_size: int, root: int) -> Iterator[int]:
    """The numbers of the pages that a tree is made of, of those that belong together the last one."""
    seen: set[int] = set()
    ahead = [root]
    while ahead:
        number = ahead.pop()
        if number == _NOWHERE or number in seen:
            continue
        seen.add(number)
        yield number
        page = os.pread(file, page_size, number * page_size)
        if len(page) < page_size:
            return  # what it leads to is not needed to know: it is missing itself
        _, _, flags, pointers_end, _ = _HEAD.unpack_from(page)
        count = (pointers_end - _HEAD.size) // 2
        for at in struct.unpack_from(f"={count}H", page, _HEAD.size) if count > 0 else ():
            low, high, node_flags, key_size = _NODE.unpack_from(page, at)
            data = at + _NODE.size + key_size
            if flags & _BRANCH:
                ahead.append(low | high << 16 | node_flags << 32)
            elif flags & _LEAF and node_flags & _BIG:
                pages = (_HEAD.size + (low | high << 16) - 1) // page_size + 1
                yield _NUMBER.unpack_from(page, data)[0] + pages - 1
            elif flags & _LEAF and node_flags & _SUBTREE:
                *_, subtree = _TREE.unpack_from(page, data)
                ahead.append(subtree)
