"""Environment -> verdicts: does it keep what every environment promises? `agenttrain env check` asks.

Each promise is a function that yields what is wrong, in words for the environment's author; nothing means kept.
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agenttrain.policy.scripted import Scripted, call, dice
from agenttrain.rollout import Attempt, Limits, rollout
from agenttrain.types import (
    FAILED_BY_US,
    Conversation,
    Environment,
    Episode,
    Message,
    Observation,
    Policy,
    Task,
    Tool,
    Trajectory,
)

PROMPT = 1.0
"""Seconds that refusing a malformed action, or closing, may take."""
SHORT = 500
"""Characters of the answer to one malformed call."""
LUCK = 0.05
"""Share of tasks that random calls may solve by chance."""
KINDS = {"string", "integer", "number", "boolean", "array", "object", "null"}


@dataclass(frozen=True)
class Setting:
    """What an environment is checked with."""

    env: Environment
    tasks: Sequence[Task]
    expert: Policy | None
    limits: Limits
    seed: int

    def attempts(self, seed: int = 0) -> list[Attempt]:
        """One at every task."""
        return [Attempt(task, 0, self.seed + seed) for task in self.tasks]

    def play(self, policy: Policy) -> list[Trajectory]:
        """Every task once, in the order of the tasks."""
        ended = {t.task.id: t for t in rollout(self.attempts(), self.env, policy, self.limits)}
        return [ended[task.id] for task in self.tasks]

    def open(self, task: Task) -> Episode:
        """A started episode."""
        episode = self.env.episode(task, self.seed)
        episode.start()
        return episode

    def actions(self, task: Task) -> list[Message]:
        """What the expert does there, or where there is none three calls that fit the schemas."""
        [trajectory] = rollout([Attempt(task, 0, self.seed)], self.env, self.expert or Random(3), self.limits)
        return [turn.action.message for turn in trajectory.turns]


class Random(Scripted):
    """Calls of a random tool, with random arguments that fit its schema; texts are made of words it was shown.

    Args:
        turns: number of calls, after which it says nothing more.
    """

    def __init__(self, turns: int = 10) -> None:
        super().__init__()
        self.turns = turns

    def act(self, conversation: Conversation) -> Message:
        chance = dice(conversation)
        if conversation.turn >= self.turns or not conversation.tools:
            return {"role": "assistant", "content": ""}
        function = chance.choice(conversation.tools)["function"]
        words = " ".join(str(message.get("content")) for message in conversation.messages).split() or ["a"]
        schemas = function.get("parameters", {}).get("properties", {})
        arguments = {name: _value(schema, words, chance) for name, schema in schemas.items()}
        return call(conversation, function["name"], **arguments)


class Silent(Scripted):
    """Says nothing, ever."""

    def act(self, conversation: Conversation) -> Message:
        return {"role": "assistant", "content": ""}


def same_seed_same_episode(setting: Setting) -> Iterator[str]:
    """Equal openings and observations, twice, for equal actions."""
    for task in setting.tasks:
        actions = setting.actions(task)
        first, second = (_replay(setting.env.episode(task, setting.seed), actions) for _ in range(2))
        if place := _difference(first, second):
            yield f"task {task.id}: {place} differs between two episodes of one seed and the same actions"


def one_start_for_a_group(setting: Setting) -> Iterator[str]:
    """Attempts of one seed open alike: messages and tools."""
    for task in setting.tasks:
        starts = set()
        for _ in range(3):
            with closing(setting.env.episode(task, setting.seed)) as episode:
                starts.add(json.dumps([episode.start(), episode.tools], sort_keys=True, default=repr))
        if len(starts) > 1:
            yield f"task {task.id}: attempts of one seed start differently"


def episodes_do_not_touch(setting: Setting) -> Iterator[str]:
    """An episode goes as it goes alone, although another at the same task acts between its steps."""
    for task in setting.tasks:
        actions = setting.actions(task)
        alone = _replay(setting.env.episode(task, setting.seed), actions)
        with closing(setting.open(task)) as other:
            beside = _replay(setting.env.episode(task, setting.seed), actions, beside=other)
        if place := _difference(alone, beside):
            yield f"task {task.id}: {place} differs when another episode acts between the steps"


def tools_are_described(setting: Setting) -> Iterator[str]:
    """A name, a description, and a JSON type for every argument."""
    for tool in _tools(setting):
        function = tool.get("function", {})
        name, schema = function.get("name"), function.get("parameters", {})
        if not isinstance(name, str) or not function.get("description"):
            yield f"tool {name!r} lacks a name or a description"
        if schema.get("type") != "object" or not set(schema.get("required", [])) <= set(schema.get("properties", {})):
            yield f"tool {name}: its parameters are no JSON schema of an object that has what it requires"
        for argument, kind in schema.get("properties", {}).items():
            kinds = kind.get("type") or []
            if not {kinds} <= KINDS if isinstance(kinds, str) else not kinds or not set(kinds) <= KINDS:
                yield f"tool {name}: argument '{argument}' has no JSON type"


def malformed_calls_do_nothing(setting: Setting) -> Iterator[str]:
    """Refused with `invalid_call` and a short answer to each call, without a change of state, within a second.

    An environment without tools is answered in plain text, which is no malformed call."""
    with closing(setting.open(setting.tasks[0])) as episode:
        for what, action in _malformed(episode.tools) if episode.tools else ():
            began = time.monotonic()
            refused, after = episode.step(action), episode.step({"role": "assistant", "content": ""})
            seconds = time.monotonic() - began
            if "invalid_call" not in refused.feedback:
                yield f"{what} is not reported as invalid_call"
            if refused.done or refused.feedback.get("success") or refused.reward > 0:
                yield f"{what} ends the episode or is rewarded"
            if refused.state != after.state:
                yield f"{what} changes the state"
            if max((len(str(message.get("content"))) for message in refused.messages), default=0) > SHORT:
                yield f"{what} is answered with more than {SHORT} characters"
            if len(refused.messages) < len(action.get("tool_calls") or [0]):
                yield f"{what} leaves calls without an answer"
            if seconds > PROMPT:
                yield f"{what} takes {seconds:.1f} s"
            if refused.done or after.done:
                return


def experts_solve_it(setting: Setting) -> Iterator[str]:
    """Every task, if there is an expert."""
    if setting.expert is not None:
        for trajectory in setting.play(setting.expert):
            if not trajectory.success:
                how = f"ends as {trajectory.stop} without success {_why(trajectory)}"
                yield f"task {trajectory.task.id}: the expert {how}"


def nobody_else_does(setting: Setting) -> Iterator[str]:
    """Silence succeeds nowhere, random calls hardly ever."""
    for name, policy, bound in (("saying nothing", Silent(), 0.0), ("random calls", Random(), LUCK)):
        solved = sum(trajectory.success for trajectory in setting.play(policy))
        if solved > bound * len(setting.tasks):
            yield f"{name} succeeds at {solved} of {len(setting.tasks)} tasks"


def the_answer_is_hidden(setting: Setting) -> Iterator[str]:
    """It stands neither in the opening messages nor in the tools."""
    for task in setting.tasks:
        answer = task.answer if isinstance(task.answer, str) else json.dumps(task.answer, default=repr)
        with closing(setting.env.episode(task, setting.seed)) as episode:
            shown = json.dumps([episode.start(), episode.tools], ensure_ascii=False, default=repr)
        if task.answer is not None and len(answer) > 2 and json.dumps(answer, ensure_ascii=False)[1:-1] in shown:
            yield f"task {task.id}: the answer stands in the opening messages or tools"


def facts_are_told(setting: Setting) -> Iterator[str]:
    """A state key on every step; facts that a file can hold; `success` where the episode is done; nothing raised."""
    for trajectory in setting.play(setting.expert or Random()):
        where = f"task {trajectory.task.id}"
        if trajectory.stop in FAILED_BY_US:
            yield f"{where}: {trajectory.stop} {_why(trajectory)}"
        for number, turn in enumerate(trajectory.turns):
            if not turn.observation.state:
                yield f"{where}: turn {number} has no state key"
            try:
                json.dumps(turn.observation.feedback, allow_nan=False)
            except (TypeError, ValueError) as error:
                yield f"{where}: the feedback of turn {number} cannot be written as JSON ({error})"
        if trajectory.stop == "done" and "success" not in trajectory.turns[-1].observation.feedback:
            yield f"{where}: done, but feedback does not say whether with success"


def steps_keep_to_their_time(setting: Setting) -> Iterator[str]:
    """No step of an episode takes longer than `rollout.tool_timeout`."""
    limit = setting.limits.tool_timeout
    for trajectory in setting.play(setting.expert or Random()):
        slowest = max((turn.seconds.get("env", 0.0) for turn in trajectory.turns), default=0.0)
        if trajectory.stop == "timeout" or slowest > limit:
            yield f"task {trajectory.task.id}: a step takes more than {limit:g} s"


def closing_is_safe(setting: Setting) -> Iterator[str]:
    """Before the start, in the middle and twice; and at once."""
    task = setting.tasks[0]
    fresh, opened = setting.env.episode(task, setting.seed), setting.open(task)
    opened.step({"role": "assistant", "content": ""})
    began = time.monotonic()
    for what, episode in (("an episode not started", fresh), ("an open episode", opened), ("a closed episode", opened)):
        try:
            episode.close()
        except Exception as error:
            yield f"closing {what} raises {type(error).__name__}: {error}"
    if time.monotonic() - began > PROMPT:
        yield f"closing takes {time.monotonic() - began:.1f} s"


def nothing_is_left_running(setting: Setting) -> Iterator[str]:
    """Processes, threads and open files do not grow with the number of episodes, those given up included."""
    before = _settled(setting, rounds=2, at_most=None)
    after = _settled(setting, rounds=4, at_most=before)
    for what, number in after.items():
        if number > before[what] + 1:  # a pool may not have been full yet
            yield f"{what}: {before[what]} after 2 rounds of episodes, {number} after 6"


def _settled(setting: Setting, rounds: int, at_most: dict[str, int] | None) -> dict[str, int]:
    """What is held after so many rounds, once what ends by itself has ended."""
    for number in range(rounds):
        list(rollout(setting.attempts(number), setting.env, Random(3), setting.limits))
        given_up = rollout(setting.attempts(number), setting.env, Random(3), setting.limits)
        next(given_up, None)
        given_up.close()
    deadline = time.monotonic() + (2 * PROMPT if at_most else 0.5 * PROMPT)
    while True:
        now = _held()
        if time.monotonic() > deadline or (at_most and all(now[what] <= at_most[what] for what in now)):
            return now
        time.sleep(0.05)


PROMISES: dict[str, Callable[[Setting], Iterator[str]]] = {
    "same seed, same episode": same_seed_same_episode,
    "a group starts from one state": one_start_for_a_group,
    "episodes do not touch each other": episodes_do_not_touch,
    "tools are described by schemas": tools_are_described,
    "malformed calls are refused and do nothing": malformed_calls_do_nothing,
    "the expert solves every task": experts_solve_it,
    "saying nothing or random calls do not": nobody_else_does,
    "the policy never sees the answer": the_answer_is_hidden,
    "facts and state keys are told": facts_are_told,
    "steps keep to their time": steps_keep_to_their_time,
    "closing is safe": closing_is_safe,
    "nothing is left running": nothing_is_left_running,
}


def _replay(episode: Episode, actions: Sequence[Message], beside: Episode | None = None) -> list[Any]:
    """The opening and every observation; `beside` takes the actions from the last to the first in between."""
    with closing(episode):
        told: list[Any] = [episode.start()]
        for number, action in enumerate(actions):
            if beside is not None:
                beside.step(actions[-1 - number])
            told.append(episode.step(action))
            if told[-1].done:
                break
        return told


def _difference(first: list[Any], second: list[Any]) -> str:
    """The first place at which two episodes differ, in words."""
    if len(first) != len(second):
        return "the number of turns"
    for number, (one, other) in enumerate(zip(first, second, strict=True)):
        if one != other:
            if not isinstance(one, Observation):
                return "the opening"
            fields = [name for name in vars(one) if getattr(one, name) != getattr(other, name)]
            return f"turn {number - 1} ({', '.join(fields)})"
    return ""


def _tools(setting: Setting) -> list[Tool]:
    with closing(setting.open(setting.tasks[0])) as episode:
        return episode.tools


def _malformed(tools: list[Tool]) -> Iterator[tuple[str, Message]]:
    yield "text without a call", {"role": "assistant", "content": "I am not sure."}
    yield "an unknown tool", _calls(("no_such_tool", {}))
    for tool in tools:
        name, schema = tool["function"]["name"], tool["function"].get("parameters", {})
        whole = {key: _value(kind, ["a"], random.Random(0)) for key, kind in schema.get("properties", {}).items()}
        yield f"{name} with arguments that are no object", _calls((name, "{"))
        yield f"{name} with an unknown argument", _calls((name, whole | {"no_such_argument": 1}))
        for key in schema.get("required", []):
            yield f"{name} without '{key}'", _calls((name, {k: v for k, v in whole.items() if k != key}))
            wrong = {"wrong": "type"} if schema["properties"][key].get("type") != "object" else "text"
            yield f"{name} with a wrong type of '{key}'", _calls((name, whole | {key: wrong}))
    yield "a thousand calls", _calls(*[("no_such_tool", {})] * 1000)


def _calls(*calls: tuple[str, Any]) -> Message:
    made = [
        {"type": "function", "id": f"c{number}", "function": {"name": name, "arguments": arguments}}
        for number, (name, arguments) in enumerate(calls)
    ]
    return {"role": "assistant", "content": "", "tool_calls": made}


def _value(schema: dict[str, Any], words: Sequence[str], chance: random.Random) -> Any:
    if "enum" in schema:
        return chance.choice(schema["enum"])
    kinds = schema.get("type", "string")
    kind = kinds if isinstance(kinds, str) else kinds[0]
    values = {"integer": chance.randint(0, 9), "number": chance.random(), "boolean": chance.random() < 0.5}
    return values.get(kind, {"array": [], "object": {}, "null": None}.get(kind, chance.choice(words)))


def _why(trajectory: Trajectory) -> str:
    return f"({trajectory.error.splitlines()[-1]})" if trajectory.error else f"after {len(trajectory.turns)} turns"


def _held() -> dict[str, int]:
    """What this process has open: threads, files, and processes below it."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(folder.name))
    below, found = [os.getpid()], 0
    while below:
        new = children.get(below.pop(), [])
        found += len(new)
        below += new
    files = Path("/proc/self/fd")
    return {
        "threads": threading.active_count(),
        "open files": len(list(files.iterdir())) if files.is_dir() else 0,
        "processes": found,
    }
