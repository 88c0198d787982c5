"""Nothing -> Document: a library of APIs that nobody could know by heart before training."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from functools import cache
from itertools import product

from agenttrain.errors import UserError
from agenttrain.gorilla.documents import SYLLABLES, Document, read_documents

_log = logging.getLogger(__name__)

_WORK = ("classification", "detection", "segmentation", "counting", "captioning", "retrieval", "tracking", "repair")
_SUBJECTS = (
    "bird flower car train ship bridge street river mountain face hand dog horse insect tree leaf cloud road "
    "letter word song voice drum step cell bone tooth coin stamp shoe chair lamp cup apple bread crop roof door "
    "window ring watch book map flag"
)
_LIBRARIES = ("visio", "sono", "texto")
MOST = len(_WORK) * len(_SUBJECTS.split())
"""APIs that can be invented."""


@cache
def known(path: str | None, world: int, size: int) -> tuple[Document, ...]:
    """The documents of a file or folder, read once per process; without one, of an invented library."""
    if path is None:
        return tuple(invented(world, size))
    documents, dropped = read_documents(path)
    for reason, count in dropped.items():
        _log.warning("%s: left out %d records: %s", path, count, reason)
    return tuple(documents)


def invented(world: int, size: int) -> Iterator[Document]:
    """`size` APIs whose names nobody could guess, the same for equal seeds `world`.

    Raises:
        UserError: there are fewer to invent.
    """
    if size > MOST:
        raise UserError(f"No more than {MOST} APIs can be invented, not {size}.")
    rng, kinds = random.Random(f"apis/{world}"), list(product(_SUBJECTS.split(), _WORK))
    names = rng.sample([first + second for first, second in product(SYLLABLES, repeat=2)], size)
    for (subject, work), name in zip(rng.sample(kinds, size), names, strict=True):
        library = _LIBRARIES[_WORK.index(work) % len(_LIBRARIES)]
        record = {"domain": work, "functionality": f"{subject} {work}", "api_call": f"{library}.load('{name}')"}
        yield Document(f"invented-{world}/{subject}-{work}", record)
