"""The nouns and verbs of the whole flow, in one read.

    Task -> Environment -> rollout() -> Trajectory -> Reward -> Credit -> trainer -> checkpoint -> eval
             (episode)     the one loop   (on disk)   per turn  per turn   (TRL)

Nothing here imports torch, hydra or any other room; every other room imports this one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

Message = dict[str, Any]
"""One chat message in OpenAI form: `role`, `content`, and where they apply `tool_calls`, `tool_call_id`, `name`.

A tool call is `{"type": "function", "id": ..., "function": {"name": str, "arguments": dict}}`. Arguments are a dict
(the templates of open models want one); an endpoint's raw string, if it could not be parsed, stays in `content`.
"""

Tool = dict[str, Any]
"""One tool as an OpenAI-style schema: `{"type": "function", "function": {"name", "description", "parameters"}}`."""

Stop = Literal["done", "max_turns", "max_tokens", "parse_error", "timeout", "env_error", "infra_error", "reward_error"]
"""Why an episode ended.

- `done`: the environment said so, whether the task succeeded or not.
- `max_turns`, `max_tokens`: the budget ran out; counted as truncated.
- `parse_error`: too many malformed actions in a row.
- `timeout`: the agent's own tool call or episode took longer than its limit. (A policy that does not answer in time is
  an `infra_error`.)
- `env_error`: the environment raised; a bug of the environment, not a failure of the agent.
- `infra_error`: an endpoint, a browser, a disk failed and retries did not help; never enters a baseline as reward 0.
- `reward_error`: it was played, but a reward raised, took too long, or gave something else than a finite number per
  turn; `meta["played"]` has the `stop` and `error` of playing it.
"""

FAILED_BY_US: frozenset[str] = frozenset({"env_error", "infra_error", "reward_error"})
"""Stops that say nothing about the agent: masked in training, counted apart in evaluation."""


class InfraError(Exception):
    """Something around the agent failed (endpoint, browser, disk): the episode may be tried again from its start."""


@dataclass(frozen=True)
class Task:
    """One problem to act on. Attempts at the same `id` form a group."""

    id: str
    messages: list[Message]
    """The opening messages, before the environment adds its own."""
    answer: Any = None
    """What a verifier compares with. The policy never sees it."""
    data: dict[str, Any] = field(default_factory=dict)
    """What the environment needs to stage the task. The policy never sees it."""


@dataclass
class Action:
    """What a policy did in one turn."""

    message: Message
    """The assistant message, parsed."""
    prompt_ids: list[int] = field(default_factory=list)
    """Tokens that entered the context since the previous turn's last sampled token (in turn 0: the whole prompt).

    Kept as a difference, so that a turn's context extends the previous one by construction; empty where the policy has
    no tokens (endpoint, script)."""
    token_ids: list[int] = field(default_factory=list)
    """The sampled tokens, the stop token included when one was sampled."""
    logprobs: list[float] = field(default_factory=list)
    """Log-probability of each sampled token under the distribution it was sampled from, in nats."""
    entropies: list[float] = field(default_factory=list)
    """Shannon entropy of that distribution at each sampled token, in nats."""
    finish: Literal["stop", "length"] = "stop"
    """`length`: cut by the token limit before a stop token."""
    usage: dict[str, int] = field(default_factory=dict)
    """`prompt_tokens` and `completion_tokens` as the policy counts them."""
    method: str | None = None
    """How a teacher was asked for it (`react`, `cot`, `reflexion`), if in some such way; the episode's envelope names
    that of its first action."""
    values: list[float] = field(default_factory=list)
    """A critic's estimate, before each sampled token, of the reward still to come; empty where there is no critic."""

    @property
    def sampled(self) -> int:
        """Number of sampled tokens, also where no more is left of them than entropies or values."""
        return len(self.token_ids) or len(self.entropies) or len(self.values)


@dataclass
class Observation:
    """What the environment answered to one action."""

    messages: list[Message]
    """Tool results or user messages to append; may be empty when `done`."""
    reward: float = 0.0
    """The environment's own reward for this turn; what training uses is decided by `reward=`."""
    done: bool = False
    state: str = ""
    """Key of the state in which the action was *taken* (GiGPO's anchor, arXiv 2505.10978), equal for equal states."""
    feedback: dict[str, Any] = field(default_factory=dict)
    """Verifiable facts. Shared keys: `success` (bool, on the last turn), `invalid_call` (str: malformed, unknown tool
    or arguments that do not fit the schema), `tool_error` (str: a valid call whose execution failed),
    and `violations` (list of str), the principles that the action broke, where `reward=safety` has looked."""


@dataclass
class Turn:
    """One action and what the environment answered."""

    action: Action
    observation: Observation
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall time of the two halves: `policy`, `env`."""


@dataclass
class Trajectory:
    """One episode: everything that training, evaluation and a reader of the log need to know about it."""

    task: Task
    turns: list[Turn]
    stop: Stop
    messages: list[Message] = field(default_factory=list)
    """The opening messages as the policy saw them (system, user), before the first turn."""
    tools: list[Tool] = field(default_factory=list)
    scores: dict[str, list[float]] = field(default_factory=dict)
    """Reward name -> one score per turn, unweighted."""
    weights: dict[str, float] = field(default_factory=dict)
    """Reward name -> weight; what `returns` sums with. A missing name weighs 1."""
    attempt: int = 0
    """Number of this attempt within its group, from 0."""
    seed: int = 0
    error: str | None = None
    """Text of the exception behind `timeout`, `env_error`, `infra_error` or `reward_error`."""
    seconds: float = 0.0
    retries: int = 0
    """Times this episode was started again after an infrastructure failure."""
    meta: dict[str, Any] = field(default_factory=dict)
    """Where it comes from: `env`, `policy` (name, revision, sampling), `method`, versions. Goes into the envelope."""

    @property
    def success(self) -> bool:
        """True if the environment verified success on the last turn."""
        return bool(self.turns) and self.turns[-1].observation.feedback.get("success") is True

    @property
    def turn_rewards(self) -> list[float]:
        """The weighted sum of all scores, one number per turn."""
        sums = [0.0] * len(self.turns)
        for name, scores in self.scores.items():
            weight = self.weights.get(name, 1.0)
            for turn, score in enumerate(scores):
                sums[turn] += weight * score
        return sums

    def conversation(self) -> list[Message]:
        """Opening messages, then each turn's action and observation, in order."""
        messages = list(self.messages)
        for turn in self.turns:
            messages.append(turn.action.message)
            messages.extend(turn.observation.messages)
        return messages


@dataclass(eq=False)
class Conversation:
    """An episode as its policy sees it: messages and tools, and nothing of the task's answer or data."""

    id: str
    messages: list[Message]
    """Everything so far; the rollout loop appends actions and observations."""
    tools: list[Tool]
    seed: int
    """Seeds this conversation's sampling, whatever else is sampled beside it."""
    turn: int = 0
    """Number of actions taken so far."""
    max_tokens: int | None = None
    """Most tokens the next action may sample."""


@runtime_checkable
class Episode(Protocol):
    """One attempt at one task. Single use: `start` once, `step` until `done`, `close` always."""

    @property
    def tools(self) -> list[Tool]: ...

    def start(self) -> list[Message]:
        """Set the scene; returns the opening messages (usually the task's own)."""
        ...

    def step(self, action: Message) -> Observation:
        """Execute an assistant message. A malformed one is answered, not raised.

        Raises:
            InfraError: the surroundings failed; the loop starts the episode again.
        """
        ...

    def close(self) -> None: ...


@runtime_checkable
class Environment(Protocol):
    """Where actions have effects. Its randomness comes from the seed of the episode alone.

    One whose answers depend on what is not agenttrain's (a server, a package, the user's file) names that with its
    version in an attribute `versions: dict[str, str]`, read when an episode has ended and written beside it.
    """

    def episode(self, task: Task, seed: int) -> Episode: ...


@runtime_checkable
class Policy(Protocol):
    """Who acts, for many conversations at once, each in its own time.

    The loop submits a conversation whenever its environment has answered and polls for actions that are ready, so that
    nobody waits for the slowest of a batch.
    """

    def submit(self, conversation: Conversation) -> None: ...

    def poll(self, timeout: float) -> list[tuple[Conversation, Action | Exception]]:
        """Work or wait up to `timeout` seconds; return what is ready (possibly nothing).

        An `InfraError` in place of an action lets the loop start the episode again.
        """
        ...

    def release(self, conversation: Conversation) -> None:
        """The episode is over (or given up, maybe while its action is pending): free what is held for it."""
        ...

    def describe(self) -> dict[str, Any]:
        """Name, revision and sampling, as written into every trajectory."""
        ...


@runtime_checkable
class Reward(Protocol):
    """Trajectory -> one finite score per turn. Outcome, process, learned and safety rewards are all of this form."""

    weight: float

    def __call__(self, trajectory: Trajectory) -> list[float]: ...


@runtime_checkable
class GroupReward(Reward, Protocol):
    """A reward that only says which of several attempts at a task is better: it sees them together, once all of them
    have ended. Called with one alone it raises `UserError`, so that no score is made up where groups are not known."""

    def compare(self, group: Sequence[Trajectory]) -> Sequence[Sequence[float]]:
        """For each of two or more attempts, all of which have a turn, one finite score per turn."""
        ...


@runtime_checkable
class Prepared(Reward, Protocol):
    """A reward that reads something large, a model for example, which takes longer than scoring an episode may."""

    def prepare(self) -> None:
        """Read it, before the first episode.

        Raises:
            UserError: it is not there, or not what it should be.
        """
        ...


Advantage = float | Sequence[float]
"""Of one turn: one number for all of its sampled tokens, or one for each of them."""


@runtime_checkable
class Credit(Protocol):
    """Batch of trajectories -> one advantage per turn. Groups are the trajectories of equal `task.id`.

    Trajectories that we failed (`FAILED_BY_US`) get 0, and change nobody else's advantage.
    """

    def __call__(self, batch: Sequence[Trajectory]) -> Sequence[Sequence[Advantage]]: ...


@runtime_checkable
class CriticCredit(Credit, Protocol):
    """Credit that reads a critic's `action.values`, and says what the critic should have said."""

    def targets(self, batch: Sequence[Trajectory]) -> list[list[list[float]]]:
        """For each trajectory, turn and sampled token what the critic should have said before it; nan where it learns
        nothing."""
        ...


@runtime_checkable
class Tasks(Protocol):
    """Where problems come from: iterable again and again, always in the same order."""

    def __iter__(self) -> Iterator[Task]: ...


@dataclass
class Example:
    """One supervised record: a conversation whose chosen assistant messages carry loss."""

    id: str
    messages: list[Message]
    """Each assistant message has `train: bool`; nothing else ever carries loss."""
    tools: list[Tool] = field(default_factory=list)
    success: bool | None = None
    """The recorded outcome; None where the source does not say."""
    source: str = ""
    """File and line it was read from."""
    ids: list[int] | None = None
    """Recorded tokens (prompt and all turns), if the policy that acted had the tokenizer which trains now."""
    mask: list[bool] | None = None
    """True where `ids` was sampled in a turn that trains."""
    text: str = ""
    """A plain text in place of a conversation (`messages` is empty): all of it carries loss."""
    part: str = ""
    """Name of the source it was drawn from, in a mixture; of one within another both, `general.gpt4`."""
    task: str = ""
    """Hash of the task that was played; empty where the source does not say."""


Examples = Iterable[Example]
