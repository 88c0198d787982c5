"""`agenttrain rescore`: stored trajectories -> the same with other rewards, and what that changes. Nobody plays."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

from agenttrain import store
from agenttrain.combine import VETO, Terms
from agenttrain.errors import UserError
from agenttrain.eval.report import print_table, rate_text
from agenttrain.eval.statistics import best_at, pass_at
from agenttrain.groups import whole
from agenttrain.overlap import overlapped
from agenttrain.ranges import Positive
from agenttrain.reward.score import apart, at_once, compare, score
from agenttrain.types import FAILED_BY_US, Reward, Trajectory
from agenttrain.watch import progress

STORED = "stored"
"""Entry of `meta` that keeps the scores and weights that a trajectory had before."""

Identity = tuple[object, ...]

ALL = "sum, weighted"
"""Row of the table for what the trajectories return in all."""


def rescore(
    path: Path,
    reward: dict[str, Reward],
    combine: Terms,
    out: Path,
    timeout: Positive = 60.0,
    resume: bool = False,
) -> None:
    """Write `<out>/trajectories.jsonl`, a line for each line of `path` (a file, or the folder of a run), each synced as
    it is scored, and `report.md` and `figures.json`, which say what changed. `path` is only read. Where rewards compare
    attempts, those at one task stand together, groups in the order in which they are whole.

    Raises:
        UserError: no such file, `out` is where it lies, what is to be resumed are other trajectories or rewards, or
            there are no two attempts to compare.
    """
    combine.begin(reward)
    source, target = path / "trajectories.jsonl" if path.is_dir() else path, out / "trajectories.jsonl"
    if source.resolve() == target.resolve():
        raise UserError(f"out={out} is where the trajectories are: choose another folder with out=...")
    done = list(map(identity, _resumed(target, list(reward)))) if resume and target.exists() else []
    alone, in_groups = apart(reward)

    def scored(owed: tuple[list[Trajectory], int]) -> Sequence[Trajectory]:
        group, written = owed
        return compare([score(_marked(one), alone, timeout) for one in group], in_groups, timeout)[written:]

    groups = _whole_groups(source) if in_groups else ([one] for one in store.read(source))
    with store.Writer(target) as writer, progress("Scoring", _lines(source)) as bar:
        bar.advance(len(done))
        owed = _owed(groups, done, f"of {target} is another episode than in {source}")
        for group in overlapped(scored, owed, at_once(reward)):
            for trajectory in group:
                writer.write(combine.weigh(trajectory))
                bar.advance(1)
    if not target.exists():
        raise UserError(f"{source} holds no trajectory.")
    _tell(_figures(store.read(target)), source, out)


def _whole_groups(source: Path) -> Iterator[list[Trajectory]]:
    sizes = Counter(map(_group, store.read(source)))
    if max(sizes.values(), default=2) < 2:
        raise UserError(
            f"The rewards compare attempts at a task, and {source} has only one at each: play it with attempts=4."
        )
    return whole(store.read(source), _group, sizes)


def _group(trajectory: Trajectory) -> Identity:
    """Attempts at one task from one start, by the policy of one step."""
    return trajectory.task.id, trajectory.seed, trajectory.meta.get("step")


def _owed(
    groups: Iterable[list[Trajectory]], done: Sequence[Identity], otherwise: str
) -> Iterator[tuple[list[Trajectory], int]]:
    """The groups that are not written yet, each with the number of its episodes that are; the first may have some.

    Raises:
        UserError: `done` are other episodes.
    """
    read = 0
    for group in groups:
        known = done[read : read + len(group)]
        for place, (one, trajectory) in enumerate(zip(known, group, strict=False), start=1):
            if one != identity(trajectory):
                raise UserError(f"cannot resume: line {read + place} {otherwise}.")
        read += len(group)
        if len(known) < len(group):
            yield group, len(known)


def _marked(trajectory: Trajectory) -> Trajectory:
    """With the scores that it had."""
    trajectory.meta[STORED] = {"scores": trajectory.scores, "weights": trajectory.weights}
    return trajectory


def _figures(rescored: Iterable[Trajectory]) -> dict[str, Any]:
    """What changed, in numbers; means are over the episodes that have a score by the term."""
    pairs: dict[str, list[tuple[float | None, float | None]]] = {}
    errors: Counter[str] = Counter()
    violations: Counter[str] = Counter()
    groups: dict[str, list[tuple[float, bool]]] = {}
    disagreement: dict[str, list[float]] = {}
    episodes = unsafe = 0
    for trajectory in rescored:
        episodes += 1
        if trajectory.scores and trajectory.stop not in FAILED_BY_US:
            group = f"{trajectory.task.id} of step {trajectory.meta.get('step')}"
            groups.setdefault(group, []).append((sum(trajectory.turn_rewards), trajectory.success))
        then, now = _sums(_as_stored(trajectory)), _sums(trajectory)
        for name in {**then, **now}:
            pairs.setdefault(name, []).append((then.get(name), now.get(name)))
        for name, share in trajectory.meta.get("disagreement", {}).items():
            if name in trajectory.scores:
                disagreement.setdefault(name, []).append(share)
        if trajectory.stop == "reward_error":
            errors[str(trajectory.error)] += 1
        told = (turn.observation.feedback.get("violations", ()) for turn in trajectory.turns)
        broken = {name for names in told for name in names}
        unsafe += bool(broken)
        violations.update(broken)
    terms = {name: _compared(pairs[name]) for name in sorted(pairs, key=lambda name: (name == ALL, name))}
    opposed = {name: fmean(shares) for name, shares in disagreement.items()}
    found = {"disagreement": opposed, "unsafe": unsafe, "violations": dict(violations), "errors": dict(errors)}
    return {"episodes": episodes, "terms": terms, "best_of": _best_of(groups), **found}


def _best_of(groups: dict[str, list[tuple[float, bool]]]) -> dict[str, dict[str, Any]]:
    """k -> success where of k attempts at a task the one with the highest return is taken, and where any succeeds."""
    most = max(map(len, groups.values()), default=1)
    results = {group: [success for _, success in attempts] for group, attempts in groups.items()}
    ks = [k for k in range(1, most + 1) if most > 1 and (k & (k - 1) == 0 or k == most)]
    both = {k: (best_at(k, groups), pass_at(k, results)) for k in ks}
    return {str(k): {"chosen": asdict(best), "any": asdict(some)} for k, (best, some) in both.items() if best and some}


def _compared(pairs: list[tuple[float | None, float | None]]) -> dict[str, float | None]:
    changes = [now - then for then, now in pairs if then is not None and now is not None]
    return {
        "stored": _mean(then for then, _ in pairs),
        "now": _mean(now for _, now in pairs),
        "change": _mean(changes),
        "changed": sum(abs(change) > 1e-9 for change in changes),
        "of": len(changes),
    }


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _tell(figures: dict[str, Any], source: Path, out: Path) -> None:
    rows = [
        (
            name,
            _shown(row["stored"]),
            _shown(row["now"]),
            _shown(row["change"], "+"),
            f"{row['changed']} of {row['of']}",
        )
        for name, row in figures["terms"].items()
    ]
    columns = ("term", "stored, mean", "now, mean", "change, mean", "episodes changed")
    notes = [f"{figures['episodes']} trajectories of {source}."]
    notes += [
        f"Best of {k} by this reward: {rate_text(row['chosen'])} succeed; any of {k}: {rate_text(row['any'])}."
        for k, row in figures["best_of"].items()
    ]
    notes += [
        f"{name} ranked {share:.0%} of pairs oppositely when they were shown in the opposite order."
        for name, share in figures["disagreement"].items()
    ]
    notes += [f"Principle {name!r} is broken in {n} of them." for name, n in figures["violations"].items()]
    notes += [f"{n} could not be scored: {error}." for error, n in figures["errors"].items()]
    table = "".join(f"| {' | '.join(row)} |\n" for row in (columns, ("---",) * len(columns), *rows))
    text = "\n\n".join(notes)
    (out / "report.md").write_text(f"# Scored again\n\n{table}\n{text}\n", encoding="utf-8")
    (out / "figures.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print_table(columns, rows)
    for line in (*notes, f"trajectories: {out / 'trajectories.jsonl'}   report: {out / 'report.md'}"):
        print(line)


def _shown(value: float | None, sign: str = "") -> str:
    return "none" if value is None else f"{value:{sign}.4f}"


def _sums(trajectory: Trajectory) -> dict[str, float]:
    """What each term gave the episode, and the weighted sum of all."""
    each = {name: sum(scores) for name, scores in trajectory.scores.items()}
    return each | {ALL: sum(trajectory.turn_rewards)} if each else {}


def _as_stored(trajectory: Trajectory) -> Trajectory:
    kept = trajectory.meta[STORED]
    return Trajectory(
        trajectory.task, trajectory.turns, trajectory.stop, scores=kept["scores"], weights=kept["weights"]
    )


def _resumed(target: Path, names: list[str]) -> Iterable[Trajectory]:
    for trajectory in store.read(target):
        if STORED not in trajectory.meta or (trajectory.scores and {*trajectory.scores} - {VETO} != {*names}):
            raise UserError(f"cannot resume: {target} has scores by {', '.join(trajectory.scores)}, not by reward=.")
        yield trajectory


def identity(trajectory: Trajectory) -> Identity:
    """What tells the episodes of a file apart: task, attempt, seed and the step of training."""
    return trajectory.task.id, trajectory.attempt, trajectory.seed, trajectory.meta.get("step")


def _lines(path: Path) -> int:
    if not path.is_file():
        return 0
    with path.open("rb") as file:
        return sum(1 for _ in file)
