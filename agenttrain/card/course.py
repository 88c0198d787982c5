"""A run of rl by `reward=card` -> its function, and in words how training by it went: CARD's feedback of process."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean

import yaml

from agenttrain.errors import UserError

POINTS = 5


def trained_by(run: Path) -> tuple[str, str]:
    """The source that the run was rewarded by, and the course of success and of its reward.

    Raises:
        UserError: no such run, or it has no step yet.
    """
    try:
        config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
        source = Path(config["reward"]["card"]["path"]).read_text(encoding="utf-8")
        lines = (run / "metrics.jsonl").read_text(encoding="utf-8").split("\n")
    except (OSError, KeyError, TypeError) as error:
        raise UserError(f"trained={run} is no run of rl by reward=card ({type(error).__name__}: {error}).") from None
    rows = [row for line in lines if line.strip() and "success" in (row := json.loads(line))]
    if not rows:
        raise UserError(f"trained={run} has no step in its metrics.jsonl yet.")
    return source, _told(rows)


def _told(rows: list[dict[str, float]]) -> str:
    size = max(1, -(-len(rows) // POINTS))
    parts = [rows[start : start + size] for start in range(0, len(rows), size)]

    def course(name: str) -> str:
        return ", ".join(f"{fmean(row[name] for row in part):.3g}" for part in parts)

    return (
        f"An agent was trained by that function for {len(rows)} steps. In {len(parts)} parts of the training, one "
        f"after the other, its episodes had the mean reward {course('reward')}; the share of them that succeeded was "
        f"{course('success')}; they had {course('turns')} turns."
    )
