"""Two futures as one."""

from __future__ import annotations

import threading
from concurrent.futures import Future


def joined(one: Future[None], other: Future[None]) -> Future[None]:
    """Ends when both have, and fails if one does."""
    both: Future[None] = Future()
    both.set_running_or_notify_cancel()
    left = [one, other]
    lock = threading.Lock()

    def ended(future: Future[None]) -> None:
        with lock:
            left.remove(future)
            is_last = not left
        if is_last:
            error = one.exception() or other.exception()
            if error is None:
                both.set_result(None)
            else:
                both.set_exception(error)

    one.add_done_callback(ended)
    other.add_done_callback(ended)
    return both
