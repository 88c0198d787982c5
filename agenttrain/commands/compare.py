"""`eval.json` of several runs -> which of them differ, by how much, and what could not have been seen."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from agenttrain.errors import UserError
from agenttrain.eval.report import SCHEMA, Evaluation, print_table, rate_text
from agenttrain.eval.statistics import Difference, holm, paired_difference


def compare(
    runs: list[str],
    to: Literal["first", "previous"] = "first",
    as_json: bool = False,
    max_regression: float | None = None,
) -> None:
    """Print the success of each run and the differences, paired by task, to the first run or to the previous one.

    With more than two runs the p-values are adjusted for the number of comparisons (Holm).

    Args:
        runs: folders of `agenttrain eval` or `eval.json` files, each with a label if wanted: `label=path`.
        as_json: print one JSON object instead of tables.
        max_regression: by how much success may fall, as measured, in points (0 to 100); None: any fall is fine.

    Raises:
        UserError: fewer than two runs, a path that holds no evaluation, or evaluations on different tasks.
        SystemExit: status 1; success fell by more than `max_regression` in a comparison.
    """
    if len(runs) < 2:
        raise UserError("compare needs at least two runs: agenttrain compare runs/eval-sft runs/eval-rl")
    loaded = dict(_load(run) for run in runs)
    if len(loaded) < len(runs):
        raise UserError("two runs have the same label; give each its own: label=path")
    _check_same_tasks(loaded)
    for line in _unequal_conditions(loaded):
        print(f"agenttrain: mind that {line}", file=sys.stderr)
    labels = list(loaded)
    pairs = [(labels[0], label) for label in labels[1:]] if to == "first" else list(pairwise(labels))
    found = [paired_difference(loaded[a]["results"], loaded[b]["results"]) for a, b in pairs]
    adjusted = holm([difference.p for difference in found])
    differences = {pair: replace(difference, p=p) for pair, difference, p in zip(pairs, found, adjusted, strict=True)}
    if as_json:
        print(json.dumps(_as_json(loaded, differences), indent=1))
    else:
        _tell(loaded, differences)
    if max_regression is not None and (fallen := _fallen(differences, max_regression)):
        sys.exit(f"agenttrain: {'; '.join(fallen)}: more than --max-regression {max_regression:g}")


def _fallen(differences: dict[tuple[str, str], Difference], most: float) -> list[str]:
    """The falls of more than `most` points. What counts is the measured one: a run that is too small to be sure of a
    fall must not pass for it."""
    return [
        f"{b} - {a} is {_points(d.value)} points{'' if d.clear else ', within the noise'}"
        for (a, b), d in differences.items()
        if -100 * d.value > most + 1e-9
    ]


def _load(run: str) -> tuple[str, Evaluation]:
    """Label and content."""
    label, separator, place = run.partition("=")
    if not separator or Path(run).exists():
        label, place = run, run
    path = Path(place) / "eval.json" if Path(place).is_dir() else Path(place)
    try:
        evaluation = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise UserError(f"no evaluation at {path}; `agenttrain eval` writes one into its out folder") from None
    except ValueError as error:
        raise UserError(f"{path} is no JSON ({error})") from None
    schema = evaluation.get("schema") if isinstance(evaluation, dict) else None
    if schema != SCHEMA:
        raise UserError(f"{path}: schema is {schema!r}; this version reads {SCHEMA!r}")
    return label, evaluation


def _check_same_tasks(loaded: dict[str, Evaluation]) -> None:
    (first, reference), *others = loaded.items()
    for label, evaluation in others:
        if (evaluation["env"], evaluation["task_set"]) != (reference["env"], reference["task_set"]):
            raise UserError(
                f"{first} and {label} were evaluated on different tasks: "
                f"{_tasks(reference)} and {_tasks(evaluation)}.\n"
                "Run agenttrain eval with the same env=... and task=... for both."
            )
        if not reference["results"].keys() & evaluation["results"].keys():
            raise UserError(f"{first} and {label} have no task in common that both could play")


OF_THE_POLICY = ("torch", "transformers", "trl")
"""Libraries that an environment's answers do not depend on: an agent may be of another version of them."""


def _unequal_conditions(loaded: dict[str, Evaluation]) -> list[str]:
    """Settings of environment and rollout, or versions of what holds the environments, that are not the same in all."""
    known = {label: dict(_flat("", _conditions(run))) for label, run in loaded.items()}
    lines = []
    for key in sorted({key for settings in known.values() for key in settings}):
        values = {label: settings[key] for label, settings in known.items() if key in settings}
        if len({json.dumps(value) for value in values.values()}) > 1:
            lines.append(f"{key} is {', '.join(f'{value} in {label}' for label, value in values.items())}")
    return lines


def _conditions(run: Evaluation) -> dict[str, Any]:
    versions = {name: v for name, v in (run.get("versions") or {}).items() if name not in OF_THE_POLICY}
    return {**(run.get("conditions") or {}), **{f"version of {name}": value for name, value in versions.items()}}


def _flat(prefix: str, node: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _flat(f"{prefix}.{key}".lstrip("."), value)
    else:
        yield prefix, node


def _tasks(evaluation: Evaluation) -> str:
    return f"{evaluation['tasks']} of {evaluation['env']} (set {evaluation['task_set'][:6]})"


def overall(loaded: dict[str, Evaluation]) -> dict[str, float]:
    """Run -> mean over environments of its success there, in units of what all runs have there on average: a hard
    environment says as much as an easy one (AgentTuning, arXiv 2310.12823). One in which nobody succeeds says nothing;
    empty where fewer than two are left."""
    rates = {label: {env: rate["value"] for env, rate in run["success_in"].items()} for label, run in loaded.items()}
    shared = set.intersection(*(set(run) for run in rates.values()))
    usual = {env: fmean(run[env] for run in rates.values()) for env in sorted(shared)}
    told = [env for env, mean in usual.items() if mean > 0]
    if len(told) < 2:
        return {}
    return {label: fmean(run[env] / usual[env] for env in told) for label, run in rates.items()}


def _tell(loaded: dict[str, Evaluation], differences: dict[tuple[str, str], Difference]) -> None:
    together = overall(loaded)
    runs = [
        (
            label,
            rate_text(run["success"]),
            f"{run['episodes']['tasks_judged']}",
            f"{run['episodes']['judged']}",
            *([f"{together[label]:.3f}"] if together else []),
        )
        for label, run in loaded.items()
    ]
    columns = ("run", "success (95 % interval)", "tasks", "episodes", *(["overall"] if together else []))
    print_table(columns, runs)
    lines = [
        (
            f"{b} - {a}",
            f"{_points(d.value)} ({_points(d.low)} to {_points(d.high)})",
            f"{d.p:.3f}" if d.p >= 0.001 else "< 0.001",
            f"{d.rose} / {d.fell}",
            f"{100 * d.detectable:.1f}",
            _verdict(b, d),
        )
        for (a, b), d in differences.items()
    ]
    print()
    p = "p (Holm)" if len(differences) > 1 else "p"
    print_table(("paired by task", "points (95 % interval)", p, "tasks up / down", "detectable", "verdict"), lines)
    print(
        "\ndetectable: the smallest true difference, in points, that such a comparison finds about four times in five."
    )
    if together:
        print("overall: mean over environments of success there / what these runs have there on average.")


def _verdict(second: str, difference: Difference) -> str:
    if not difference.clear:
        return "no clear difference"
    return f"{second} is {'better' if difference.value > 0 else 'worse'}"


def _points(share: float) -> str:
    return f"{100 * share:+.1f}"


def _as_json(loaded: dict[str, Evaluation], differences: dict[tuple[str, str], Difference]) -> dict[str, Any]:
    return {
        "runs": {label: {"success": run["success"], **run["episodes"]} for label, run in loaded.items()},
        "overall": overall(loaded),
        "differences": [{"first": a, "second": b, **asdict(d), "clear": d.clear} for (a, b), d in differences.items()],
    }
