"""Items -> what a function makes of each, in order, several at once: for functions that mostly wait for others."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
U = TypeVar("U")


def overlapped(function: Callable[[T], U], items: Iterable[T], at_once: int) -> Iterator[U]:
    """As `map`, with up to `at_once` calls under way, each in a thread, while the next items come. With 1 it is `map`.

    What a call raises is raised in its place; calls that have not begun by then never do.
    """
    if at_once == 1:
        yield from map(function, items)
        return
    pool = ThreadPoolExecutor(at_once, "overlap")
    under_way: deque[Future[U]] = deque()
    try:
        for item in items:
            under_way.append(pool.submit(function, item))
            while under_way and (under_way[0].done() or len(under_way) >= at_once):
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
