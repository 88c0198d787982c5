"""`agenttrain turn-values`: stored trajectories -> how often a policy succeeds from each of their turns on.

Monte-Carlo labels of a process reward model, as in Math-Shepherd (arXiv 2312.08935).
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from statistics import fmean

from agenttrain import play, store
from agenttrain import rollout as loop
from agenttrain.commands.rescore import Identity, identity
from agenttrain.continued import Branch, Continued
from agenttrain.errors import UserError
from agenttrain.eval.report import print_table
from agenttrain.model.loaded import Model, ModelPolicy
from agenttrain.model.threads import settle_threads
from agenttrain.preferences import usable
from agenttrain.ranges import Count, Whole
from agenttrain.types import FAILED_BY_US, Environment, Policy, Trajectory


def turn_values(
    env: Environment,
    policy: Policy,
    model: Model,
    rollout: loop.Limits,
    path: Path,
    out: Path,
    continuations: Whole = 4,
    episodes: Count | None = None,
    seed: Whole = 0,
    resume: bool = False,
    threads: Count | None = None,
) -> None:
    """Do the turns of each trajectory again, up to each of them, and let `policy` go on from there; with
    `continuations=0` nobody plays, and what was recorded is the one continuation of each of its turns.

    Leaves `trajectories.jsonl` (the continuations, a line as each ends), `values.jsonl`, `report.md` and `figures.json`
    in `out`. Resuming plays the continuations that are owed.

    Raises:
        UserError: nothing to continue, no replay went as recorded, an `out` that is in use or of other trajectories.
    """
    records = _drawn(usable(store.read(path / "trajectories.jsonl" if path.is_dir() else path)), episodes, seed)
    if not records:
        raise UserError(f"{path} holds no episode that was played.")
    if others := {str(record.meta["env"]) for record in records if "env" in record.meta} - {loop.name_of(env)}:
        raise UserError(f"{path} was played in env={', '.join(sorted(others))}: name that, with the same settings.")
    # Numbers that no recorded attempt has: one of equal number would be sampled as that was.
    first = 1 + max(record.attempt for record in records)
    branches = dict(enumerate(_branches(records, continuations), start=first))
    wanted = [loop.Attempt(b.trajectory.task, number, b.trajectory.seed) for number, b in branches.items()]
    played = out / "trajectories.jsonl"
    kept, owed = play.split(wanted, played, resume)
    if owed and isinstance(policy, ModelPolicy):
        loaded = model.load()
        settle_threads(loaded.model, threads)
        policy.attach(loaded.model, loaded.chat, loaded.name)
    tally = _Tally(branches)
    if not continuations:
        tally.take_recorded(records)
    try:
        for trajectory in chain(kept, play.episodes(owed, env, Continued(policy, branches), rollout, played)):
            tally.add(trajectory)
    except (KeyboardInterrupt, OSError):
        print(f"what has ended is in {played}; resume=true plays the rest", file=sys.stderr)
        raise
    if branches and not tally.successes:
        raise UserError(
            f"No replay went as recorded in {path} ({tally.diverged} diverged, {tally.failed} failed).\n"
            "Name the environment that it was played in, with the same settings: env=..."
        )
    _tell([(record, tally.values(record)) for record in records], tally, path, out)


def read_values(path: Path) -> dict[Identity, dict[int, float]]:
    """What `turn_values` left (a file, or the folder of a run): of each trajectory the values, by number of the turn.

    Raises:
        UserError: no such file, or another one.
    """
    file = path / "values.jsonl" if path.is_dir() else path
    try:
        lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        return {
            (line["task"], line["attempt"], line["seed"], line["step"]): {
                turn: float(value) for turn, value in enumerate(line["values"]) if value is not None
            }
            for line in lines
        }
    except OSError as error:
        raise UserError(f"values={path}: {error.strerror}. `agenttrain turn-values` writes them.") from None
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"{file} holds no values of turns, as `agenttrain turn-values` writes them ({error})."
        ) from None


@dataclass
class _Tally:
    """The ends of the continuations."""

    branches: Mapping[int, Branch]
    successes: dict[tuple[int, int], list[bool]] = field(default_factory=dict)
    """By the trajectory, and the number of its turns that were done again."""
    diverged: int = 0
    failed: int = 0
    steps: int = 0
    """Actions that the environment executed."""
    steps_again: int = 0
    """Those of them that only did recorded turns again."""

    def take_recorded(self, records: Iterable[Trajectory]) -> None:
        for record in records:
            self.successes |= {(id(record), turns): [record.success] for turns in range(1, len(record.turns))}

    def add(self, played: Trajectory) -> None:
        branch = self.branches[played.attempt]
        self.steps += len(played.turns)
        self.steps_again += min(branch.turns, len(played.turns))
        if played.stop in FAILED_BY_US:
            self.failed += 1
        elif not branch.begins(played):
            self.diverged += 1
        else:
            self.successes.setdefault((id(branch.trajectory), branch.turns), []).append(played.success)

    def values(self, record: Trajectory) -> list[float | None]:
        """Of each turn the share of successes, and of the last one the outcome; None where no continuation counts."""
        known = [self.successes.get((id(record), turns)) for turns in range(1, len(record.turns))]
        return [*(fmean(ends) if ends else None for ends in known), float(record.success)]


def _drawn(records: list[Trajectory], most: int | None, seed: int) -> list[Trajectory]:
    if most is None or most >= len(records):
        return records
    places = random.Random(f"continued {seed}").sample(range(len(records)), most)
    return [records[place] for place in sorted(places)]


def _branches(records: Sequence[Trajectory], continuations: int) -> Iterator[Branch]:
    """After each turn but the last, whose value is the outcome."""
    for record in records:
        for turns in range(1, len(record.turns)):
            for _ in range(continuations):
                yield Branch(record, turns)


def _tell(valued: list[tuple[Trajectory, list[float | None]]], tally: _Tally, path: Path, out: Path) -> None:
    with (out / "values.jsonl").open("w", encoding="utf-8") as file:
        for record, values in valued:
            named = dict(zip(("task", "attempt", "seed", "step"), identity(record), strict=True))
            file.write(json.dumps({**named, "values": values}) + "\n")
    ends = list(tally.successes.values())
    figures = {
        "trajectories": len(valued),
        "turns_valued": sum(value is not None for _, values in valued for value in values),
        "turns_without": sum(value is None for _, values in valued for value in values),
        "continuations": len(tally.branches) - tally.diverged - tally.failed,
        "continuations_diverged": tally.diverged,
        "continuations_failed": tally.failed,
        "environment_steps": tally.steps,
        "of_these_done_again": tally.steps_again,
        "mean_value": fmean(map(fmean, ends)) if ends else None,
    }
    (out / "figures.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    rows = [
        (name.replace("_", " "), f"{value:.3f}" if isinstance(value, float) else str(value))
        for name, value in figures.items()
    ]
    table = "".join(f"| {name} | {value} |\n" for name, value in rows)
    about = f"Success from each turn of {path} on; `mean value` is over the turns that were continued."
    (out / "report.md").write_text(f"# Values of turns\n\n{about}\n\n| | |\n|---|---|\n{table}", encoding="utf-8")
    print_table(("figure", "value"), rows)
    print(f"values: {out / 'values.jsonl'}   report: {out / 'report.md'}")
