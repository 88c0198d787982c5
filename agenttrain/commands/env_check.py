"""`agenttrain env check`: an environment's promises, each tried -> a table, and exit code 1 if one is broken."""

from __future__ import annotations

import sys
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
    env: Environment, task: Tasks, rollout: Limits, policy: Policy | None = None, tasks: Count = 8, seed: Whole = 0
) -> None:
    """Try every promise of `env` on the first `tasks` tasks; `policy` is an expert that should solve them all.

    Raises:
        UserError: there is no task.
        SystemExit: status 1; a promise is broken.
    """
    chosen = list(islice(task, tasks))
    if not chosen:
        raise UserError("nothing to check with: the task set is empty")
    setting = Setting(env, chosen, policy, rollout, seed)
    rows, broken = [], 0
    for promise, faults in PROMISES.items():
        try:
            found = list(islice(faults(setting), 100))
        except UserError:
            raise
        except Exception as error:
            found = [f"raised {type(error).__name__}: {error}"]
        unasked = promise.startswith("the expert") and policy is None
        rows.append((promise, "not asked: no expert" if unasked else "broken" if found else "kept"))
        rows += [("", fault) for fault in found[:TOLD]]
        if len(found) > TOLD:
            rows.append(("", f"and {len(found) - TOLD} more"))
        broken += bool(found)
    print_table(("promise", f"on {len(chosen)} tasks"), rows)
    if broken:
        sys.exit(f"agenttrain: {broken} of {len(PROMISES)} promises are broken")
