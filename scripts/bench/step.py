"""A whole step of `rl` against a step of TRL's GRPOTrainer with its environment loop.

    python scripts/bench/step.py
    python scripts/bench/step.py --quick

A step plays 8 tasks x 8 attempts at ten ragged turns, scores them, spreads credit, and updates the model: forward and
backward in batches of 8, then the optimizer. Both sides train the same model with the same GRPOConfig (loss, batches,
learning rate) on the same tokens, which are laid down beforehand (scripts/bench/scripted.py), with the same rewards
and GRPO's advantages; so the gradient of the first step must be the same, and the script fails if its norm differs by
more than 1 %. Our side is the trainer of `agenttrain rl`. Each repetition is a step; one before them warms up.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")

import torch
from report import machine, spread, table
from scripted import CLOCKS, Clock, Ours, Script, Theirs, arguments, load, same, write
from transformers import TrainerCallback
from trl import GRPOTrainer

from agenttrain.credit.grpo import Grpo
from agenttrain.env.trl_class import TrlClass
from agenttrain.model.loaded import Loaded
from agenttrain.reward.rlvf import Rlvf
from agenttrain.reward.score import score
from agenttrain.rollout import Limits
from agenttrain.trainer.episodes import Flow
from agenttrain.trainer.seam import FlowTrainer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--tasks", type=int, default=8)
    parser.add_argument("--attempts", type=int, default=8)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0, help="of the script")
    parser.add_argument(
        "--clock", choices=list(CLOCKS), default="wall", help="cpu: on a machine that is busy otherwise"
    )
    parser.add_argument("--quick", action="store_true", help="2 x 2 episodes of two turns with a smaller model")
    given = parser.parse_args()
    torch.set_num_threads(1)
    clock = CLOCKS[given.clock]
    if given.quick:
        given.turns, given.tasks, given.attempts, given.repetitions = 2, 2, 2, 1
    ours, theirs = load(quick=given.quick), load(quick=given.quick)
    script = write(ours.tokenizer, given.tasks, given.turns, given.attempts, seed=given.seed)
    with tempfile.TemporaryDirectory() as out:
        steps = partial(arguments, script, steps=given.repetitions + 1)
        mine = _Timed(script, ours, steps(Path(out) / "ours"), clock)
        other = Theirs(script, theirs, steps(Path(out) / "theirs"), clock)
        clocks = []
        for side in (mine, other):
            clocks.append(_Clock(clock))
            side.add_callback(clocks[-1])
            side.train()
            print(f"{type(side).__name__}: {' '.join(f'{step:.1f}' for step in clocks[-1].steps)} s", file=sys.stderr)
    same(mine.episodes, other.played)
    norms = [side.state.log_history[0]["grad_norm"] for side in (mine, other)]
    assert abs(norms[0] / norms[1] - 1) < 0.01, f"gradients differ: norms {norms}"
    names, parts = ["TRL", "ours"], [_parts(other, clocks[1]), _parts(mine, clocks[0])]
    rows = [[name, *(spread(seconds, 2) for seconds in part)] for name, part in zip(names, parts, strict=True)]
    ratios = [[slow / fast for slow, fast in zip(*pair, strict=True)] for pair in zip(*parts, strict=True)]
    rows.append(["TRL / ours", *map(spread, ratios)])
    print(table(["", "step, s", "rollout, s", "the rest, s"], rows))
    print(
        f"\n{given.tasks} x {given.attempts} episodes of {given.turns} turns, {sum(script.lengths):,} sampled tokens."
    )
    print(f"Norm of the first gradient: {norms[0]:.4g} (ours), {norms[1]:.4g} (TRL). {given.clock} time. {machine()}")


def _parts(side: _Timed | Theirs, clock: _Clock) -> tuple[list[float], ...]:
    """Seconds of every step but the first: the whole, its rollout, and the rest."""
    whole, playing = clock.steps[1:], side.seconds[1:]
    return whole, playing, [a - b for a, b in zip(whole, playing, strict=True)]


class _Timed(FlowTrainer):
    """The trainer of `agenttrain rl`, with the script's tokens."""

    def __init__(self, script: Script, loaded: Loaded, args: Any, clock: Clock) -> None:
        flow = Flow(
            script.tasks,
            TrlClass("scripted:Game"),
            Ours(script),
            Limits(max_turns=script.turns),
            partial(score, rewards={"rlvf": Rlvf(success=0.0, progress=1.0)}),
            Grpo(),
        )
        plan = [list(range(len(script.tasks)))] * args.max_steps
        # Scripted tokens are not sampled from the model, so the log-probs of sampling say nothing here.
        super().__init__(flow, loaded, args, plan, old_logprobs="recomputed", importance_cap=None)
        self.clock = clock
        self.seconds: list[float] = []
        """Of each rollout."""

    def _rollout(self, prompts: list[str], trainer: GRPOTrainer) -> dict[str, list[Any]]:
        began = self.clock()
        out = super()._rollout(prompts, trainer)
        self.seconds.append(self.clock() - began)
        self.episodes = self._episodes
        return out


class _Clock(TrainerCallback):
    """Seconds of each step, the optimizer's part included."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.steps: list[float] = []

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self.began = self.clock()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.steps.append(self.clock() - self.began)


if __name__ == "__main__":
    main()
