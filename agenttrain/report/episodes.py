"""Trajectories -> what the episode browser shows: a short entry for the list, and all the rest for one who opens it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from agenttrain.report.tokens import Words
from agenttrain.terminal import visible
from agenttrain.types import FAILED_BY_US, Action, Message, Trajectory, Turn

LONGEST_TEXT = 20_000
"""Characters of one text; a page that was read whole must not fill the file."""

FAILED = {
    "env_error": "the environment failed",
    "infra_error": "an endpoint, browser or disk around the agent failed",
    "reward_error": "a reward failed",
}
"""What happened to an episode that says nothing about the agent."""

Entry = dict[str, Any]
"""JSON values, every text in them `visible`."""


@dataclass
class Kept:
    """Whole groups of episodes, evenly over a run, `most` at the most unless one group alone is larger.

    A group is what credit compares: the attempts at one task in one step. Every `stride`-th is kept, in the order in
    which they first came; where there are too many, the stride doubles.
    """

    most: int
    stride: int = 1
    seen: int = 0
    """Episodes of the whole run."""
    _place: dict[tuple[int | None, str], int] = field(default_factory=dict)
    _groups: dict[int, dict[int, Trajectory]] = field(default_factory=dict)
    """Place of a group -> attempt -> its last episode: a resumed run plays again what failed around the agent."""

    def add(self, trajectory: Trajectory) -> None:
        """One more episode of the run, in any order."""
        self.seen += 1
        place = self._place.setdefault((step_of(trajectory), trajectory.task.id), len(self._place))
        if place % self.stride:
            return
        self._groups.setdefault(place, {})[trajectory.attempt] = trajectory
        while len(self._groups) > 1 and len(self) > self.most:
            self.stride *= 2
            self._groups = {place: group for place, group in self._groups.items() if place % self.stride == 0}

    def __len__(self) -> int:
        """Episodes that are kept."""
        return sum(map(len, self._groups.values()))

    def groups(self) -> Iterator[list[Trajectory]]:
        """In the order in which they came, the attempts of each in order."""
        for group in self._groups.values():
            yield [group[attempt] for attempt in sorted(group)]


def step_of(trajectory: Trajectory) -> int | None:
    """The step of training, from 1 as in metrics.jsonl, that played this episode; None outside of training."""
    step = trajectory.meta.get("step")
    return step + 1 if isinstance(step, int) else None


def entry(trajectory: Trajectory, group: Sequence[Trajectory]) -> Entry:
    """What the list shows, and filters by."""
    facts = [turn.observation.feedback for turn in trajectory.turns]
    return {
        "task": visible(trajectory.task.id),
        "attempt": trajectory.attempt,
        "step": step_of(trajectory),
        "stop": trajectory.stop,
        **_outcome(trajectory, group),
        "turns": len(trajectory.turns),
        "return": _number(sum(trajectory.turn_rewards)) if trajectory.scores else None,
        "sampled": sum(turn.action.sampled for turn in trajectory.turns),
        "invalid": sum(bool(fact.get("invalid_call")) for fact in facts),
        "errors": sum(bool(fact.get("tool_error")) for fact in facts),
        "violations": sum(bool(fact.get("violations")) for fact in facts),
    }


def _outcome(trajectory: Trajectory, group: Sequence[Trajectory]) -> Entry:
    """`success`, `failure` or `left out`; whether nothing was learned from it (`silent`); why so, in a sentence."""
    if trajectory.stop in FAILED_BY_US:
        told = f" ({trajectory.error})" if trajectory.error else ""
        why = f"Dropped: {FAILED.get(trajectory.stop, trajectory.stop)}{told}. It is in no figure and carries no loss."
        return {"outcome": "left out", "silent": True, "why": visible(why)}
    kind = "success" if trajectory.success else "failure"
    advantages = trajectory.meta.get("advantages")
    if advantages and not any(abs(a) > 1e-9 for a in advantages):
        returns = [sum(t.turn_rewards) for t in group if t.stop not in FAILED_BY_US]
        even = max(returns) - min(returns) < 1e-9
        why = f"all {len(returns)} attempts of its group scored the same" if even else "credit gave its turns 0"
        return {"outcome": kind, "silent": True, "why": f"Teaches nothing: {why}."}
    why = f"Ended with: {trajectory.error}" if trajectory.error else ""
    return {"outcome": kind, "silent": False, "why": visible(why)}


def detail(trajectory: Trajectory, words: Words) -> Entry:
    """Everything about one episode that its page shows."""
    return {
        "seed": str(trajectory.seed),  # of 63 bits; a number of JavaScript has 53
        "seconds": _number(trajectory.seconds),
        "retries": trajectory.retries,
        "answer": readable(trajectory.task.answer) if trajectory.task.answer is not None else None,
        "weights": {visible(name): weight for name, weight in trajectory.weights.items()},
        "opening": [_message(message) for message in trajectory.messages],
        "tools": [_tool(tool) for tool in trajectory.tools],
        "turns": [
            _turn(turn, number, trajectory) | {"tokens": _tokens(turn.action, words)}
            for number, turn in enumerate(trajectory.turns)
        ],
    }


def readable(value: Any) -> str:
    """What others wrote, to be read: a text as it is, anything else as JSON; visible, and cut where long."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    if len(text) > LONGEST_TEXT:
        text = f"{text[:LONGEST_TEXT]}\n[{len(text) - LONGEST_TEXT:,} characters left out]"
    return visible(text)


def _turn(turn: Turn, number: int, trajectory: Trajectory) -> Entry:
    seen, advantages = turn.observation, trajectory.meta.get("advantages") or []
    scores = {visible(name): _number(of[number]) for name, of in trajectory.scores.items() if number < len(of)}
    if seen.reward or not scores:
        scores["environment"] = _number(seen.reward)
    entropies = turn.action.entropies
    return {
        "action": _message(turn.action.message),
        "observation": [_message(message) for message in seen.messages],
        "scores": scores,
        "advantage": _number(advantages[number]) if number < len(advantages) else None,
        "entropy": _number(math.fsum(entropies) / len(entropies)) if entropies else None,
        "cut": turn.action.finish == "length",
        "state": readable(seen.state),
        "feedback": {visible(str(name)): readable(fact) for name, fact in seen.feedback.items()},
        "seconds": {name: _number(value) for name, value in turn.seconds.items()},
    }


def _tokens(action: Action, words: Words) -> Entry | None:
    """The stretch that the model was shown, as one text, and each token that it sampled."""
    if not action.token_ids:
        return None
    return {
        "shown": readable(words.text(action.prompt_ids)),
        "shown_count": len(action.prompt_ids),
        "pieces": [visible(piece) for piece in words.pieces(action.token_ids)],
        "entropies": [_number(value) for value in action.entropies],
        "logprobs": [_number(value) for value in action.logprobs],
    }


def _message(message: Message) -> Entry:
    calls = [call.get("function") or {} for call in message.get("tool_calls") or []]
    told: Entry = {"role": visible(str(message.get("role"))), "content": readable(message.get("content") or "")}
    if message.get("name"):
        told["name"] = visible(str(message["name"]))
    if message.get("reasoning_content"):
        told["reasoning"] = readable(message["reasoning_content"])
    if calls:
        told["calls"] = [[visible(str(call.get("name"))), readable(call.get("arguments"))] for call in calls]
    return told


def _tool(tool: Entry) -> list[str]:
    function = tool.get("function") or {}
    told = (function.get("name"), function.get("description") or "", function.get("parameters") or {})
    return [readable(part) for part in told]


def _number(value: float | None) -> float | None:
    """Four significant digits: what a reader can use; null where it is not finite."""
    return float(f"{value:.4g}") if value is not None and math.isfinite(value) else None
