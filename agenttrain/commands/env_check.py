"""`agenttrain env check`: an environment's promises, each tried -> a table, and exit code 1 if one is broken."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from itertools import islice

from agenttrain.errors import UserError
from agenttrain.eval.report import print_table
from agenttrain.promises import PROMISES, Setting
from agenttrain.ranges import Count, Whole
from agenttrain.rollout import Limits
from agenttrain.types import Environment, Policy, Tasks

TOLD = 3
"""Faults of one promise that are told; the rest is counted."""


def env_check(
    env: Environment,
    task: Tasks,
    rollout: Limits,
    policy: Policy | None = None,
    tasks: Count = 8,
    seed: Whole = 0,
    as_json: bool = False,
) -> None:
    """Try every promise of `env` on the first `tasks` tasks; `policy` is an expert that should solve them all.

    `as_json` prints one object, promise -> verdict and faults, in place of a table.

    Raises:
        UserError: there is no task.
        SystemExit: status 1; a promise is broken.
    """
    chosen = list(islice(task, tasks))
    if not chosen:
        raise UserError("nothing to check with: the task set is empty")
    setting = Setting(env, chosen, policy, rollout, seed)
    told: dict[str, tuple[str, list[str]]] = {}
    for promise, faults in PROMISES.items():
        try:
            found = list(islice(faults(setting), 100))
        except UserError:
            raise
        except Exception as error:
            found = [f"raised {type(error).__name__}: {error}"]
        unasked = promise.startswith("the expert") and policy is None
        told[promise] = ("not asked: no expert" if unasked else "broken" if found else "kept"), found
    if as_json:
        print(
            json.dumps({promise: {"verdict": verdict, "faults": found} for promise, (verdict, found) in told.items()})
        )
    else:
        print_table(("promise", f"on {len(chosen)} tasks"), list(_rows(told)))
    if broken := sum(bool(found) for _, found in told.values()):
        sys.exit(f"agenttrain: {broken} of {len(PROMISES)} promises are broken")


def _rows(told: Mapping[str, tuple[str, list[str]]]) -> Iterator[tuple[str, str]]:
    for promise, (verdict, faults) in told.items():
        yield promise, verdict
        yield from (("", fault) for fault in faults[:TOLD])
        if len(faults) > TOLD:
            yield "", f"and {len(faults) - TOLD} more"
