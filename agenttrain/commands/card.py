"""`agenttrain card`: candidate reward functions -> the best that passes, before a step is trained by any.

Checked, then judged by Trajectory Preference Evaluation on stored trajectories (CARD, arXiv 2410.14660).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from agenttrain import store
from agenttrain.card.function import fits
from agenttrain.card.judge import Judge, Verdict, balanced
from agenttrain.card.preference import Rule, Statistic
from agenttrain.errors import UserError
from agenttrain.eval.report import print_table
from agenttrain.ranges import Count, Positive, Share, Whole
from agenttrain.sandbox.sandbox import Sandbox
from agenttrain.types import FAILED_BY_US


def card(
    path: Path,
    candidates: Path,
    out: Path,
    statistic: Statistic = "return",
    rule: Rule = "above_best_failure",
    threshold: Share = 0.8,
    cold_start: Literal["open", "closed"] = "open",
    seconds: Positive = 5.0,
    trajectories: Count | None = 200,
    seed: Whole = 0,
) -> None:
    """Judge each `*.py` of `candidates` on the trajectories of `path` that the agent itself ended, well or badly.

    Writes `<out>/reward.py`, the accepted one with the greatest share judged right (of equals the one that tells most
    failures apart, then the first by name), and `report.md` and `figures.json` with a row for every candidate.

    Raises:
        UserError: no trajectory, no candidate, or nothing on this machine can hold their code.
        SystemExit: status 1; none is accepted, so that nothing is trained.
    """
    source = path / "trajectories.jsonl" if path.is_dir() else path
    played = [t for t in store.read(source) if t.turns and t.stop not in FAILED_BY_US]
    usable = [t for t in played if fits(t)]
    if not usable:
        raise UserError(f"{source} holds no trajectory to judge by.")
    files = sorted(candidates.glob("*.py"))
    if not files:
        raise UserError(f"candidates={candidates} has no *.py; each is to define reward(trajectory).")
    judged = balanced(usable, trajectories, seed)
    sandbox = Sandbox()
    sandbox.start_now()
    judge = Judge(judged, statistic, rule, threshold, cold_start, sandbox, seconds)
    verdicts = [_verdict(judge, file) for file in files]
    sandbox.close()
    best = max((v for v in verdicts if v.accepted), key=lambda v: (v.share or 0.0, v.apart or 0.0), default=None)
    successes = sum(t.success for t in judged)
    figures = {
        "stored": len(played),
        "too_large": len(played) - len(usable),
        "successes": successes,
        "failures": len(judged) - successes,
        "seed": seed,
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


def _verdict(judge: Judge, file: Path) -> Verdict:
    try:
        source = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return Verdict(file.name, False, None, False, f"cannot be read: {error}")
    return judge(file.name, source)


def _tell(figures: dict[str, Any], verdicts: Sequence[Verdict], source: Path, out: Path) -> None:
    columns = ("candidate", "checks", "judged right", "failures told apart", "verdict", "why")
    rows = [
        (
            verdict.name,
            "passed" if verdict.sound else "failed",
            "" if verdict.share is None else f"{verdict.share:.1%}",
            "" if verdict.apart is None else f"{verdict.apart:.1%}",
            "accepted" if verdict.accepted else "rejected",
            verdict.why,
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
    lines = ("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |\n" for row in rows)
    table = f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n{''.join(lines)}"
    text = "\n\n".join(notes)
    (out / "report.md").write_text(f"# Candidate rewards\n\n{table}\n{text}\n", encoding="utf-8")
    (out / "figures.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print_table(columns, rows)
    for note in notes:
        print(note)
