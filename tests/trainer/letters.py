"""A game so small that a model of two layers plays it: say a letter a turn; each `a` pays, `d` ends the game."""

import tempfile
from functools import cache
from pathlib import Path

import torch

from agenttrain.config import options
from agenttrain.config.compose import compose
from agenttrain.model.lora import Lora
from agenttrain.model.pretrained import Pretrained
from agenttrain.model.tiny import Tiny
from agenttrain.policy.local import Local
from agenttrain.reward.score import score as apply
from agenttrain.rollout import Limits
from agenttrain.trainer.episodes import Flow, needs_critic
from agenttrain.trainer.grpo import Grpo
from agenttrain.trainer.ppo import Ppo
from agenttrain.types import Credit, InfraError, Observation, Task

LETTERS = "abcd"
LIMITS = Limits(max_turns=4, max_tokens=3, retries=0, malformed=9)


class Game:
    """`failing` (task id, number of the episode of it): episodes whose environment breaks down after its first turn."""

    def __init__(self, failing: frozenset[tuple[str, int]] = frozenset()):
        self.failing, self.begun = failing, {}

    def episode(self, task: Task, seed: int):
        number = self.begun[task.id] = self.begun.get(task.id, -1) + 1
        return _Play(task, seed, (task.id, number) in self.failing)


class _Play:
    tools: list = []  # noqa: RUF012

    def __init__(self, task, seed, fails):
        self.task, self.seed, self.fails, self.said = task, seed, fails, ""

    def start(self):
        return [{"role": "user", "content": f"{self.task.messages[0]['content']} {self.seed % 10}"}]

    def step(self, action):
        if self.fails and self.said:
            raise InfraError("the game broke down")
        state, letter = f"{self.seed}:{self.said}", action["content"].strip()
        self.said += letter
        feedback = {} if letter in set(LETTERS) else {"invalid_call": "no letter"}
        done = letter == "d"
        if done:
            feedback["success"] = "a" in self.said
        return Observation([{"role": "user", "content": "more" * len(self.said)}], 0.0, done, state, feedback)

    def close(self):
        pass


class CountA:
    """One point for each `a`."""

    weight = 1.0

    def __call__(self, trajectory):
        return [float(turn.action.message["content"].strip() == "a") for turn in trajectory.turns]


def tasks(n: int) -> list[Task]:
    return [Task(f"t{i}", [{"role": "user", "content": "go" + " on" * (i % 3)}]) for i in range(n)]


def small(lora: int = 0) -> Pretrained:
    """A model that says one of the letters and stops, each about as often."""
    return Pretrained(path=_speaker(), lora=Lora(r=lora))


@cache
def _speaker() -> str:
    folder = Path(tempfile.mkdtemp(prefix="letters-"))
    loaded = Tiny(layers=2, hidden=32, heads=2, kv_heads=1, head_dim=16, intermediate=64).load()
    chat, model = loaded.chat, loaded.model
    # One layer of text is enough: every letter after an opening or an observation, then the stop token.
    prompt = chat.open([{"role": "user", "content": "go"}], [])
    rows = [prompt + chat.reply({"role": "assistant", "content": letter}) for letter in LETTERS]
    ids = torch.tensor(rows)
    labels = ids.clone()
    labels[:, : len(prompt)] = -100
    adam = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(40):
        model(input_ids=ids, labels=labels).loss.backward()
        adam.step()
        adam.zero_grad()
    loaded.save(folder)
    return str(folder)


def score(trajectory):
    return apply(trajectory, {"a": CountA()})


CREDITS = options.options("credit", options.folders())
"""Every strategy there is."""


def credit_of(name: str, *settings: str) -> Credit:
    """A strategy as the command line makes it."""
    return compose("rl", [f"credit={name}", *settings], complete=False).call().keywords["credit"]


def algo_of(credit: Credit, **options) -> Grpo:
    """The algorithm that trains with it."""
    return Ppo(**options, critic_learning_rate=1e-2) if needs_critic(credit) else Grpo(**options)


def flow(loaded, credit, env=None, n: int = 4, seed: int = 0) -> Flow:
    """The whole flow on `n` tasks, with a policy that serves `loaded`."""
    policy = Local(slots=8, context=128)
    policy.attach(loaded.model, loaded.chat)
    return Flow(tasks(n), env or Game(), policy, LIMITS, score, credit, seed)
