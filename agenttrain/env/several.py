"""Task -> Episode of the environment it belongs to, where several are played at once."""

from __future__ import annotations

from agenttrain.errors import UserError
from agenttrain.types import Environment, Episode, Task


class Several:
    """
    Args:
        of: name -> environment; chosen as a list, `env=[craft,sql]`, with the tasks of each (`task=several`).

    Raises:
        UserError: there is none.
    """

    def __init__(self, of: dict[str, Environment]) -> None:
        if not of:
            raise UserError("env=several holds no environment. Choose some: env=[craft,sql]")
        self.of = of

    def episode(self, task: Task, seed: int) -> Episode:
        """
        Raises:
            UserError: the task does not say which environment it belongs to, or one that is not there.
        """
        name = task.data.get("env")
        if name not in self.of:
            raise UserError(f"Task {task.id} belongs to none of {', '.join(self.of)}. env=several plays task=several.")
        return self.of[name].episode(task, seed)
