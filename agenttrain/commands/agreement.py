"""`agenttrain agreement`: what several people answered to `label` -> how far they agree, two by two."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path

from agenttrain.errors import UserError
from agenttrain.eval.agreement import Both, kappa, kappa_within, rank_correlation, same_answers
from agenttrain.eval.report import print_table, rate_text
from agenttrain.eval.statistics import Rate
from agenttrain.labels import ANSWERS, OPPOSITE, Ask, Labels


@dataclass(frozen=True)
class Agreement:
    """Of two files, in one kind of question."""

    first: str
    second: str
    ask: Ask
    questions: int
    """That both answered; a question that was skipped is not answered."""
    tasks: int
    same: Rate
    kappa: float | None
    """Of ratings with quadratic weights."""
    kappa_within: tuple[float, float] | None
    """Its 95 % interval, by task."""
    rank_correlation: float | None
    """Of ratings alone."""
    first_alone: int
    """Questions that only the first answered."""
    second_alone: int


def agreement(files: Sequence[Path], as_json: bool = False) -> None:
    """Print how far every two of the files agree.

    Args:
        files: answers of `agenttrain label`, a file for each person.
        as_json: print a JSON list in place of the table.

    Raises:
        UserError: fewer than two files, one that holds no answers, or two without a question in common.
    """
    if len({file.resolve() for file in files}) < 2:
        raise UserError("agreement needs the files of two people: agenttrain agreement anna.jsonl ben.jsonl")
    people = [_answered(file) for file in files]
    found = [one for pair in combinations(people, 2) for one in _of_two(*pair)]
    if as_json:
        print(json.dumps([asdict(one) for one in found], indent=1))
        return
    columns = ("answers", "of", "both", "tasks", "same (95 % interval)", "kappa (95 % interval)", "rank", "one alone")
    print_table(columns, [_line(one) for one in found])
    print("\nkappa: 1 where all answers are the same, 0 where as many are as by chance; of ratings a larger difference")
    print("counts for more. rank: 1 where ratings have the same order (Spearman). one alone: answered by the first or")
    print("the second only.")


def _answered(file: Path) -> Labels:
    labels = Labels(file)
    if not any(labels.given(ask) for ask in ANSWERS):
        raise UserError(f"{file} holds no answer. `agenttrain label RUN --out {file}` asks for them.")
    return labels


def _of_two(first: Labels, second: Labels) -> list[Agreement]:
    """For each kind of question that both were asked.

    Raises:
        UserError: there is none.
    """
    found = [one for ask in ANSWERS if (one := _compared(first, second, ask))]
    if not found:
        raise UserError(
            f"{first.path} and {second.path} answer no question in common.\n"
            "`agenttrain label` asks the same of everybody with the same run, --ask, --most, --mixed and --seed."
        )
    return found


def _compared(first: Labels, second: Labels, ask: Ask) -> Agreement | None:
    ours, theirs = first.given(ask), second.given(ask)
    shared = [key for key in ours if key in theirs]
    if not shared:
        return None
    tasks = [ours[key].task for key in shared]
    both: list[Both] = [(ours[key].answer, theirs[key].answer) for key in shared]
    # Which of two counts as the first says nothing: chance is that of both orders.
    orders = [(OPPOSITE.get(one, one), OPPOSITE.get(other, other)) for one, other in both] if ask == "pairs" else []
    compared, ordered = both + orders, ask == "ratings"
    return Agreement(
        first=str(first.path),
        second=str(second.path),
        ask=ask,
        questions=len(shared),
        tasks=len({*tasks}),
        same=same_answers(tasks, both),
        kappa=kappa(compared, ordered),
        kappa_within=kappa_within((tasks * 2)[: len(compared)], compared, ordered),
        rank_correlation=rank_correlation(both) if ordered else None,
        first_alone=len(ours) - len(shared),
        second_alone=len(theirs) - len(shared),
    )


def _line(one: Agreement) -> tuple[str, ...]:
    return (
        f"{one.first}, {one.second}",
        one.ask,
        f"{one.questions}",
        f"{one.tasks}",
        rate_text(vars(one.same)),
        _number(one.kappa) + (" ({:.2f} to {:.2f})".format(*one.kappa_within) if one.kappa_within else ""),
        _number(one.rank_correlation),
        f"{one.first_alone} / {one.second_alone}",
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
