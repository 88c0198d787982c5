"""A run's folder -> what all reports tell of it: facts, figures over its steps, findings, episodes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agenttrain import store
from agenttrain.errors import UserError
from agenttrain.eval import report as evaluation_report
from agenttrain.report.episodes import Kept, step_of
from agenttrain.report.findings import Finding, findings
from agenttrain.report.tokens import Words
from agenttrain.terminal import visible
from agenttrain.types import Trajectory

Row = dict[str, float | None]


@dataclass
class Run:
    """One run, as far as it has come."""

    label: str
    folder: Path
    config: dict[str, Any]
    """The content of `config.yaml`."""
    rows: list[Row]
    """Figures by step, in order; `step` is one of them."""
    kept: Kept
    words: Words
    facts: list[tuple[str, str]] = field(default_factory=list)
    """What its evaluation found."""
    summary: str = ""
    """Its `report.md`."""

    @property
    def command(self) -> str:
        """`rl`, `eval` or what else filled the folder."""
        return str(self.config.get("_target_", "run")).rpartition(".")[2].replace("_", "-")

    def findings(self) -> list[Finding]:
        """What is wrong, as far as figures show it."""
        return findings(self.rows)

    def has_tokens(self) -> bool:
        """Whether who acted left tokens of what it sampled."""
        return any(turn.action.token_ids for group in self.kept.groups() for turn in group[0].turns)

    def chosen(self) -> list[tuple[str, str]]:
        """Groups of the configuration with the option that was chosen, `credit` -> `gigpo`, and plain settings."""
        found = []
        for name, value in self.config.items():
            if isinstance(value, dict):
                options = [value] if "_target_" in value else [v for v in value.values() if isinstance(v, dict)]
                value = ", ".join(str(option.get("_target_")).split(".")[-2] for option in options)
            if name != "_target_" and value not in (None, "", []):
                found.append((visible(str(name)), visible(str(value))))
        return found


def read(place: Path, label: str, most: int, tokenizer: Path | None = None) -> Run:
    """The run in a folder, or the episodes of a trajectory file.

    Args:
        most: episodes to keep; of more, whole groups evenly over the run.
        tokenizer: where its tokens' texts are; None for the run's own model.

    Raises:
        UserError: nothing there that a run leaves, or a file of it is malformed.
    """
    if not place.exists():
        raise UserError(f"There is no {place}. Name the out folder of a run, or a trajectory file.")
    folder = place if place.is_dir() else place.parent
    files = sorted(folder.glob("trajectories*.jsonl")) if place.is_dir() else [place]
    rows = _metrics(folder / "metrics.jsonl") if place.is_dir() else {}
    if not files and not rows:
        raise UserError(f"{place} holds no run: no trajectories.jsonl, no metrics.jsonl. Name the out folder of one.")
    config, kept, sums = _config(folder / "config.yaml"), Kept(most), StepSums()
    acted = None
    for file in files:
        for trajectory in store.read(file):
            acted = acted or (trajectory.meta.get("policy") or {}).get("name")
            kept.add(trajectory)
            sums.add(trajectory)
    for step, more in sums.rows().items():
        rows.setdefault(step, {"step": step}).update(more)
    named = (config.get("model") or {}).get("path")
    places = [tokenizer] if tokenizer else [folder / "model", folder / "base", *(Path(p) for p in (acted, named) if p)]
    words = Words(places)
    if tokenizer and not words.known:
        raise UserError(f"No tokenizer.json at {tokenizer}. Name the folder of a model that agenttrain wrote.")
    ordered = [rows[step] for step in sorted(rows)]
    found = next((file for name in ("eval.json", "figures.json") if (file := folder / name).is_file()), None)
    facts = _evaluation(found) if found and place.is_dir() else []
    summary = folder / "report.md"
    told = summary.read_text(encoding="utf-8", errors="replace") if summary.is_file() and place.is_dir() else ""
    return Run(label, folder, config, ordered, kept, words, facts, told)


class StepSums:
    """Per step of training what metrics.jsonl does not hold: episodes, lengths in tokens, seconds of both halves."""

    def __init__(self) -> None:
        self._sums: dict[int, dict[str, float]] = {}

    def add(self, trajectory: Trajectory) -> None:
        """One more episode; those of no step count nowhere."""
        if (step := step_of(trajectory)) is None:
            return
        into = self._sums.setdefault(step, dict.fromkeys(("episodes", "sampled", "shown", "env", "policy"), 0.0))
        into["episodes"] += 1
        for turn in trajectory.turns:
            into["sampled"] += turn.action.sampled
            into["shown"] += len(turn.action.prompt_ids)
            for half in ("env", "policy"):
                into[half] += turn.seconds.get(half, 0.0)

    def rows(self) -> dict[int, Row]:
        """Step -> figures; lengths are means per episode, seconds are sums over all episodes of the step."""
        return {
            step: {
                "episodes": into["episodes"],
                "sampled_tokens": into["sampled"] / into["episodes"],
                "episode_tokens": (into["sampled"] + into["shown"]) / into["episodes"],
                "env_seconds": into["env"],
                "policy_seconds": into["policy"],
            }
            for step, into in self._sums.items()
        }


def _metrics(file: Path) -> dict[int, Row]:
    """Step -> its figures, those of several lines together; a torn last line, of a run that goes on, is left out."""
    rows: dict[int, Row] = {}
    lines = file.read_text(encoding="utf-8").split("\n") if file.is_file() else []
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            into = rows.setdefault(int(row["step"]), {})
        except (ValueError, KeyError, TypeError):
            if number < len(lines):
                raise UserError(f"{file}:{number}: no row of figures; expected a JSON object with a step.") from None
            break  # the empty text after the last line, or one that is being written
        into.update({name: value for name, value in row.items() if value is None or isinstance(value, int | float)})
    return rows


def _config(file: Path) -> dict[str, Any]:
    import yaml

    content = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else None
    return content if isinstance(content, dict) else {}


def _evaluation(file: Path) -> list[tuple[str, str]]:
    """The table of `eval` or `generate-trajectories`; of another version's file, a line that says so."""
    try:
        rows = evaluation_report.rows(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError):
        return [(file.name, "not shown: another version of agenttrain wrote it")]
    return [(visible(name), visible(value)) for name, value in rows]
