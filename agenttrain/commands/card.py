"""`agenttrain card`: candidate reward functions -> the best that passes, before a step is trained by any.

Checked, then judged by Trajectory Preference Evaluation on stored trajectories (CARD, arXiv 2410.14660).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from agenttrain import store
from agenttrain.card.function import RewardFunction
from agenttrain.card.preference import Rule, Statistic, share_right, value
from agenttrain.card.source import fault
from agenttrain.errors import UserError
from agenttrain.eval.report import print_table
from agenttrain.ranges import Positive, Share
from agenttrain.sandbox.sandbox import Sandbox
from agenttrain.types import FAILED_BY_US, Trajectory


@dataclass
class Verdict:
    """What was found of one candidate."""

    name: str
    sound: bool
    """It may be run, and gave every trajectory its scores."""
    share: float | None
    """Of what the rule looks at, what it judges right; None where it is not sound or nothing can be told."""
    accepted: bool
    why: str


@dataclass
class _Judge:
    trajectories: Sequence[Trajectory]
    statistic: Statistic
    rule: Rule
    threshold: float
    cold_start: Literal["open", "closed"]
    sandbox: Sandbox
    seconds: float

    def __call__(self, file: Path) -> Verdict:
        try:
            source = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            return Verdict(file.name, False, None, False, f"cannot be read: {error}")
        if wrong := fault(source):
            return Verdict(file.name, False, None, False, wrong)
        function = RewardFunction(source, self.sandbox, self.seconds)
        values: dict[bool, list[float]] = {True: [], False: []}
        for number, trajectory in enumerate(self.trajectories, start=1):
            try:
                values[trajectory.success].append(value(function(trajectory), self.statistic))
            except ValueError as error:
                return Verdict(file.name, False, None, False, f"{error} (trajectory {number})")
        return self._preference(file.name, values[True], values[False])

    def _preference(self, name: str, successes: Sequence[float], failures: Sequence[float]) -> Verdict:
        share = share_right(successes, failures, self.rule)
        if share is None:
            only = "successes" if successes else "failures"
            return Verdict(name, True, None, self.cold_start == "open", f"undecided: there are only {only}")
        what = "successes stand above every failure" if self.rule == "above_best_failure" else "pairs are ranked right"
        accepted = share >= self.threshold
        why = f"{share:.1%} of {what}; {self.threshold:.1%} are asked for"
        return Verdict(name, True, share, accepted, why)


def card(
    path: Path,
    candidates: Path,
    out: Path,
    statistic: Statistic = "return",
    rule: Rule = "above_best_failure",
    threshold: Share = 0.8,
    cold_start: Literal["open", "closed"] = "open",
    seconds: Positive = 5.0,
) -> None:
    """Judge each `*.py` of `candidates` on the trajectories of `path` that the agent itself ended, well or badly.

    Writes `<out>/reward.py`, the accepted one with the greatest share judged right (of equals the first by name), and
    `report.md` and `figures.json` with a row for every candidate.

    Raises:
        UserError: no trajectory, no candidate, or nothing on this machine can hold their code.
        SystemExit: status 1; none is accepted, so that nothing is trained.
    """
    source = path / "trajectories.jsonl" if path.is_dir() else path
    trajectories = [t for t in store.read(source) if t.turns and t.stop not in FAILED_BY_US]
    if not trajectories:
        raise UserError(f"{source} holds no trajectory to judge by.")
    files = sorted(candidates.glob("*.py"))
    if not files:
        raise UserError(f"candidates={candidates} has no *.py; each is to define reward(trajectory).")
    sandbox = Sandbox()
    sandbox.start_now()
    judge = _Judge(trajectories, statistic, rule, threshold, cold_start, sandbox, seconds)
    verdicts = [judge(file) for file in files]
    sandbox.close()
    best = max((v for v in verdicts if v.accepted), key=lambda v: v.share or 0.0, default=None)
    successes = sum(t.success for t in trajectories)
    figures = {
        "successes": successes,
        "failures": len(trajectories) - successes,
        "statistic": statistic,
        "rule": rule,
        "threshold": threshold,
        "cold_start": cold_start,
        "candidates": [asdict(verdict) for verdict in verdicts],
        "chosen": best.name if best else None,
    }
    out.mkdir(parents=True, exist_ok=True)
    if best:
        (out / "reward.py").write_bytes((candidates / best.name).read_bytes())
    _tell(figures, verdicts, source, out)
    if not best:
        sys.exit(f"agenttrain: none of {len(verdicts)} candidates passes, so there is no reward to train by")


def _tell(figures: dict[str, Any], verdicts: Sequence[Verdict], source: Path, out: Path) -> None:
    columns = ("candidate", "checks", "judged right", "verdict", "why")
    rows = [
        (
            verdict.name,
            "passed" if verdict.sound else "failed",
            "" if verdict.share is None else f"{verdict.share:.1%}",
            "accepted" if verdict.accepted else "rejected",
            verdict.why,
        )
        for verdict in verdicts
    ]
    notes = [
        f"{figures['successes']} successes and {figures['failures']} failures of {source}.",
        f"statistic={figures['statistic']} rule={figures['rule']} threshold={figures['threshold']:g}",
        f"Chosen: {figures['chosen'] or 'none'}.",
    ]
    lines = ("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |\n" for row in rows)
    table = f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n{''.join(lines)}"
    text = "\n\n".join(notes)
    (out / "report.md").write_text(f"# Candidate rewards\n\n{table}\n{text}\n", encoding="utf-8")
    (out / "figures.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print_table(columns, rows)
    for note in notes:
        print(note)
