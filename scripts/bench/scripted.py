"""Episodes whose every token is laid down beforehand, and the two sides that play them: ours and TRL's.

What a random model says differs from loop to loop, and with it the work. So a script says what each attempt does in
each turn: a call of the tool `get`, so many tokens long, its stop token the last. Both sides compute all that they
would anyhow (the model's logits, softmax, a random draw), but just before the draw the scripted token is lifted far
above all others. TRL's side gets that as a logits processor of `generate`, ours at the output of the engine. It is one
`scatter` a step on both sides, and `same` compares what they played, token by token.

Both play the same class `Game`: TRL as its `environment_factory`, ours by `env=trl_class`.
"""

from __future__ import annotations

import math
import random
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import LogitsProcessor, LogitsProcessorList, PreTrainedTokenizerBase, PrinterCallback
from trl import GRPOConfig, GRPOTrainer

from agenttrain.env.trl_class import TrlClass
from agenttrain.model.loaded import Loaded
from agenttrain.model.tiny import Tiny
from agenttrain.policy.local import Local
from agenttrain.rollout import Attempt, Limits, rollout
from agenttrain.trainer.grpo import Grpo
from agenttrain.types import Task, Trajectory

SHAPE: dict[str, Any] = {"layers": 6, "hidden": 256, "heads": 8, "intermediate": 768}
QUICK: dict[str, Any] = {"layers": 1, "hidden": 64}
"""A Qwen3 with 5 million weights, and one that is good for trying a script."""
MEAN, SIGMA = 30, 0.62
"""Tokens of a turn and the width of their log-normal distribution: of 64 turns the longest has about 110."""
PROMPT, SHORTEST, LONGEST = 64, 8, 56
"""Tokens of a task's text; fewest and most of an observation."""
LIFT = 1e4
"""A logit that leaves no other token a chance, in bfloat16 too."""

Clock = Callable[[], float]
CLOCKS: dict[str, Clock] = {"wall": time.perf_counter, "cpu": time.process_time}
"""CPU seconds are for a machine that does other work, too."""


@dataclass(frozen=True)
class Script:
    """What everybody says. Tokens are lists of ids, texts are made of words of one token each."""

    tasks: list[Task]
    """Their `data` is what `Game.reset` wants."""
    actions: dict[str, list[list[list[int]]]]
    """Task -> attempt -> turn -> tokens."""
    turns: int
    lengths: list[int] = field(default_factory=list)
    """Tokens of every action."""

    @property
    def attempts(self) -> list[Attempt]:
        """In the order of TRL's rows: all attempts at a task together."""
        return [Attempt(task, number) for task in self.tasks for number in range(len(self.actions[task.id]))]

    def of(self, attempt: Attempt) -> list[list[int]]:
        """The tokens of its turns."""
        return self.actions[attempt.task.id][attempt.attempt]


def write(
    tokenizer: PreTrainedTokenizerBase,
    tasks: int,
    turns: int,
    attempts: int = 1,
    ragged: bool = True,
    mean: int = MEAN,
    seed: int = 0,
    seconds: float = 0.0,
) -> Script:
    """A script: turns of log-normal length, or all of `mean` tokens if not `ragged`; `seconds` takes each tool call."""
    rng = random.Random(seed)
    call = tokenizer.encode('<tool_call>{"name": "get", "arguments": {"item": "')
    close = [*tokenizer.encode('"}}</tool_call>'), tokenizer.eos_token_id]
    words = [token for token in range(len(tokenizer)) if _is_word(tokenizer, token)]

    def say(count: int) -> list[int]:
        return rng.choices(words, k=count)

    def act() -> list[int]:
        drawn = round(rng.lognormvariate(math.log(mean) - SIGMA**2 / 2, SIGMA)) if ragged else mean
        return [*call, *say(max(1, drawn - len(call) - len(close))), *close]

    actions = {str(task): [[act() for _ in range(turns)] for _ in range(attempts)] for task in range(tasks)}
    told = [
        Task(
            name,
            [{"role": "user", "content": tokenizer.decode(say(PROMPT))}],
            data={
                "observations": [tokenizer.decode(say(rng.randint(SHORTEST, LONGEST))) for _ in range(turns)],
                "seconds": seconds,
            },
        )
        for name in actions
    ]
    lengths = [len(turn) for group in actions.values() for attempt in group for turn in attempt]
    return Script(told, actions, turns, lengths)


def _is_word(tokenizer: PreTrainedTokenizerBase, token: int) -> bool:
    text = str(tokenizer.decode([token]))
    return bool(re.fullmatch(" [a-z]+", text)) and tokenizer.encode(text) == [token]


class Game:
    """Answers the n-th call with the n-th observation; the return is told by the length of the first call."""

    def reset(self, observations: list[str], seconds: float, **_: Any) -> None:
        self._left, self._seconds, self._reward = list(observations), seconds, None
        self.done = False

    def get(self, item: str) -> str:
        """Get something.

        Args:
            item: What to get.
        """
        if self._reward is None:
            self._reward = len(item) / 100
        time.sleep(self._seconds)
        observation = self._left.pop(0)
        self.done = not self._left
        return observation

    def get_reward(self) -> float:
        return self._reward or 0.0


def load(dtype: str = "float32", quick: bool = False) -> Loaded:
    """The model of all benchmarks (or a smaller one), the same weights each time."""
    loaded = Tiny(**(QUICK if quick else SHAPE)).load()
    loaded.model.to(getattr(torch, dtype))
    return loaded


def arguments(script: Script, out: Path, steps: int = 1, **extra: Any) -> GRPOConfig:
    """The same for both sides; `generate` may say all that a script holds."""
    group = len(script.actions[script.tasks[0].id])
    algo = Grpo(
        steps=steps,
        tasks_per_step=len(script.tasks),
        group_size=max(group, 2),
        batch_size=min(8, len(script.tasks) * max(group, 2)),
        max_completion_length=8192,
        learning_rate=1e-5,
        save_steps=1000,
        extra={"max_tool_calling_iterations": script.turns - 1} | extra,
    )
    return algo.arguments(out, 0, [])


class Ours(Local):
    """`policy=local`, told what to say."""

    def __init__(self, script: Script, clock: Clock = time.perf_counter) -> None:
        super().__init__()
        self.script, self.clock = script, clock
        self.peak = 0
        """Most bytes of cache so far."""
        self.passes = 0
        """Forward passes so far."""

    def attach(self, model: Any, chat: Any, name: str = "local") -> None:
        super().attach(model, chat, name)
        self._computed, self.engine.feed = self.engine.feed, self._scripted

    def _scripted(self, rows: Sequence[Any], tokens: Sequence[Sequence[int]]) -> torch.Tensor:
        logits = self._computed(rows, tokens)
        self.passes += 1
        self.peak = max(self.peak, self.engine.cache.allocated)
        speakers = {speaker.row: speaker for speaker in self.seats.acting}
        return logits.scatter(1, torch.tensor([[self._next(speakers[row])] for row in rows]), LIFT)

    def _next(self, speaker: Any) -> int:
        task, _, attempt = speaker.conversation.id.rpartition("#")
        turn = self.script.actions[task][int(attempt)][speaker.conversation.turn]
        return turn[len(speaker.ids) - speaker.spoke]

    def play(self) -> tuple[float, list[Trajectory]]:
        """Seconds, and the episodes in the order of `script.attempts`."""
        limits = Limits(max_turns=self.script.turns, concurrency=len(self.script.attempts))
        began = self.clock()
        ended = list(rollout(self.script.attempts, TrlClass("scripted:Game"), self, limits))
        seconds = self.clock() - began
        order = [(attempt.task.id, attempt.attempt) for attempt in self.script.attempts]
        return seconds, sorted(ended, key=lambda t: order.index((t.task.id, t.attempt)))


class Theirs(GRPOTrainer):
    """TRL's trainer with its own loop over environments, told what to say."""

    model: Any

    def __init__(
        self, script: Script, loaded: Loaded, args: GRPOConfig, clock: Clock = time.perf_counter, **more: Any
    ) -> None:
        rows = [{"prompt": task.messages, **task.data} for task in script.tasks]
        super().__init__(
            model=loaded.model,
            args=args,
            train_dataset=Dataset.from_list(rows),
            processing_class=loaded.tokenizer,
            environment_factory=Game,
            **more,
        )
        self.remove_callback(PrinterCallback)
        self.script, self.rows, self.clock = script, rows, clock
        self.seconds: list[float] = []
        """Of each rollout."""
        self.played: list[list[int]] = []
        """The tokens of the last one."""

    def play(self) -> float:
        """One rollout; its seconds."""
        group = len(self.script.attempts) // len(self.rows)
        self._generate_and_score_completions([row for row in self.rows for _ in range(group)])
        return self.seconds[-1]

    def estimate(self, episodes: Sequence[Trajectory], every: int) -> float:
        """Seconds of a rollout, from some of its turns: of each `every` turns the middle one is generated, after the
        history of `episodes`. A turn of TRL's loop starts from tokens alone, so it takes as long as in a whole rollout,
        but for the calls and their parsing, which are left out."""
        began, chosen = self.clock(), range(min(every // 2, self.script.turns - 1), self.script.turns, every)
        for self.turn in chosen:
            said = [trajectory.turns[self.turn].action.token_ids for trajectory in episodes]
            prompts = [_before(trajectory, self.turn) for trajectory in episodes]
            assert self._generate_single_turn(prompts, None, {}, 1)[0] == said
        return (self.clock() - began) * self.script.turns / len(chosen)

    def _generate(self, prompts: list[Any]) -> Any:
        self.turn = 0
        began = self.clock()
        out = super()._generate(prompts)
        self.seconds.append(self.clock() - began)
        self.played = [prompt + completion for prompt, completion in zip(out[0], out[1], strict=True)]
        return out

    def _generate_single_turn(self, prompt_ids: list[list[int]], *args: Any, **more: Any) -> Any:
        said = [self.script.of(attempt)[self.turn] for attempt in self.script.attempts]
        assert len(said) == len(prompt_ids), "an episode has left TRL's loop early"
        forced = LogitsProcessorList([_Forced(said, self.model.device)])
        self.model.generate = partial(type(self.model).generate, self.model, logits_processor=forced)
        self.turn += 1
        return super()._generate_single_turn(prompt_ids, *args, **more)


class _Forced(LogitsProcessor):
    def __init__(self, said: list[list[int]], device: torch.device) -> None:
        longest = max(map(len, said))
        self.tokens = torch.tensor([tokens + [0] * (longest - len(tokens)) for tokens in said], device=device)
        self.begin = -1

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        if self.begin < 0:
            self.begin = input_ids.shape[1]
        place = input_ids.shape[1] - self.begin
        return scores.scatter(1, self.tokens[:, place : place + 1], LIFT)


def _before(trajectory: Trajectory, number: int) -> list[int]:
    """The tokens that turn `number` was sampled after."""
    spoken = [token for turn in trajectory.turns[:number] for token in turn.action.prompt_ids + turn.action.token_ids]
    return spoken + trajectory.turns[number].action.prompt_ids


def same(ours: Sequence[Trajectory], theirs: Sequence[Sequence[int]]) -> None:
    """
    Raises:
        AssertionError: the two sides did not play the same tokens.
    """
    for trajectory, tokens in zip(ours, theirs, strict=True):
        assert trajectory.stop == "done", f"{trajectory.stop}: {trajectory.error}"
        played = _before(trajectory, -1) + trajectory.turns[-1].action.token_ids
        assert played == list(tokens), f"attempt {trajectory.attempt} at task {trajectory.task.id} differs"
