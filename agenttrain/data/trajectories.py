"""Trajectory files -> Example: imitate what a policy did, by its recorded tokens where there are any."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Literal

from agenttrain.data.select import Selected
from agenttrain.errors import UserError
from agenttrain.store import numbered
from agenttrain.trajectory_record import task_hash
from agenttrain.types import FAILED_BY_US, Example, Trajectory, Turn


@dataclass(kw_only=True)
class Trajectories(Selected):
    """Episodes that ended by a fault of ours (`env_error`, `infra_error`, `reward_error`) are always dropped.

    Args:
        skip: kinds of turns that do not train: `invalid_call` (malformed or unknown call), `tool_error` (a valid call
            that failed), `length` (cut by the token limit).
        least: environment -> least sum of its own rewards from which its episodes count as succeeded, in place of what
            it says itself (AgentTuning keeps those of reward 1, or of a threshold, arXiv 2310.12823).
        recorded_tokens: use the tokens that were sampled; False renders the messages, as another tokenizer needs it.
    """

    success: bool | None = True
    least: dict[str, float] = field(default_factory=dict)
    skip: Sequence[Literal["invalid_call", "tool_error", "length"]] = ("invalid_call", "length")
    recorded_tokens: bool = True
    _met: set[str] = field(default_factory=set, init=False, repr=False)
    """Environments of the records."""

    def __iter__(self) -> Iterator[Example]:
        """
        Raises:
            UserError: see `Selected`; `least` names an environment that no record is of.
        """
        self._met = set()
        yield from super().__iter__()
        if unmet := sorted(self.least.keys() - self._met):
            known = ", ".join(sorted(self._met)) or "none that are named"
            raise UserError(f"data.least.{unmet[0]}: no record is of that environment. There are: {known}.")

    def read(self, path: str) -> Iterator[Example | str]:
        for number, trajectory in numbered(path):
            yield self.refusal(trajectory) or self._example(trajectory, f"{path}:{number}")

    def refusal(self, trajectory: Trajectory) -> str | None:
        """Why an episode is no record, whatever its outcome; None if it is one."""
        if trajectory.stop in FAILED_BY_US:
            return f"ended by {trajectory.stop}"
        return None if trajectory.turns else "no turns"

    def _example(self, trajectory: Trajectory, source: str) -> Example:
        trained = [self._trains(turn) for turn in trajectory.turns]
        found = as_example(trajectory, source, trained, self.recorded_tokens)
        return replace(found, success=self._succeeded(trajectory))

    def _succeeded(self, trajectory: Trajectory) -> bool:
        # One of several environments is named by its task.
        env = trajectory.task.data.get("env") or trajectory.meta.get("env") or ""
        self._met.add(env)
        if env not in self.least:
            return trajectory.success
        return sum(turn.observation.reward for turn in trajectory.turns) >= self.least[env]

    def _trains(self, turn: Turn) -> bool:
        cut, feedback = turn.action.finish == "length", turn.observation.feedback
        reasons = [kind for kind in self.skip if (cut if kind == "length" else feedback.get(kind))]
        self.report.untrained.update(reasons[:1])
        return not reasons


def as_example(trajectory: Trajectory, source: str, trained: Sequence[bool], recorded_tokens: bool) -> Example:
    """An episode as a record in which the turns that `trained` marks carry loss, by their recorded tokens if those are
    wanted and all there."""
    messages = [m | {"train": False} if m["role"] == "assistant" else m for m in trajectory.messages]
    for turn, train in zip(trajectory.turns, trained, strict=True):
        messages += [{**turn.action.message, "train": train}, *turn.observation.messages]
    ids, mask = _tokens(trajectory.turns, trained) if recorded_tokens else (None, None)
    return Example(
        id=f"{trajectory.task.id}#{trajectory.attempt}",
        messages=messages,
        tools=trajectory.tools,
        success=trajectory.success,
        source=source,
        task=task_hash(trajectory.task),
        ids=ids,
        mask=mask,
    )


def _tokens(turns: Sequence[Turn], trained: Sequence[bool]) -> tuple[list[int] | None, list[bool] | None]:
    """Ids of the whole episode and which of them train; (None, None) unless every turn has both halves recorded."""
    actions = [turn.action for turn in turns]
    if not all(action.prompt_ids and action.token_ids for action in actions):
        return None, None
    ids = chain.from_iterable((*action.prompt_ids, *action.token_ids) for action in actions)
    mask = chain.from_iterable(
        [False] * len(action.prompt_ids) + [train] * len(action.token_ids)
        for action, train in zip(actions, trained, strict=True)
    )
    return list(ids), list(mask)
