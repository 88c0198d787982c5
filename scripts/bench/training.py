"""Training on recorded episodes: one sequence per episode against one per turn, and what padding and precision cost.

    python scripts/bench/training.py turns             # whole episodes against one sample per turn, 10 and 30 turns
    python scripts/bench/training.py batches           # padded, length-grouped, packed; old log-probs; bfloat16
    python scripts/bench/training.py padding           # what is left of it, by how a step is cut (no training)
    python scripts/bench/training.py threads           # one thread against two, by size of the model
    python scripts/bench/training.py turns batches padding threads --quick

Each side is the trainer of `agenttrain rl` (scripts/bench/scripted.py lays down what the episodes say), on the same
model, tokens and advantages; the time is that of one step without its rollout. Sides alternate within a repetition,
each repetition has other episodes, and one step before them is not counted. "One per turn" gives every turn a row of
its own with the whole history before it, as verl-agent does.
"""

import argparse
import os
import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")

import torch
from report import machine, spread, table
from scripted import CLOCKS, Clock, Ours, Script, load, write
from transformers import TrainerCallback

from agenttrain.env.trl_class import TrlClass
from agenttrain.model.loaded import Loaded
from agenttrain.model.tiny import Tiny
from agenttrain.policy.local import Local
from agenttrain.rollout import Attempt, Limits
from agenttrain.trainer import seam
from agenttrain.trainer.batches import Rows, by_length
from agenttrain.trainer.episodes import Flow
from agenttrain.trainer.grpo import Grpo
from agenttrain.trainer.seam import FlowTrainer
from agenttrain.trainer.tokens import label_trajectory
from agenttrain.types import Action, Observation, Trajectory, Turn

GROUP = 4
"""Attempts at a task."""


@dataclass(frozen=True)
class Side:
    """One way to train on the same episodes."""

    name: str
    per_turn: bool = False
    kind: type[FlowTrainer] = FlowTrainer
    options: dict[str, Any] = field(default_factory=dict)
    """Of `algo=grpo`."""


@dataclass
class Step:
    """What one step of a side showed."""

    seconds: float
    gradient: torch.Tensor
    """Of its first update, flat."""
    padding: float
    """Share of the tokens that went through the model in vain."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="+", choices=list(PARTS))
    parser.add_argument("--turns", type=int, nargs="+", default=[10, 30], help="of part turns")
    parser.add_argument("--tasks", type=int, default=None, help=f"groups of {GROUP} episodes, of turns and batches")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument(
        "--clock", choices=list(CLOCKS), default="wall", help="cpu: on a machine that is busy otherwise"
    )
    parser.add_argument("--quick", action="store_true", help="few episodes, a smaller model")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.quick:
        given.turns, given.tasks, given.repetitions = [3], 2, 1
    for part in given.parts:
        PARTS[part](given)
    print(f"\n{given.clock} time. {machine()}")


def compare_turns(given: argparse.Namespace) -> None:
    """What the history costs that each turn brings along anew."""
    whole, apart = Side("whole episodes"), Side("one sample per turn", per_turn=True)
    lines = []
    for turns in given.turns:
        steps = measure([whole, apart], turns, False, given.tasks or max(1, 20 // turns), given)
        seconds = [[step.seconds for step in steps[side.name]] for side in (whole, apart)]
        differences = map(difference, steps[whole.name], steps[apart.name])
        ratios = [b / a for a, b in zip(*seconds, strict=True)]
        lines.append([turns, *map(spread, seconds), spread(ratios), f"{max(differences):.0e}"])
    print(table(["turns", "whole episodes, s", "one per turn, s", "ratio", "gradients differ by"], lines))


def compare_batches(given: argparse.Namespace) -> None:
    """Everything against length-grouped rows in float32 with one update a step; and the same with two updates."""
    several = {"minibatches": 2}
    sides = [
        Side("length-grouped"),
        Side("padded to the longest", kind=Padded),
        Side("packed", kind=Packed),
        Side("length-grouped, bf16", options={"bf16": True}),
        Side("two updates, old log-probs sampled", options=several | {"old_logprobs": "sampled"}),
        Side("two updates, recomputed", options=several | {"old_logprobs": "recomputed"}),
        Side("two updates, as TRL does", kind=Trls, options=several),
    ]
    steps = measure(sides, 20, True, given.tasks or 4, given)
    lines = []
    for side in sides:
        seconds = [step.seconds for step in steps[side.name]]
        padding = [100 * step.padding for step in steps[side.name]]
        base = steps[next(s.name for s in sides if ("minibatches" in s.options) == ("minibatches" in side.options))]
        ratios = [step.seconds / first.seconds for step, first in zip(steps[side.name], base, strict=True)]
        apart = max(map(difference, base, steps[side.name]))
        lines.append([side.name, spread(padding, 0), spread(seconds), spread(ratios, 2), f"{apart:.0e}"])
    print(table(["way", "padding, %", "seconds", "times the first", "gradients differ by"], lines))


def compare_padding(given: argparse.Namespace) -> None:
    """128 episodes in micro-batches of 8, as the trainer cuts and sorts them."""
    loaded = load(quick=True)
    shares: dict[str, list[float]] = {}
    for seed in range(given.repetitions):
        played = list(episodes(write(loaded.tokenizer, 32, 20, GROUP, seed=seed), loaded, ragged=True))
        lengths = torch.tensor([len(label_trajectory(episode).ids) for episode in played])
        lengths = lengths[torch.randperm(len(lengths), generator=torch.Generator().manual_seed(seed))]
        mask = (torch.arange(int(lengths.max())) < lengths[:, None]).int()
        batches = [{"completion_mask": rows, "prompt_mask": rows[:, :1]} for rows in mask.split(8)]
        ways = {"all to the longest of the step (TRL)": batches, "loss_type=bnpo: unsorted": by_length(batches, 1)}
        for minibatches in (1, 2, 4, 8):
            ways[f"length-grouped, {minibatches} minibatches or processes"] = by_length(batches, 16 // minibatches)
        for way, cut in ways.items():
            masks = [rows["completion_mask"] for rows in cut]
            real = sum(int(mask.sum()) for mask in masks) / sum(mask.numel() for mask in masks)
            shares.setdefault(way, []).append(100 * (1 - real))
    print(table(["way", "padding, %"], [[way, spread(share, 0)] for way, share in shares.items()]))


def compare_threads(given: argparse.Namespace) -> None:
    """A rollout and a step of training with one thread and with two."""
    lines = []
    for layers, hidden in ((2, 64),) if given.quick else ((2, 192), (6, 256), (8, 512), (12, 768)):
        clock = CLOCKS["wall"]  # two threads that wait for each other count twice by the other
        seconds: dict[int, list[list[float]]] = {1: [], 2: []}
        weights = 0
        for repetition in range(-1, given.repetitions):
            for threads in seconds:
                torch.set_num_threads(threads)
                loaded = Tiny(layers=layers, hidden=hidden, heads=hidden // 32, intermediate=3 * hidden).load()
                weights = sum(parameter.numel() for parameter in loaded.model.parameters())
                script = write(loaded.tokenizer, 1, 1 if repetition < 0 else 2, 2 * GROUP, seed=repetition)
                policy = Ours(script, clock)
                policy.attach(loaded.model, loaded.chat)
                played = policy.play()[0]
                step = train(Side("one"), loaded, list(episodes(script, loaded, ragged=False)), clock)
                if repetition >= 0:
                    seconds[threads].append([played, step.seconds])
        torch.set_num_threads(1)
        ratios = [[b / a for a, b in zip(one, two, strict=True)] for one, two in zip(*seconds.values(), strict=True)]
        lines.append([f"{weights / 1e6:.1f} M", *(spread(each, 2) for each in zip(*ratios, strict=True))])
    print(table(["weights", "rollout, two threads / one", "training, two threads / one"], lines))


PARTS = {"turns": compare_turns, "batches": compare_batches, "padding": compare_padding, "threads": compare_threads}


def measure(
    sides: Sequence[Side], turns: int, ragged: bool, tasks: int, given: argparse.Namespace
) -> dict[str, list[Step]]:
    """Every side's step on the same episodes, in each repetition."""
    steps: dict[str, list[Step]] = {side.name: [] for side in sides}
    for repetition in range(-1, given.repetitions):
        for side in sides:
            loaded = load(quick=given.quick)
            few, many = (2, min(turns, 3)) if repetition < 0 else (tasks, turns)
            played = list(episodes(write(loaded.tokenizer, few, many, GROUP, seed=repetition), loaded, ragged))
            step = train(side, loaded, played, CLOCKS[given.clock])
            if repetition >= 0:
                steps[side.name].append(step)
                print(f"{turns} turns, {side.name}: {step.seconds:.2f} s", file=sys.stderr, flush=True)
    return steps


def episodes(script: Script, loaded: Loaded, ragged: bool) -> Iterator[Trajectory]:
    """The script as recorded by a rollout; if `ragged`, each episode ends after any number of its turns."""
    rng = random.Random(script.turns)
    for attempt in script.attempts:
        said, chat = script.of(attempt), loaded.chat
        told = [[{"role": "tool", "content": text}] for text in attempt.task.data["observations"]]
        prompts = [chat.open(attempt.task.messages, []), *map(chat.extend, told)]
        turns = [
            Turn(Action({}, prompt_ids=prompt, token_ids=ids, logprobs=[0.0] * len(ids)), Observation(messages))
            for prompt, ids, messages in zip(prompts, said, told, strict=False)
        ]
        turns = turns[: rng.randint(1, script.turns) if ragged else script.turns]
        yield Trajectory(attempt.task, turns, "done", attempt.task.messages, attempt=attempt.attempt)


def split(episode: Trajectory, turns: int) -> Iterator[Trajectory]:
    """An episode as verl-agent trains on it: each turn alone, after the whole history."""
    history: list[int] = []
    for number, turn in enumerate(episode.turns):
        history = history + turn.action.prompt_ids
        alone = replace(turn, action=replace(turn.action, prompt_ids=history))
        yield replace(episode, turns=[alone], attempt=episode.attempt * turns + number)
        history = history + turn.action.token_ids


def train(side: Side, loaded: Loaded, played: list[Trajectory], clock: Clock) -> Step:
    """One step on episodes that are there already."""
    turns = max(len(episode.turns) for episode in played)
    if side.per_turn:
        played = [part for episode in played for part in split(episode, turns)]
    tasks = list({episode.task.id: episode.task for episode in played}.values())
    group = len(played) // len(tasks)
    sizes: dict[str, Any] = {"steps": 1, "tasks_per_step": len(tasks), "group_size": group, "batch_size": GROUP}
    algo = Grpo(**sizes | {"max_grad_norm": 1e9, "old_logprobs": "recomputed"} | side.options)
    policy = Local()
    policy.attach(loaded.model, loaded.chat)

    def advantages(batch: Sequence[Trajectory]) -> list[list[float]]:
        """The same for a turn, whether it stands in its episode or alone."""
        stride = turns if side.per_turn else 1
        return [
            [
                random.Random(f"{t.task.id} {t.attempt // stride} {t.attempt % stride + n}").gauss(0, 1)
                for n in range(len(t.turns))
            ]
            for t in batch
        ]

    seam.check_episodes = lambda *_: None  # of rollouts; the history of a turn alone is no opening
    flow = Recorded(tasks, TrlClass("scripted:Game"), policy, Limits(), lambda t: t, advantages)
    flow.episodes = played
    seen = Seen(clock)
    with tempfile.TemporaryDirectory() as out:
        trainer = side.kind(
            flow,
            loaded,
            algo.arguments(Path(out), 0, ()),
            [list(range(len(tasks)))],
            callbacks=[seen],
            old_logprobs=algo.old_logprobs,
            importance_cap=None,  # nobody sampled these tokens
        )
        trainer.model.register_forward_pre_hook(seen.count, with_kwargs=True)
        trainer.train()
    return Step(seen.ended - seen.began, seen.gradient, 1 - seen.real / seen.fed)


class Recorded(Flow):
    """Plays nothing."""

    episodes: list[Trajectory]

    def play(self, owed: Sequence[Attempt]) -> Iterator[Trajectory]:
        return iter(self.episodes)


class Seen(TrainerCallback):
    """A step's seconds, the gradient of its first update, and what went through the model."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.began = self.ended = 0.0
        self.gradient = torch.zeros(0)
        self.fed = self.real = 0

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self.began = self.began or self.clock()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.ended = self.clock()

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        if not len(self.gradient):
            self.gradient = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]).clone()

    def count(self, model: Any, args: Any, kwargs: dict[str, Any]) -> None:
        self.fed += kwargs["input_ids"].numel()
        mask = kwargs.get("attention_mask")
        self.real += kwargs["input_ids"].numel() if mask is None else int(mask.sum())


class Padded(FlowTrainer):
    """Every micro-batch as wide as the longest episode of the step, as TRL has it."""

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        grouped, seam.by_length = seam.by_length, lambda batches, window: batches
        try:
            return super()._prepare_inputs(generation_batch)
        finally:
            seam.by_length = grouped


class Trls(Padded):
    """TRL's own forward pass for old log-probs, of all rows at the width of the longest."""

    def _as_one_update(self) -> Any:
        return nullcontext()

    def _take_old(self, batches: list[Rows]) -> None: ...


class Packed(FlowTrainer):
    """The rows of a micro-batch one after the other in a single one without padding; positions tell them apart."""

    def _get_per_token_logps_and_entropies(
        self, model: Any, ids: torch.Tensor, mask: torch.Tensor, keep: int, **_: Any
    ) -> tuple[torch.Tensor, torch.Tensor, None]:
        real, sampled = mask.bool(), self._sampled
        assert sampled is not None
        scored = torch.cat([torch.zeros_like(mask[:, :-keep]), sampled], dim=1)
        self._sampled = None  # the labels are made here
        out = model(
            input_ids=ids[real][None],
            position_ids=(mask.cumsum(1) - 1)[real][None],
            labels=ids.masked_fill(scored == 0, -100)[real][None],
            fused_lm_head=True,
        )
        logps, entropies = (
            torch.zeros(mask.shape).masked_scatter(real, torch.nn.functional.pad(x[0], (1, 0)))[:, -keep:]
            for x in (out.log_probs, out.entropy)
        )
        if self._learned is not None:
            self._weigh(self._learned, logps.detach())
        return logps, entropies, None


def difference(one: Step, other: Step) -> float:
    """Largest difference of two gradients, relative to the largest entry."""
    return ((one.gradient - other.gradient).abs().max() / one.gradient.abs().max()).item()


if __name__ == "__main__":
    main()
