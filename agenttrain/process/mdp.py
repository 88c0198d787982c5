"""Tables of a small decision process -> its exact policy gradient, its values, and episodes drawn from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

OUTCOME, TURN = "outcome", "turn"
"""Names of the two rewards that an episode can have: what is verified at its end, and what its turns earn."""


@dataclass(frozen=True)
class Draws:
    """Episodes as arrays of shape (episodes, deadline); places at and after an episode's length mean nothing."""

    state: np.ndarray
    action: np.ndarray
    following: np.ndarray
    """The state that the action led to; S is the end."""
    length: np.ndarray
    """Turns of each episode, shape (episodes,)."""


@dataclass(frozen=True)
class Mdp:
    """A Markov decision process with a deadline, and the softmax policy that acts in it.

    S states and one end (number S), A actions, R rows of the policy. The parameters are `logits`: log-odds of each
    action against the last one, so that two actions have one parameter.
    """

    start: np.ndarray
    """Probability of the first state, shape (S,)."""
    move: np.ndarray
    """Probability of what follows, shape (S, A, S + 1)."""
    rewards: Mapping[str, np.ndarray]
    """`OUTCOME`, `TURN` or both: reward of each transition, shape (S, A, S + 1). The return is the sum of all."""
    row: np.ndarray
    """The row of the policy that acts in each state, shape (S,): it sees no clock, and states of one row as one."""
    logits: np.ndarray
    """Parameters of the policy, shape (R, A - 1)."""
    deadline: int
    """Turns after which an episode ends, wherever it is."""
    keys: Sequence[str]
    """`observation.state` of each state."""

    @cached_property
    def policy(self) -> np.ndarray:
        """Probability of each action, shape (R, A)."""
        odds = np.exp(np.pad(self.logits, ((0, 0), (0, 1))))
        return odds / odds.sum(axis=1, keepdims=True)

    @cached_property
    def entropy(self) -> np.ndarray:
        """Of the policy in each state, in nats, shape (S,)."""
        return -(self.policy * np.log(self.policy)).sum(axis=1)[self.row]

    @cached_property
    def values(self) -> np.ndarray:
        """Expected return from each turn and state on, shape (deadline + 1, S + 1)."""
        values = np.zeros((self.deadline + 1, len(self.start) + 1))
        for turn in reversed(range(self.deadline)):
            values[turn, :-1] = (self.policy[self.row] * self._action_values(values[turn + 1])).sum(axis=1)
        return values

    @cached_property
    def action_values(self) -> np.ndarray:
        """Expected return from each turn, state and action on, shape (deadline, S, A)."""
        return np.stack([self._action_values(following) for following in self.values[1:]])

    @property
    def expected_return(self) -> float:
        """Of an episode from its start."""
        return float(self.start @ self.values[0, :-1])

    @cached_property
    def gradient(self) -> np.ndarray:
        """Of the expected return by `logits`, exact and flat: the policy gradient theorem, summed over all turns."""
        visits, gradient = self.start, np.zeros_like(self.logits)
        chances = self.policy[self.row]
        for turn in range(self.deadline):
            advantages = self.action_values[turn] - self.values[turn, :-1, None]
            np.add.at(gradient, self.row, (visits[:, None] * chances * advantages)[:, :-1])
            visits = np.einsum("s,sa,san->n", visits, chances, self.move)[:-1]
        return gradient.ravel()

    def draw(self, episodes: int, rng: np.random.Generator) -> Draws:
        """Let the policy act."""
        size, last = (episodes, self.deadline), len(self.start)
        state, action, following = (np.zeros(size, dtype=np.int64) for _ in range(3))
        acts, moves = self.policy.cumsum(axis=1)[self.row], self.move.cumsum(axis=2)
        now = _choose(np.broadcast_to(self.start.cumsum(), (episodes, last)), rng)
        length = np.zeros(episodes, dtype=np.int64)
        for turn in range(self.deadline):
            going = now < last
            here = np.where(going, now, 0)  # what is drawn after the end is thrown away
            chosen = _choose(acts[here], rng)
            now = np.where(going, _choose(moves[here, chosen], rng), last)
            state[:, turn], action[:, turn], following[:, turn] = here, chosen, now
            length += going
        return Draws(state, action, following, length)

    def _action_values(self, following: np.ndarray) -> np.ndarray:
        """Shape (S, A), from the values of what follows, shape (S + 1,)."""
        paid = following + sum(self.rewards.values(), np.zeros(self.move.shape))
        return (self.move * paid).sum(axis=2)


class Process(Protocol):
    """An option of `process=`: a few numbers that a decision process is made from."""

    def mdp(self) -> Mdp: ...


def _choose(cumulative: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A column for each row of cumulative probabilities."""
    drawn = rng.random(len(cumulative))[:, None] * cumulative[:, -1:]  # the last one is 1 but for rounding
    return (cumulative <= drawn).sum(axis=1)
