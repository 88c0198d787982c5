"""Task, Environment, Policy -> Trajectory: the one loop that generate-trajectories, rl and eval all run.

Episodes advance each in its own time. Whoever's environment has answered is handed to the policy; whoever's action is
ready goes to its environment, on a thread of its own; nobody waits for the slowest. Every wait has a limit, every end a
typed reason, and only failures of the surroundings are tried again.
"""

from __future__ import annotations

import hashlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from agenttrain.errors import UserError
from agenttrain.ranges import Count, Positive, Whole
from agenttrain.types import (
    Action,
    Conversation,
    Environment,
    Episode,
    InfraError,
    Message,
    Observation,
    Policy,
    Stop,
    Task,
    Tool,
    Trajectory,
    Turn,
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """How long and how often anything may be tried."""

    max_turns: Count = 64
    """Turns of an episode; beyond them it stops as `max_turns`."""
    max_tokens: Count = 512
    """Tokens of one action; a longer one is cut and the episode stops as `max_tokens`."""
    malformed: Count = 4
    """Malformed actions in a row that end an episode as `parse_error`."""
    tool_timeout: Positive = 30.0
    """Seconds for one step of the environment; then the episode stops as `timeout`."""
    turn_timeout: Positive = 600.0
    """Seconds in which the policy may be silent towards everybody; then an episode that waits for its action stops as
    `infra_error`. As long as others are served, it only queues."""
    episode_timeout: Positive = 3600.0
    """Seconds for a whole episode, without those in which it waited for the policy; then it stops as `timeout`."""
    reward_timeout: Positive = 60.0
    """Seconds that one reward may take for one episode; then the episode is masked as `reward_error`."""
    retries: Whole = 2
    """Fresh starts of an episode after an infrastructure failure."""
    concurrency: Count = 128
    """Episodes in flight at once."""


@dataclass(frozen=True)
class Attempt:
    """One episode that is owed."""

    task: Task
    attempt: int = 0
    """Number within the task's group, from 0."""
    seed: int = 0
    """Seeds the environment: equal for a whole group, so that its episodes start from the same state. The policy's
    sampling is seeded by this, the task and the attempt together."""


def attempts(tasks: Iterable[Task], per_task: int = 1, seed: int = 0) -> Iterator[Attempt]:
    """`per_task` attempts at every task; the environment's seed depends on `seed` and the task alone."""
    for task in tasks:
        for attempt in range(per_task):
            yield Attempt(task, attempt, stable_seed(seed, task.id))


def stable_seed(*parts: object) -> int:
    """A 63-bit seed from any parts, the same in every process and version of Python."""
    text = "\x1f".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


def versions_of(env: Environment) -> dict[str, str]:
    """What the environment's answers depend on besides agenttrain, and that of those within it."""
    within = [getattr(env, "base", None), *getattr(env, "of", {}).values()]
    found = dict(getattr(env, "versions", {}))
    for inner in within:
        if isinstance(inner, Environment):
            found |= versions_of(inner)
    return found


def name_of(env: Environment) -> str:
    """Its option, without the group; one that changes another (`base`) goes by the name of that."""
    while isinstance(base := getattr(env, "base", None), Environment):
        env = base
    return type(env).__module__.rpartition(".")[2]


def rollout(
    owed: Iterable[Attempt], env: Environment, policy: Policy, limits: Limits | None = None
) -> Generator[Trajectory]:
    """Play every attempt and yield each trajectory as its episode ends (not in the order of `owed`).

    Closing the generator early (or Ctrl-C) closes every open episode.

    Raises:
        UserError: policy or environment cannot work at all as configured.
        Exception: whatever else a policy answers with, but `InfraError`: a bug of ours is not an episode's failure.
    """
    yield from _Loop(env, policy, limits or Limits()).run(iter(owed))


@dataclass(eq=False)
class _Live:
    """An episode in flight."""

    attempt: Attempt
    conversation: Conversation
    deadline: float
    """When the whole episode is over; later by the time that the policy takes."""
    began: float
    retries: int = 0
    episode: Episode | None = None
    given_up: bool = False
    opening: int = 0
    """Number of opening messages."""
    turns: list[Turn] = field(default_factory=list)
    malformed: int = 0
    waiting: str = "env"
    """Who is to move: `env` or `policy`."""
    since: float = 0.0
    action: Action | None = None
    """The action its environment is executing now."""
    acted: float = 0.0
    """Seconds the policy took for it."""


class _Loop:
    def __init__(self, env: Environment, policy: Policy, limits: Limits) -> None:
        self.env, self.policy, self.limits = env, policy, limits
        self.threads = _Threads()
        self.live: dict[Conversation, _Live] = {}
        self.ended: list[Trajectory] = []
        self.served = time.monotonic()
        """When the policy last answered anybody."""

    def run(self, owed: Iterator[Attempt]) -> Iterator[Trajectory]:
        try:
            more = True
            while more or self.live:
                while more and len(self.live) < self.limits.concurrency:
                    attempt = next(owed, None)
                    more = attempt is not None
                    if attempt is not None:
                        self._start(attempt)
                self._take_actions()
                # After the policy, which may take long: an answer that came meanwhile is not late.
                self._take_answers()
                self._check_deadlines()
                yield from self.ended
                self.ended.clear()
        finally:
            for live in list(self.live.values()):
                self._drop(live)
            self.threads.close()

    # -- one episode's life, in order ---------------------------------------------------------------------------------

    def _start(self, attempt: Attempt, retries: int = 0) -> None:
        now = time.monotonic()
        conversation = Conversation(
            id=f"{attempt.task.id}#{attempt.attempt}",
            messages=[],
            tools=[],
            seed=stable_seed(attempt.seed, attempt.task.id, attempt.attempt),
            max_tokens=self.limits.max_tokens,
        )
        live = _Live(attempt, conversation, now + self.limits.episode_timeout, now, retries, since=now)
        self.live[conversation] = live

        def begin() -> tuple[list[Message], list[Tool]]:
            episode = live.episode = self.env.episode(attempt.task, attempt.seed)
            if live.given_up:  # while it was made: nobody else will close it
                self._close(live)
                raise InfraError("given up before it began")
            return episode.start(), episode.tools

        self.threads.run(live, begin)

    def _take_answers(self) -> None:
        """Whatever environments have answered; waits only if the policy has nothing to do."""
        idle = not any(live.waiting == "policy" for live in self.live.values())
        for live, answer, seconds in self.threads.results(wait=self._until_deadline() if idle else 0.0):
            if self.live.get(live.conversation) is not live:
                continue  # given up meanwhile
            if isinstance(answer, UserError):
                raise answer
            if isinstance(answer, InfraError):
                self._retry(live, answer)
            elif isinstance(answer, BaseException):
                self._end(live, "env_error", f"{type(answer).__name__}: {answer}")
            elif live.action is None:
                self._opened(live, *answer)
            else:
                self._observed(live, answer, seconds)

    def _opened(self, live: _Live, messages: list[Message], tools: list[Tool]) -> None:
        live.conversation.messages.extend(messages)
        live.conversation.tools = tools
        live.opening = len(messages)
        self._ask(live)

    def _ask(self, live: _Live) -> None:
        live.waiting, live.since, live.action = "policy", time.monotonic(), None
        self.policy.submit(live.conversation)

    def _take_actions(self) -> None:
        if not any(live.waiting == "policy" for live in self.live.values()):
            return
        # A short wait, so that environments that answer meanwhile are handed over soon.
        for conversation, action in self.policy.poll(timeout=0.01 if self.threads.busy else 0.1):
            self.served = time.monotonic()
            live = self.live.get(conversation)
            if live is None or live.waiting != "policy":
                continue
            if isinstance(action, InfraError):
                self._retry(live, action)
            elif isinstance(action, Exception):
                raise action
            else:
                self._act(live, action)

    def _act(self, live: _Live, action: Action) -> None:
        now = time.monotonic()
        live.waiting, live.action, live.acted, live.since = "env", action, now - live.since, now
        live.deadline += live.acted
        live.conversation.messages.append(action.message)
        live.conversation.turn += 1
        if action.finish == "length":
            self._record(live, Observation([], feedback={"invalid_call": "cut by the token limit"}), 0.0)
            self._end(live, "max_tokens")
            return
        episode = live.episode
        assert episode is not None
        self.threads.run(live, lambda: episode.step(action.message))

    def _observed(self, live: _Live, observation: Observation, seconds: float) -> None:
        self._record(live, observation, seconds)
        live.conversation.messages.extend(observation.messages)
        live.malformed = live.malformed + 1 if observation.feedback.get("invalid_call") else 0
        if observation.done:
            self._end(live, "done")
        elif live.malformed >= self.limits.malformed:
            self._end(live, "parse_error")
        elif len(live.turns) >= self.limits.max_turns:
            self._end(live, "max_turns")
        else:
            self._ask(live)

    def _record(self, live: _Live, observation: Observation, seconds: float) -> None:
        assert live.action is not None
        live.turns.append(Turn(live.action, observation, {"policy": live.acted, "env": seconds}))

    # -- ends ---------------------------------------------------------------------------------------------------------

    def _end(self, live: _Live, stop: Stop, error: str | None = None) -> None:
        self._drop(live)
        method = {"method": live.turns[0].action.method} if live.turns and live.turns[0].action.method else {}
        self.ended.append(
            Trajectory(
                task=live.attempt.task,
                turns=live.turns,
                stop=stop,
                messages=live.conversation.messages[: live.opening],
                tools=live.conversation.tools,
                attempt=live.attempt.attempt,
                seed=live.attempt.seed,
                error=error,
                seconds=time.monotonic() - live.began,
                retries=live.retries,
                meta=self._origin() | method,
            )
        )

    def _origin(self) -> dict[str, Any]:
        known = {"env": name_of(self.env), "policy": self.policy.describe()}
        versions = versions_of(self.env)
        return known | {"env_versions": versions} if versions else known

    def _retry(self, live: _Live, error: Exception) -> None:
        if live.retries >= self.limits.retries:
            self._end(live, "infra_error", f"{type(error).__name__}: {error}")
        else:
            self._drop(live)
            self._start(live.attempt, live.retries + 1)

    def _drop(self, live: _Live) -> None:
        del self.live[live.conversation]
        live.given_up = True
        self.policy.release(live.conversation)
        if live.episode is not None:
            # Also while a step hangs: closing is what lets an environment kill whatever hangs.
            self.threads.run(None, lambda: self._close(live))

    def _close(self, live: _Live) -> None:
        """Close an episode once, whoever comes first."""
        with self.threads.lock:
            episode, live.episode = live.episode, None
        try:
            if episode is not None:
                episode.close()
        except Exception as error:  # its trajectory is whole: worth a word, and no more
            _log.warning("episode %s did not close: %s: %s", live.conversation.id, type(error).__name__, error)

    def _check_deadlines(self) -> None:
        now, limits = time.monotonic(), self.limits
        for live in list(self.live.values()):
            waited = now - live.since
            if live.waiting == "policy":
                if now - max(live.since, self.served) > limits.turn_timeout:
                    self._end(live, "infra_error", f"no action within turn_timeout={limits.turn_timeout:g} s")
            elif waited > limits.tool_timeout:
                self._time_out(live, f"no answer within tool_timeout={limits.tool_timeout:g} s", waited)
            elif now > live.deadline:
                self._time_out(live, f"episode longer than episode_timeout={limits.episode_timeout:g} s", waited)

    def _time_out(self, live: _Live, error: str, waited: float) -> None:
        """The action that was not answered is the episode's last: what led here must be seen, and learned from."""
        if not live.opening:
            self._retry(live, InfraError(f"environment did not start: {error}"))
            return
        if live.action is not None:
            self._record(live, Observation([], feedback={"tool_error": error}), waited)
        self._end(live, "timeout", error)

    def _until_deadline(self) -> float:
        now = time.monotonic()
        ends = [min(live.deadline, live.since + self.limits.tool_timeout) for live in self.live.values()]
        return max(0.0, min(ends, default=now) - now) + 0.001


class _Threads:
    """Daemon threads that run environment calls; one that hangs is left behind and blocks neither us nor the exit.

    The standard library's executor joins its threads at exit, so a single hung tool would hang the whole program.
    """

    def __init__(self) -> None:
        self.work: queue.SimpleQueue[tuple[_Live | None, Callable[[], Any]] | None] = queue.SimpleQueue()
        self.done: queue.SimpleQueue[tuple[_Live | None, Any, float]] = queue.SimpleQueue()
        self.lock = threading.Lock()
        self.busy = self.closing = 0
        self.threads: list[threading.Thread] = []
        self.calling: set[threading.Thread] = set()

    def run(self, live: _Live | None, call: Callable[[], Any]) -> None:
        with self.lock:
            self.busy += 1
            self.closing += live is None
            if self.busy > len(self.threads):
                self.threads.append(threading.Thread(target=self._serve, name="environment", daemon=True))
                self.threads[-1].start()
        self.work.put((live, call))

    def results(self, wait: float) -> list[tuple[_Live, Any, float]]:
        """All that is ready, each with the seconds its call took; if nothing is, waits up to `wait` seconds."""
        ready: list[tuple[_Live, Any, float]] = []
        deadline = time.monotonic() + wait
        while True:
            try:
                left = 0.0 if ready else max(0.0, deadline - time.monotonic())
                live, answer, seconds = self.done.get(timeout=left) if left else self.done.get_nowait()
            except queue.Empty:
                return ready
            if live is not None:
                ready.append((live, answer, seconds))
            elif wait and not ready and not self.busy:
                return ready

    def close(self) -> None:
        """Give episodes that are being closed a moment, then leave; a call that hangs is not waited for.

        All others are joined: a daemon thread that still runs when the interpreter goes down can abort the process.
        """
        deadline = time.monotonic() + 5.0
        while self.closing and time.monotonic() < deadline:
            time.sleep(0.001)
        for _ in self.threads:
            self.work.put(None)
        for thread in self.threads:
            if thread not in self.calling:
                thread.join(timeout=1.0)

    def _serve(self) -> None:
        while (item := self.work.get()) is not None:
            live, call = item
            began = time.monotonic()
            self.calling.add(threading.current_thread())
            try:
                answer: Any = call()
            except BaseException as error:  # also SystemExit of a careless tool: it must end no thread of ours
                answer = error
            self.calling.discard(threading.current_thread())
            with self.lock:
                self.busy -= 1
                self.closing -= live is None
            self.done.put((live, answer, time.monotonic() - began))
