"""Mdp -> Trajectory: episodes of a decision process, in the form in which strategies of credit get them in training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from agenttrain.process.mdp import OUTCOME, Mdp
from agenttrain.types import Action, Observation, Task, Trajectory, Turn


@dataclass(frozen=True)
class Episodes:
    """Trajectories, and of all their turns in order what the gradient needs, one array element per turn."""

    trajectories: list[Trajectory]
    episode: np.ndarray
    """Place of the turn's trajectory."""
    row: np.ndarray
    """Row of the policy that acted."""
    action: np.ndarray


def play(mdp: Mdp, count: int, rng: np.random.Generator, critic_error: float = 0.0) -> Episodes:
    """`count` episodes. Each turn samples two tokens: its action, and one that ends it and has no choice.

    `action.values` is what a critic would say before each: the exact values of state and of state and action at this
    turn, with errors of their own, normal with deviation `critic_error`. Equal turns are one object.
    """
    draws = mdp.draw(count, rng)
    states, actions = (v + critic_error * rng.standard_normal(v.shape) for v in (mdp.values, mdp.action_values))

    @cache
    def turn(number: int, state: int, action: int, done: bool, success: bool | None) -> Turn:
        feedback = {} if success is None else {"success": success}
        values = [float(states[number, state]), float(actions[number, state, action])]
        observation = Observation([], done=done, state=mdp.keys[state], feedback=feedback)
        return Turn(_action(mdp, state, action, values), observation)

    trajectories = []
    for place, length in enumerate(draws.length.tolist()):
        state, action, following = (a[place, :length] for a in (draws.state, draws.action, draws.following))
        scores = {name: reward[state, action, following].tolist() for name, reward in mdp.rewards.items()}
        done = bool(following[-1] == len(mdp.start))
        turns = [
            turn(t, s, a, False, None) for t, (s, a) in enumerate(zip(state.tolist(), action.tolist(), strict=True))
        ]
        turns[-1] = turn(length - 1, int(state[-1]), int(action[-1]), done, sum(scores.get(OUTCOME, ())) > 0)
        trajectories.append(Trajectory(Task("", []), turns, "done" if done else "max_turns", scores=scores))
    played = np.arange(mdp.deadline) < draws.length[:, None]
    return Episodes(trajectories, np.nonzero(played)[0], mdp.row[draws.state[played]], draws.action[played])


def _action(mdp: Mdp, state: int, action: int, values: list[float]) -> Action:
    return Action(
        {"role": "assistant", "content": str(action)},
        token_ids=[action, len(mdp.policy[0])],
        logprobs=[float(np.log(mdp.policy[mdp.row[state], action])), 0.0],
        entropies=[float(mdp.entropy[state]), 0.0],
        values=values,
    )


def regroup(trajectories: Sequence[Trajectory], group_size: int) -> None:
    """Every `group_size` neighbours become the attempts at one task."""
    for start in range(0, len(trajectories), group_size):
        task = Task(f"group {start // group_size}", [])
        for attempt, trajectory in enumerate(trajectories[start : start + group_size]):
            trajectory.task, trajectory.attempt = task, attempt
