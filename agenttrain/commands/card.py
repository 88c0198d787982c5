"""`agenttrain card`: candidate reward functions -> the best that passes, before a step is trained by any.

Checked, then judged by Trajectory Preference Evaluation on stored trajectories (CARD, arXiv 2410.14660).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from agenttrain import store
from agenttrain.card.coder import Coder
from agenttrain.card.course import trained_by
from agenttrain.card.function import fits
from agenttrain.card.judge import Judge, Verdict, balanced
from agenttrain.card.lineage import Lineage, Parent
from agenttrain.card.preference import Rule, Statistic
from agenttrain.errors import UserError
from agenttrain.eval.report import print_table
from agenttrain.ranges import Count, Positive, Share, Whole
from agenttrain.sandbox.sandbox import Sandbox
from agenttrain.types import FAILED_BY_US, InfraError, Policy

Candidate = tuple[Verdict, bytes]
"""What was found of a function, and its source."""


def card(
    path: Path,
    candidates: Path | None,
    out: Path,
    trained: Path | None = None,
    coder: Policy | None = None,
    rounds: Count = 4,
    ask_again: Whole = 2,
    max_chars: Count = 6000,
    statistic: Statistic = "return",
    rule: Rule = "above_best_failure",
    threshold: Share = 0.8,
    cold_start: Literal["open", "closed"] = "open",
    seconds: Positive = 5.0,
    trajectories: Count | None = 200,
    seed: Whole = 0,
    resume: bool = False,
) -> None:
    """Judge each `*.py` of `candidates` on the trajectories of `path` that the agent itself ended, well or badly. Where
    none passes, or `trained` is to be improved on, `coder` writes versions, each after it was told of the one before.

    Writes `<out>/reward.py`, the accepted one with the greatest share judged right (of equals one that pays little for
    ending early, then the one that tells most failures apart, then the first), `report.md` and `figures.json` with a
    row for every candidate, and `versions/`.

    Raises:
        UserError: no trajectory, nobody who writes, or nothing on this machine can hold their code.
        SystemExit: status 1; none is accepted, so that nothing is trained.
    """
    writes = Coder(coder, ask_again, max_chars) if coder else None
    if not writes and (trained or not candidates):
        raise UserError("Who writes the functions? candidates=FOLDER, or coder.model=NAME and coder.url=http://host/v1")
    source = path / "trajectories.jsonl" if path.is_dir() else path
    played = [t for t in store.read(source) if t.turns and t.stop not in FAILED_BY_US]
    usable = [t for t in played if fits(t)]
    if not usable:
        raise UserError(f"{source} holds no trajectory to judge by.")
    files, before = _files(candidates), trained_by(trained) if trained else None
    sandbox = Sandbox()
    sandbox.start_now()
    judge = Judge(balanced(usable, trajectories, seed), statistic, rule, threshold, cold_start, sandbox, seconds)
    found = [_given(judge, file) for file in files]
    if writes and (before or not any(verdict.accepted for verdict, _ in found)):
        parent = _parent(writes, judge, found, before)
        found += _written(Lineage(out / "versions").written(writes, judge, rounds, parent), out)
    sandbox.close()
    best = max((f for f in found if f[0].accepted), key=lambda f: f[0].merit, default=None)
    out.mkdir(parents=True, exist_ok=True)
    if best:
        (out / "reward.py").write_bytes(best[1])
    about = {"stored": len(played), "too_large": len(played) - len(usable), "seed": seed}
    _tell(about | _figures(judge, found, best), [verdict for verdict, _ in found], source, out)
    if not best:
        sys.exit(f"agenttrain: none of {len(found)} candidates passes, so there is no reward to train by")


def _figures(judge: Judge, found: Sequence[Candidate], best: Candidate | None) -> dict[str, Any]:
    successes = sum(t.success for t in judge.trajectories)
    return {
        "successes": successes,
        "failures": len(judge.trajectories) - successes,
        "statistic": judge.statistic,
        "rule": judge.rule,
        "threshold": judge.threshold,
        "cold_start": judge.cold_start,
        "candidates": [verdict.row() for verdict, _ in found],
        "chosen": best[0].name if best else None,
    }


def _files(candidates: Path | None) -> list[Path]:
    files = sorted(candidates.glob("*.py")) if candidates else []
    if candidates and not files:
        raise UserError(f"candidates={candidates} has no *.py; each is to define reward(trajectory).")
    return files


def _given(judge: Judge, file: Path) -> Candidate:
    try:
        content = file.read_bytes()
        return judge(file.name, content.decode("utf-8")), content
    except (OSError, UnicodeDecodeError) as error:
        return Verdict(file.name, False, None, False, f"cannot be read: {error}"), b""


def _parent(coder: Coder, judge: Judge, found: Sequence[Candidate], before: tuple[str, str] | None) -> Parent | None:
    """What the first version is to improve on: the function that was trained by, or else the best of the given ones."""
    if before:
        source, course = before
        verdict = judge("trained.py", source)
        return Parent(verdict.name, source, f"{course}\n\n{coder.feedback(verdict, judge)}")
    sound = [(verdict, content) for verdict, content in found if verdict.sound]
    if not sound:
        return None
    verdict, content = max(sound, key=lambda pair: pair[0].share or 0.0)
    return Parent(verdict.name, content.decode("utf-8"), coder.feedback(verdict, judge))


def _written(versions: Iterator[tuple[Verdict, str]], out: Path) -> Iterator[Candidate]:
    try:
        for verdict, source in versions:
            print(f"{verdict.name}: {verdict.why}", file=sys.stderr)
            yield verdict, source.encode()
    except InfraError as error:
        kept = f"\nWhat was written is in {out / 'versions'}; resume=true goes on from there."
        raise UserError(f"{error}{kept if (out / 'versions').is_dir() else ''}") from None


def _tell(figures: dict[str, Any], verdicts: Sequence[Verdict], source: Path, out: Path) -> None:
    shares = ("judged right", "failures told apart", "gained by stopping")
    columns = ("candidate", "checks", *shares, "verdict", "why", "written after")
    rows = [
        (
            verdict.name,
            "passed" if verdict.sound else "failed",
            *("" if share is None else f"{share:.1%}" for share in (verdict.share, verdict.apart, verdict.stopping)),
            "accepted" if verdict.accepted else "rejected",
            verdict.why,
            verdict.parent or "",
        )
        for verdict in verdicts
    ]
    judged = figures["successes"] + figures["failures"]
    drawn = f", drawn by seed={figures['seed']}" if judged + figures["too_large"] < figures["stored"] else ""
    left = f" {figures['too_large']} are too large for the sandbox, and left out." if figures["too_large"] else ""
    notes = [
        f"{figures['successes']} successes and {figures['failures']} failures "
        f"of the {figures['stored']} trajectories in {source}{drawn}.{left}",
        f"statistic={figures['statistic']} rule={figures['rule']} threshold={figures['threshold']:g}",
        f"Chosen: {figures['chosen'] or 'none'}.",
    ]
    if not any(verdict.parent for verdict in verdicts):
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    lines = ("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |\n" for row in rows)
    table = f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n{''.join(lines)}"
    text = "\n\n".join(notes)
    (out / "report.md").write_text(f"# Candidate rewards\n\n{table}\n{text}\n", encoding="utf-8")
    (out / "figures.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print_table(columns, rows)
    for note in notes:
        print(note)
