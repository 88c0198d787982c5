"""Trajectory <-> JSON values: what one line of the trajectory file holds (keys: docs/data.md)."""

from __future__ import annotations

import json
import platform
from functools import cache
from hashlib import sha256
from importlib import metadata
from itertools import pairwise
from typing import Any, cast

from agenttrain.types import Action, Message, Observation, Stop, Task, Trajectory, Turn

Record = dict[str, Any]

SCHEMA = "agenttrain.trajectory/1"
_LIBRARIES = ("agenttrain", "torch", "transformers", "trl")
OF_ENV = "env_versions"
"""Entry of a new trajectory's meta: what its environment stands on, which joins `versions` in the line."""
_ENVELOPE = ("env", "method", "policy", "versions", "config_hash")
"""Entries of `Trajectory.meta` that stand at the top of a line, null where unknown."""


def task_hash(task: Task) -> str:
    """16 hex digits that change with anything in the task but its id."""
    return digest(json.dumps([task.messages, task.answer, task.data], sort_keys=True))


def to_record(trajectory: Trajectory) -> Record:
    """A trajectory as JSON values, without the line's id and hash of the config."""
    task, turns = trajectory.task, trajectory.turns
    messages = [_flagged(message, False) for message in trajectory.messages]
    facts = []
    for turn in turns:
        facts.append(_facts(turn) | {"at": len(messages)})
        messages.append(_flagged(turn.action.message, True))
        messages += [_flagged(message, False) for message in turn.observation.messages]
    usages = [turn.action.usage for turn in turns]
    return {
        "schema": SCHEMA,
        "task_id": task.id,
        "task_hash": task_hash(task),
        "attempt": trajectory.attempt,
        "seed": trajectory.seed,
        **{key: trajectory.meta.get(key) for key in _ENVELOPE},
        "versions": versions(trajectory),
        "stop": trajectory.stop,
        "success": trajectory.success,
        "error": trajectory.error,
        "retries": trajectory.retries,
        "seconds": trajectory.seconds,
        "usage": {key: sum(u.get(key, 0) for u in usages) for key in sorted({k for u in usages for k in u})},
        "scores": trajectory.scores,
        "weights": trajectory.weights,
        "messages": messages,
        "tools": trajectory.tools,
        "turns": facts,
        "tokens": _tokens(turns),
        "hidden": {"messages": task.messages, "answer": task.answer, "data": task.data},
        "meta": {key: value for key, value in trajectory.meta.items() if key not in (*_ENVELOPE, OF_ENV)},
    }


def from_record(record: Record) -> Trajectory:
    """The inverse of `to_record`.

    Raises:
        KeyError, TypeError, ValueError: the record has not the shape of `to_record`.
    """
    hidden, facts = record["hidden"], record["turns"]
    bounds = [fact["at"] for fact in facts] + [len(record["messages"])]
    messages = [_unflagged(message) for message in record["messages"]]
    actions = _actions(record["tokens"], len(facts))
    turns = []
    for fact, action, (at, end) in zip(facts, actions, pairwise(bounds), strict=True):
        action.message, action.finish, action.usage = messages[at], fact["finish"], fact["usage"]
        observation = Observation(messages[at + 1 : end], fact["reward"], fact["done"], fact["state"], fact["feedback"])
        turns.append(Turn(action, observation, fact["seconds"]))
    return Trajectory(
        task=Task(record["task_id"], hidden["messages"], hidden["answer"], hidden["data"]),
        turns=turns,
        stop=cast(Stop, record["stop"]),
        messages=messages[: bounds[0]],
        tools=record["tools"],
        scores=record["scores"],
        weights=record["weights"],
        attempt=record["attempt"],
        seed=record["seed"],
        error=record["error"],
        seconds=record["seconds"],
        retries=record["retries"],
        meta={key: record[key] for key in _ENVELOPE if record[key] is not None} | record["meta"],
    )


def digest(text: str) -> str:
    """16 hex digits of SHA-256."""
    return sha256(text.encode()).hexdigest()[:16]


def _facts(turn: Turn) -> Record:
    seen = turn.observation
    return {
        "reward": seen.reward,
        "done": seen.done,
        "state": seen.state,
        "feedback": seen.feedback,
        "finish": turn.action.finish,
        "usage": turn.action.usage,
        "seconds": turn.seconds,
    }


def _tokens(turns: list[Turn]) -> Record | None:
    """The episode's tokens in order; None where the policy had none.

    `turn[i]` is the turn whose action was sampled with or after token i; `mask[i]` tells the sampled ones."""
    columns: Record = {"ids": [], "mask": [], "turn": [], "logprobs": [], "entropies": []}
    for number, turn in enumerate(turns):
        action = turn.action
        before, sampled = len(action.prompt_ids), len(action.token_ids)
        columns["ids"] += action.prompt_ids + action.token_ids
        columns["mask"] += [False] * before + [True] * sampled
        columns["turn"] += [number] * (before + sampled)
        for name in ("logprobs", "entropies"):
            values = [_short(value) for value in getattr(action, name)] or [None] * sampled
            if len(values) != sampled:
                raise ValueError(f"turn {number} has {sampled} sampled tokens and {len(values)} {name}")
            columns[name] += [None] * before + values
    return columns if columns["ids"] else None


def _actions(tokens: Record | None, count: int) -> list[Action]:
    """The inverse of `_tokens`: `count` actions, their messages still empty."""
    actions = [Action({}) for _ in range(count)]
    rows = zip(*(tokens[k] for k in ("ids", "mask", "turn", "logprobs", "entropies")), strict=True) if tokens else ()
    for token, sampled, turn, logprob, entropy in rows:
        action = actions[turn]
        (action.token_ids if sampled else action.prompt_ids).append(token)
        if logprob is not None:
            action.logprobs.append(logprob)
        if entropy is not None:
            action.entropies.append(entropy)
    return actions


def _flagged(message: Message, train: bool) -> Message:
    return {**message, "train": train} if message["role"] == "assistant" else message


def _unflagged(message: Message) -> Message:
    if message["role"] != "assistant":
        return message
    return {key: value for key, value in message.items() if key != "train"}


def _short(value: float) -> float:
    """Nine significant digits: all that a float32 has."""
    return float(f"{value:.9g}")


def versions(trajectory: Trajectory) -> dict[str, str]:
    """Of what it was played with: those it was read with, or else of this process and what its environment told."""
    return trajectory.meta.get("versions") or _installed() | trajectory.meta.get(OF_ENV, {})


@cache
def _installed() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return found
