"""Trajectory, rewards -> the same trajectory with its scores: the one place where rewards are applied and checked."""

from __future__ import annotations

import math
import queue
import threading
from collections.abc import Callable, Mapping
from typing import Any

from agenttrain.errors import UserError
from agenttrain.types import InfraError, Reward, Trajectory


def score(trajectory: Trajectory, rewards: Mapping[str, Reward], timeout: float = 60.0) -> Trajectory:
    """Fill `scores` (unweighted, one per turn and reward) and `weights`; returns the trajectory.

    A reward that takes longer than `timeout` seconds, or whose surroundings fail (`InfraError`), is our failure, not
    the agent's: the trajectory stops as `infra_error` and scores nothing, so that it is masked in training and counted
    apart.

    Raises:
        UserError: a reward gives another number of scores than there are turns, or one that is not finite (TRL drops
            NaN in silence and makes infinity a step without gradient).
    """
    trajectory.scores, trajectory.weights = {}, {name: reward.weight for name, reward in rewards.items()}
    for name, reward in rewards.items():
        try:
            scores = _within(timeout, lambda reward=reward: reward(trajectory))
        except InfraError as error:
            trajectory.scores = {}
            trajectory.stop, trajectory.error = "infra_error", f"reward {name!r}: {error}"
            return trajectory
        trajectory.scores[name] = _checked(name, scores, trajectory)
    return trajectory


def _checked(name: str, scores: list[float], trajectory: Trajectory) -> list[float]:
    where = f"for attempt {trajectory.attempt} at task {trajectory.task.id!r}"
    if len(scores) != len(trajectory.turns):
        raise UserError(
            f"Reward {name!r} gave {len(scores)} scores {where}, which has {len(trajectory.turns)} turns.\n"
            "A reward returns one score per turn; give turns that earn nothing 0.0."
        )
    for turn, value in enumerate(scores):
        if not math.isfinite(value):
            raise UserError(f"Reward {name!r} gave {value} on turn {turn} {where}. Scores must be finite numbers.")
    return [float(value) for value in scores]


def _within(seconds: float, call: Callable[[], Any]) -> Any:
    """The call's result, from a daemon thread: one that hangs is left behind and keeps no program from exiting.

    Raises:
        InfraError: no result within `seconds`.
    """
    box: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()

    def work() -> None:
        try:
            box.put((call(), None))
        except BaseException as error:
            box.put((None, error))

    threading.Thread(target=work, name="reward", daemon=True).start()
    try:
        result, error = box.get(timeout=seconds)
    except queue.Empty:
        raise InfraError(f"took longer than {seconds:g} s") from None
    if error is not None:
        raise error
    return result
