"""`agenttrain credit-check`: strategies of credit on processes with known gradients -> bias and noise of each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from agenttrain.bench import plot, report
from agenttrain.bench.episodes import play
from agenttrain.bench.estimate import Loss, gradients
from agenttrain.bench.report import Row
from agenttrain.bench.verdict import judge
from agenttrain.errors import UserError
from agenttrain.eval.report import print_table
from agenttrain.process.mdp import Process
from agenttrain.ranges import Count, NonNegative, Whole
from agenttrain.types import Credit
from agenttrain.watch import progress

FEWEST = 100
"""Batches that an interval is made from."""


def credit_check(
    process: dict[str, Process],
    credit: dict[str, Credit],
    out: Path,
    group_sizes: list[Count],
    episodes: Count = 16384,
    groups: Count = 8,
    loss_type: Loss = "dr_grpo",
    critic_error: NonNegative = 0.0,
    seed: Whole = 0,
) -> None:
    """Compare the mean of each strategy's gradient with the exact one; leave `credit_check.json`, `.md` and `.svg`.

    Every strategy and group size sees the same episodes.

    Raises:
        UserError: a group of one, episodes for fewer than `FEWEST` batches, a process without a gradient, or a strategy
            that returns something else than one finite advantage per turn.
    """
    _check(group_sizes, groups, episodes)
    mdps = {name: chosen.mdp() for name, chosen in process.items()}
    for name, mdp in mdps.items():
        if not mdp.gradient.any():
            raise UserError(
                f"process.{name}: with these values nothing that the policy does matters, its gradient is 0."
            )
    verdicts = len(mdps) * len(credit) * len(group_sizes)
    rows: list[Row] = []
    with progress("measuring", verdicts, "verdicts") as bar:
        for name, mdp in mdps.items():
            played = play(mdp, episodes, np.random.default_rng(seed), critic_error)
            for strategy, gives in credit.items():
                for size in group_sizes:
                    found = gradients(gives, played, mdp, size, groups, loss_type)
                    rows.append(Row(name, strategy, size, judge(found, mdp.gradient, size * groups, verdicts)))
                    bar.advance()
    exact = {name: mdp.gradient.round(6).tolist() for name, mdp in mdps.items()}
    about = {"episodes": episodes, "groups": groups, "loss_type": loss_type, "critic_error": critic_error, "seed": seed}
    _leave(rows, exact, about, out)


def _check(group_sizes: list[int], groups: int, episodes: int) -> None:
    if not group_sizes or min(group_sizes) < 2:
        raise UserError("group_sizes needs at least one size, and a group 2 attempts or more: group_sizes=[2,8]")
    needed = FEWEST * groups * max(group_sizes)
    if episodes < needed:
        batches = f"{FEWEST} batches of {groups} groups of {max(group_sizes)}"
        raise UserError(
            f"{episodes} episodes are fewer than {batches}.\nTake episodes={needed} or more, or fewer groups."
        )


def _leave(rows: list[Row], exact: report.Exact, about: dict[str, Any], out: Path) -> None:
    """credit_check.json comes last: where it stands, the rest is whole."""
    (out / "credit_check.svg").write_text(plot.svg(rows), encoding="utf-8")
    (out / "credit_check.md").write_text(report.markdown(rows, exact, about), encoding="utf-8")
    (out / "credit_check.json").write_text(report.as_json(rows, exact, about), encoding="utf-8")
    for name in exact:
        print(f"\n{name}: exact gradient {report.vector(exact[name])}")
        print_table(report.COLUMNS, report.lines(rows, name))
    print("\nverdicts")
    print_table(*report.summary(rows))
    print(f"report: {out / 'credit_check.md'}   figures: {out / 'credit_check.json'}")
