"""What makes a run explore, through the whole of `Grpo.train`: it has its effect, and a resumed run goes on exactly."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from agenttrain.credit.gae import Gae
from agenttrain.credit.grpo import Grpo as GrpoCredit
from agenttrain.errors import UserError
from agenttrain.policy.local import Local
from agenttrain.trainer.episodes import Flow
from agenttrain.trainer.grpo import Curves, Grpo
from agenttrain.trainer.ppo import Ppo

from .letters import LIMITS, Game, score, small, tasks

SHORT = {"steps": 4, "tasks_per_step": 2, "group_size": 4, "batch_size": 4, "learning_rate": 1e-2, "save_steps": 2}


def train(out: Path, resume: bool = False, keep=None, policy=None, judge=score, env=None, **options) -> Curves:
    loaded = small().load(trainable=True)
    policy = policy or Local(slots=8, context=128)
    algo = Grpo(**SHORT | options)
    credit = GrpoCredit()
    flow = Flow(tasks(6), env or Game(), policy, LIMITS, judge, credit, seed=3)
    return algo.train(loaded, flow, out, resume=resume, keep=keep)


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


def uneven(trajectory):
    """Half of the tasks score all attempts the same."""
    return constant(trajectory) if int(trajectory.task.id[1:]) % 2 else score(trajectory)


def test_groups_without_signal_give_way_to_other_tasks(tmp_path):
    kept = []
    plain = train(tmp_path / "plain", judge=uneven)
    refilled = train(tmp_path / "refilled", judge=uneven, refill=3, keep=kept.append)
    assert sum(row["groups_without_variance"] for row in plain.steps) > 0
    assert all("refilled_groups" not in row for row in plain.steps)
    assert sum(row["groups_without_variance"] for row in refilled.steps) == 0
    assert sum(row["refilled_groups"] for row in refilled.steps) > 0
    for step, row in enumerate(refilled.steps):
        here = [t for t in kept if t.meta["step"] == step]
        gone = [t for t in here if t.meta.get("replaced")]
        assert (len(here) - len(gone), len(gone)) == (8, 4 * row["refilled_groups"])
        assert len({t.task.id for t in here}) == 2 + row["refilled_groups"]  # no task twice in a step
        assert not any(any(t.meta["advantages"]) for t in gone)
        silent = len(gone) / 4 / (2 + row["refilled_groups"])
        assert row["silent_groups"] == pytest.approx(silent)


def test_a_refilled_run_goes_on_exactly(tmp_path):
    ends_as_resumed(tmp_path, judge=uneven, env=Same(), refill=2, curriculum="success", novelty=0.1)


def test_filtered_groups_move_no_weight(tmp_path):
    """An entropy bonus moves weights although no group has an advantage, unless these groups are masked."""
    start = small().load().model.state_dict()
    for filtered in (False, True):
        out = tmp_path / str(filtered)
        train(out, judge=constant, entropy_bonus=1.0, filter_silent=filtered)
        ended = load_file(out / "model/model.safetensors")
        assert all(torch.equal(value, start[name]) for name, value in ended.items()) is filtered


def test_a_filter_masks_silent_groups_alone(tmp_path):
    kept = []
    train(tmp_path / "run", judge=uneven, filter_silent=True, keep=kept.append)
    assert any(any(t.meta["advantages"]) for t in kept if int(t.task.id[1:]) % 2 == 0)
    assert not any(any(t.meta["advantages"]) for t in kept if int(t.task.id[1:]) % 2)


def test_a_curriculum_plays_every_task_first(tmp_path):
    kept = []
    train(tmp_path / "run", curriculum="success", steps=3, keep=kept.append)
    assert len({t.task.id for t in kept}) == 6


class Same(Game):
    """A game whose states do not depend on the episode's seed, so that other steps meet them again."""

    def episode(self, task, seed):
        return super().episode(task, 0)


def test_novelty_is_a_term_of_its_own_that_decays(tmp_path):
    kept = []
    found = train(tmp_path / "run", judge=constant, env=Same(), novelty=2.0, steps=6, keep=kept.append)
    bonus = [row["reward/novelty"] for row in found.steps]
    assert bonus[0] > bonus[-1] > 0
    assert all(t.weights["novelty"] == 2.0 for t in kept)
    assert any(any(t.meta["advantages"]) for t in kept)  # the only reward there is


@pytest.mark.parametrize("beta", [0.0, 0.1])
def test_what_samples_and_what_trains_follow_one_schedule(tmp_path, beta):
    options = {"temperature_end": 0.5, "beta": beta}
    found = train(tmp_path / "run", policy=Local(2.0, slots=8, context=128), **options)
    assert [row["temperature"] for row in found.steps] == pytest.approx([2.0, 1.5, 1.0, 0.5])
    assert max(row["sampler_drift_max"] for row in found.steps) < 1e-4
    assert found.steps[-1]["entropy"] < 0.8 * found.steps[0]["entropy"]


def test_an_annealed_run_goes_on_exactly(tmp_path):
    ends_as_resumed(tmp_path, temperature_end=0.5, top_p_end=0.9, anneal="cosine")


def test_a_schedule_needs_a_policy_that_can_follow(tmp_path):
    class Fixed(Local):
        anneals = False

    with pytest.raises(UserError, match="need policy=local"):
        train(tmp_path, policy=Fixed(slots=8, context=128), temperature_end=0.5)
    with pytest.raises(UserError, match="no share"):
        train(tmp_path, top_p_end=1.5)
    with pytest.raises(UserError, match="a critic learns from all"):
        Ppo(filter_silent=True).check_exploration(Local(), Gae())
