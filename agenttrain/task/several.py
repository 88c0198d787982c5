"""-> Task: the tasks of several environments, mixed by shares."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

from agenttrain.errors import UserError
from agenttrain.ranges import Count, NonNegative, Whole
from agenttrain.types import Task, Tasks


class Several:
    """
    Args:
        of: name of the environment -> its tasks; chosen with the environments, `env=[craft,sql]`.
        shares: name -> weight of its tasks among all, as in `task.shares.craft=2`; one that is not named weighs 1.
        n: number of tasks; None for as many as the shares allow, until one of the sources has no more.
        seed: of the order in which they are mixed.

    Raises:
        UserError: there is no source, a share is of none of them, or all shares are 0.
    """

    def __init__(
        self,
        of: dict[str, Tasks],
        shares: dict[str, NonNegative] | None = None,
        n: Count | None = None,
        seed: Whole = 0,
    ) -> None:
        if not of:
            raise UserError("task=several holds no tasks. Choose environments: env=[craft,sql]")
        if unknown := (shares or {}).keys() - of.keys():
            raise UserError(f"task.shares.{min(unknown)}: there is no such source. There are: {', '.join(of)}")
        self.of, self.n, self.seed = of, n, seed
        self.shares = {name: (shares or {}).get(name, 1.0) for name in of}
        if not any(self.shares.values()):
            raise UserError("task.shares are all 0")

    def __iter__(self) -> Iterator[Task]:
        """
        Raises:
            UserError: a source has fewer tasks than its share of `n`, or two have a task of the same id.
        """
        whole = sum(self.shares.values())
        found = {name: list(tasks) for name, tasks in self.of.items() if self.shares[name]}
        n = self.n or int(min(len(tasks) * whole / self.shares[name] for name, tasks in found.items()) + 1e-9)
        mixed: list[Task] = []
        for name, tasks in found.items():
            count = round(n * self.shares[name] / whole)
            if count > len(tasks):
                raise UserError(f"task.of.{name} has {len(tasks)} tasks; its share of task.n={n} is {count}.")
            mixed += [replace(task, data=task.data | {"env": name}) for task in tasks[:count]]
        ids = [task.id for task in mixed]
        if len({*ids}) < len(ids):
            raise UserError(f"two sources have a task {next(i for i in ids if ids.count(i) > 1)!r}")
        random.Random(f"several/{self.seed}").shuffle(mixed)
        return iter(mixed)
