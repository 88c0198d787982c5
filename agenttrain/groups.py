"""Episodes as they come -> whole groups: for whatever compares the attempts at a task with each other."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import TypeVar

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


def whole(items: Iterable[T], key: Callable[[T], K], sizes: Mapping[K, int]) -> Iterator[list[T]]:
    """Each group when the last of its items has come, items in the order in which they came. `sizes` has how many
    items each key has."""
    open_groups: dict[K, list[T]] = {}
    for item in items:
        group = open_groups.setdefault(key(item), [])
        group.append(item)
        if len(group) == sizes[key(item)]:
            yield open_groups.pop(key(item))
