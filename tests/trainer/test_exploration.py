"""What makes a run explore, through the whole of `Grpo.train`: it has its effect, and a resumed run goes on exactly."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from agenttrain.credit.grpo import Grpo as GrpoCredit
from agenttrain.policy.local import Local
from agenttrain.trainer.grpo import Curves, Grpo

from .letters import LIMITS, Game, score, small, tasks

SHORT = {"steps": 4, "tasks_per_step": 2, "group_size": 4, "batch_size": 4, "learning_rate": 1e-2, "save_steps": 2}


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def train(out: Path, resume: bool = False, keep=None, policy=None, judge=score, **options) -> Curves:
    loaded = small().load(trainable=True)
    policy = policy or Local(slots=8, context=128)
    algo = Grpo(**SHORT | options)
    credit = GrpoCredit()
    return algo.train(loaded, tasks(6), Game(), judge, credit, policy, LIMITS, out, seed=3, resume=resume, keep=keep)


def ends_as_resumed(folder: Path, **options) -> None:
    """A run that stopped halfway ends at the weights and the figures of one that did not."""
    whole, resumed = folder / "whole", folder / "resumed"
    straight = train(whole, **options)
    shutil.copytree(whole / "checkpoints/checkpoint-2", resumed / "checkpoints/checkpoint-2")
    again = train(resumed, resume=True, **options)
    seconds = {name for name in straight.steps[-1] if "second" in name}
    for then, now in zip(straight.steps, again.steps, strict=True):
        assert {k: v for k, v in now.items() if k not in seconds} == pytest.approx(
            {k: v for k, v in then.items() if k not in seconds}, abs=1e-6, nan_ok=True
        )
    ended = load_file(resumed / "model/model.safetensors")
    for name, value in load_file(whole / "model/model.safetensors").items():
        assert torch.equal(value, ended[name]), name


def constant(trajectory):
    trajectory.scores = {"none": [0.0] * len(trajectory.turns)}
    return trajectory


def test_an_entropy_bonus_alone_keeps_letters_open(tmp_path):
    plain = train(tmp_path / "plain", judge=constant)
    open_ = train(tmp_path / "open", judge=constant, entropy_bonus=1.0)
    assert plain.steps[-1]["entropy"] == pytest.approx(plain.steps[0]["entropy"], rel=0.1)
    assert open_.steps[-1]["entropy"] > 1.5 * open_.steps[0]["entropy"]


def test_an_adaptive_bonus_grows_while_entropy_is_below_its_target_and_resumes(tmp_path):
    options = {"entropy_target": 50.0, "entropy_step": 0.25}
    assert [row["entropy_coef"] for row in train(tmp_path / "low", **options).steps] == [0.25, 0.5, 0.75, 1.0]
    above = train(tmp_path / "high", entropy_bonus=0.5, entropy_target=1e-6, entropy_step=0.25)
    assert [row["entropy_coef"] for row in above.steps] == [0.25, 0.0, 0.0, 0.0]
    ends_as_resumed(tmp_path / "again", **options)


def test_clip_higher_reaches_the_loss(tmp_path):
    """Two passes over a step at a rate that moves far: what a lower upper bound clips, a higher one does not."""
    clipped = [
        train(tmp_path / str(high), steps=1, num_iterations=2, epsilon_high=high).steps[0]["clip_ratio/high_mean"]
        for high in (1e-3, 50.0)
    ]
    assert clipped[0] > 0.01
    assert clipped[1] == 0
