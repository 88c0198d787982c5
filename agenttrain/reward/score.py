"""Trajectory or group, rewards -> the same with scores: the one place where rewards are applied and checked."""

from __future__ import annotations

import math
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agenttrain.errors import UserError
from agenttrain.types import FAILED_BY_US, GroupReward, InfraError, Reward, Trajectory

AT_ONCE = 16
"""Episodes that are scored at once where a reward waits for others."""


def at_once(rewards: Mapping[str, Reward]) -> int:
    """How many episodes may be scored at once: one says with `waits` that it mostly waits for somebody else."""
    return AT_ONCE if any(getattr(reward, "waits", False) for reward in rewards.values()) else 1


def apart(rewards: Mapping[str, Reward]) -> tuple[dict[str, Reward], dict[str, GroupReward]]:
    """Those that see an episode alone, for `score`, and those that see its group, for `compare`."""
    groups = {name: reward for name, reward in rewards.items() if isinstance(reward, GroupReward)}
    return {name: reward for name, reward in rewards.items() if name not in groups}, groups


class _Fault(Exception):
    """What is wrong with a reward, in words that follow its name."""


def score(trajectory: Trajectory, rewards: Mapping[str, Reward], timeout: float = 60.0) -> Trajectory:
    """Fill `scores` (unweighted, one per turn and reward) and `weights`; returns the trajectory.

    A reward that raises, takes longer than `timeout` seconds, or gives anything but one finite number per turn is our
    failure, not the agent's: the trajectory stops as `reward_error` and scores nothing, so that it is masked in
    training and counted apart. (TRL drops NaN in silence and makes infinity a step without gradient.) One that failed
    so before is scored afresh; one that could not be played has no scores.

    Raises:
        UserError: a reward says that the user can mend it (a file that is missing, a wrong setting).
    """
    if trajectory.stop == "reward_error":
        played = trajectory.meta.pop("played")
        trajectory.stop, trajectory.error = played["stop"], played["error"]
    trajectory.scores, trajectory.weights = {}, {name: reward.weight for name, reward in rewards.items()}
    if trajectory.stop in FAILED_BY_US:
        return trajectory
    for name, reward in rewards.items():
        try:
            given = _within(timeout, lambda reward=reward: reward(trajectory))
            trajectory.scores[name] = _checked(given, len(trajectory.turns))
        except _Fault as fault:
            _fail(trajectory, name, fault)
            break
    return trajectory


def compare(
    group: Sequence[Trajectory], rewards: Mapping[str, GroupReward], timeout: float = 60.0
) -> Sequence[Trajectory]:
    """Add to `scores` and `weights` of a whole group, each of which `score` has seen, what rewards find that compare;
    returns the group. `timeout` seconds are for each of its episodes.

    An episode that we failed is not compared, nor is one without a turn. One that is left alone is `reward_error`; a
    comparison that fails makes all of its episodes that.

    Raises:
        UserError: see `score`.
    """
    for name, reward in rewards.items():
        for trajectory in group:
            trajectory.weights[name] = reward.weight
            if not trajectory.turns and trajectory.stop not in FAILED_BY_US:
                trajectory.scores[name] = []
        compared = [t for t in group if t.turns and t.stop not in FAILED_BY_US]
        try:
            found = _compared(compared, reward, timeout) if compared else []
        except _Fault as fault:
            for trajectory in compared:
                _fail(trajectory, name, fault)
        else:
            for trajectory, scores in zip(compared, found, strict=True):
                trajectory.scores[name] = scores
    return group


def _compared(group: Sequence[Trajectory], reward: GroupReward, timeout: float) -> list[list[float]]:
    """
    Raises:
        _Fault: there is nobody to compare with, or no score for each turn of each.
    """
    if len(group) == 1:
        raise _Fault("compares attempts at a task, and no other one could be played and scored")
    given = _within(timeout * len(group), lambda: reward.compare(group))
    if not isinstance(given, Sequence) or len(given) != len(group):
        raise _Fault(f"gave {_short(given)}, not the scores of {len(group)} episodes")
    return [_checked(scores, len(trajectory.turns)) for trajectory, scores in zip(group, given, strict=True)]


def _fail(trajectory: Trajectory, reward: str, fault: _Fault) -> None:
    trajectory.scores = {}
    trajectory.meta["played"] = {"stop": trajectory.stop, "error": trajectory.error}
    trajectory.stop, trajectory.error = "reward_error", f"reward {reward!r} {fault}"


def _checked(given: Any, turns: int) -> list[float]:
    """
    Raises:
        _Fault: it is not one finite number per turn.
    """
    try:
        scores = [float(value) for value in given]
    except (TypeError, ValueError):
        raise _Fault(f"gave {_short(given)}, not one number per turn") from None
    if len(scores) != turns:
        raise _Fault(f"gave {len(scores)} scores for {turns} turns (give turns that earn nothing 0.0)")
    for turn, value in enumerate(scores):
        if not math.isfinite(value):
            raise _Fault(f"gave {value} on turn {turn}")
    return scores


def _within(seconds: float, call: Callable[[], Any]) -> Any:
    """The call's result, from a daemon thread: one that hangs is left behind and keeps no program from exiting.

    Raises:
        _Fault: it raised, or there is no result within `seconds`.
    """
    box: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()

    def work() -> None:
        try:
            box.put((call(), None))
        except BaseException as error:  # also SystemExit of a careless reward
            box.put((None, error))

    threading.Thread(target=work, name="reward", daemon=True).start()
    try:
        result, error = box.get(timeout=seconds)
    except queue.Empty:
        raise _Fault(f"took longer than {seconds:g} s") from None
    if isinstance(error, UserError):
        raise error
    if isinstance(error, InfraError):
        raise _Fault(f"failed: {error}")
    if error is not None:
        raise _Fault(f"raised {type(error).__name__}: {_short(str(error), 200)}")
    return result


def _short(value: Any, most: int = 60) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= most else text[: most - 3] + "..."
