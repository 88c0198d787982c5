"""Several sources of records -> Example, drawn with a probability each: J = eta E_agent + (1 - eta) E_general
(AgentTuning, arXiv 2310.12823)."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

from agenttrain.data.select import Report, Selected
from agenttrain.data.text import Text
from agenttrain.errors import UserError
from agenttrain.ranges import Count, NonNegative, Whole
from agenttrain.types import Example


@dataclass(kw_only=True)
class Mixture:
    """Every draw chooses a source by its share, and takes that source's next record in a random order; a source that
    has no more begins anew in another order. A record that is drawn again is the very same object: who reads it can
    tell, and do his work once. `report` is the sum of the sources'.

    Args:
        of: name -> its records; a source may be a mixture itself, which without an `n` of its own has no end.
        shares: name -> weight of its records among all draws; one that is not named weighs 1. A source of share 0 is
            not read.
        n: number of draws; None for as many as the sources have records together.
        seed: of the draws.

    Raises:
        UserError: there is no source, a share is of none of them, or all shares are 0; on iteration: what a source
            raises.
    """

    of: dict[str, Selected | Text | Mixture]
    shares: dict[str, NonNegative] = field(default_factory=dict)
    n: Count | None = None
    seed: Whole = 0
    report: Report = field(default_factory=Report, init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.of:
            raise UserError("data=mixture holds no records. Take a recipe that names them: conf=agenttuning")
        if unknown := self.shares.keys() - self.of.keys():
            raise UserError(f"data.shares.{min(unknown)}: there is no such source. There are: {', '.join(self.of)}")
        if not any(self._shares().values()):
            raise UserError("data.shares are all 0")

    def __iter__(self) -> Iterator[Example]:
        draws, records = self._draws()
        return islice(draws, self.n or records)

    def _draws(self) -> tuple[Iterator[Example], int]:
        """Draws without an end, and of how many records they are."""
        rng = random.Random(f"mixture/{self.seed}")
        shares = {name: share for name, share in self._shares().items() if share}
        sources, records, self.report = {}, 0, Report()
        for name in shares:
            draws, count = _read(self.of[name], rng)
            sources[name] = _named(name, draws)
            records += count
            read = self.of[name].report
            self.report.records += read.records
            self.report.kept += read.kept
            self.report.dropped.update(read.dropped)
            self.report.untrained.update(read.untrained)

        def endless() -> Iterator[Example]:
            while True:
                (name,) = rng.choices([*shares], [*shares.values()])
                yield next(sources[name])

        return endless(), records

    def _shares(self) -> dict[str, float]:
        return {name: self.shares.get(name, 1.0) for name in self.of}


def _read(source: Selected | Text | Mixture, rng: random.Random) -> tuple[Iterator[Example], int]:
    if isinstance(source, Mixture) and not source.n:
        return source._draws()
    records = list(source)
    return _passes(records, rng), len(records)


def _named(name: str, drawn: Iterable[Example]) -> Iterator[Example]:
    """What is drawn twice stays one object."""
    named: dict[int, Example] = {}
    for one in drawn:
        if id(one) not in named:
            named[id(one)] = replace(one, part=f"{name}.{one.part}" if one.part else name)
        yield named[id(one)]


def _passes(records: list[Example], rng: random.Random) -> Iterator[Example]:
    while True:
        yield from rng.sample(records, len(records))
