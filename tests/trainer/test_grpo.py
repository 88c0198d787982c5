"""The whole of `Grpo.train`: it learns, resumes to the same weights, splits groups over processes, refuses nonsense."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from agenttrain import store
from agenttrain.credit.gigpo import Gigpo
from agenttrain.credit.grpo import Grpo as GrpoCredit
from agenttrain.credit.turn import Turn
from agenttrain.errors import UserError
from agenttrain.policy.craft_expert import CraftExpert
from agenttrain.policy.local import Local
from agenttrain.trainer.episodes import Flow, needs_critic
from agenttrain.trainer.grpo import Grpo

from .letters import CREDITS, LIMITS, Game, algo_of, credit_of, score, small, tasks


def train(out: Path, algo: Grpo, credit=None, lora=0, resume=False, policy=None, keep=None, n=4):
    loaded = small(lora).load(trainable=True)
    policy = policy or Local(slots=8, context=128)
    credit = credit or GrpoCredit()
    flow = Flow(tasks(n), Game(), policy, LIMITS, score, credit, seed=3)
    return algo.train(loaded, flow, out, resume=resume, keep=keep)


def weights(out: Path) -> dict[str, torch.Tensor]:
    """Of the policy or its adapter, and of the critic where there is one."""
    files = (out / "model").glob("*.safetensors")
    return {f"{file.stem}/{name}": value for file in files for name, value in load_file(file).items()}


SHORT = Grpo(steps=4, tasks_per_step=2, group_size=4, batch_size=4, learning_rate=1e-2, save_steps=2)


@pytest.mark.parametrize(("credit", "lora"), [(GrpoCredit(), 0), (Gigpo(), 4), (Turn(), 0)])
def test_it_learns_what_pays(tmp_path, credit, lora):
    algo = Grpo(steps=14, tasks_per_step=4, group_size=8, batch_size=16, learning_rate=3e-3, save_steps=100)
    curves = train(tmp_path, algo, credit, lora)
    assert len(curves.steps) == 14
    assert curves.episodes == 14 * 32
    assert curves.steps[0]["reward"] < 1.2
    assert sum(row["reward"] for row in curves.steps[-3:]) / 3 > curves.steps[0]["reward"] + 0.25
    assert (tmp_path / "model" / ("adapter_model.safetensors" if lora else "model.safetensors")).is_file()


SEVERAL = vars(SHORT) | {"num_iterations": 2, "minibatches": 2, "batch_size": 2}


@pytest.mark.parametrize(
    ("algo", "apart"),
    [
        (SHORT, 0.0),
        (Grpo(**SEVERAL | {"old_logprobs": "recomputed"}), 0.0),
        # The last bits of sampled log-probs depend on who is sampled beside.
        (Grpo(**SEVERAL), 1e-5),
    ],
)
def test_a_resumed_run_ends_at_the_same_weights(tmp_path, algo, apart):
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    train(whole, algo)
    updates = algo.num_iterations * algo.minibatches
    halfway = f"checkpoints/checkpoint-{2 * updates}"
    shutil.copytree(whole / halfway, resumed / halfway)
    played = []
    curves = train(resumed, algo, resume=True, keep=played.append)
    assert "Going on from" in curves.notes[0]
    assert {t.meta["step"] for t in played} == {2, 3}
    assert len(curves.steps) == 4
    for name, value in weights(whole).items():
        assert (value - weights(resumed)[name]).abs().max() <= apart, name


ALWAYS = ("empg", "gae", "gigpo")
"""One strategy of each kind: by entropies, by a critic, by states."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in ALWAYS else pytest.mark.slow) for name in CREDITS]
)
def test_a_run_with_any_credit_resumes_exactly(tmp_path, name):
    """With an adapter, and gradients accumulated over two passes."""
    credit, whole, resumed = credit_of(name), tmp_path / "whole", tmp_path / "resumed"
    algo = algo_of(credit, **vars(SHORT) | {"steps": 2, "save_steps": 1})
    train(whole, algo, credit, lora=4)
    shutil.copytree(whole / "checkpoints/checkpoint-1", resumed / "checkpoints/checkpoint-1")
    train(resumed, algo, credit, lora=4, resume=True)
    ended = weights(resumed)
    start = load_file(whole / "checkpoints/checkpoint-1/adapter_model.safetensors")
    assert any(not torch.equal(value, ended[f"adapter_model/{weight}"]) for weight, value in start.items())
    apart = 1e-4 if name == "empg" else 0.0  # the last bits of entropies depend on who is sampled beside
    for weight, value in weights(whole).items():
        assert (value - ended[weight]).abs().max() <= apart, weight


def test_a_damaged_checkpoint_is_passed_over(tmp_path):
    train(tmp_path, SHORT)
    (tmp_path / "checkpoints/checkpoint-4/optimizer.pt").unlink()
    curves = train(tmp_path, SHORT, resume=True)
    assert "checkpoint-4: optimizer.pt is missing" in curves.notes[0]
    assert "Going on from" in curves.notes[1]
    assert "checkpoint-2" in curves.notes[1]


def test_episodes_are_kept_with_scores_and_advantages(tmp_path):
    with store.Writer(tmp_path / "trajectories.jsonl") as writer:
        train(tmp_path, SHORT, keep=writer.write)
    episodes = list(store.read(tmp_path / "trajectories.jsonl"))
    assert len(episodes) == 4 * 8
    for episode in episodes:
        assert len(episode.scores["a"]) == len(episode.meta["advantages"]) == len(episode.turns)
        assert episode.meta["method"] == "rl"
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    returns = [sum(episode.turn_rewards) for episode in episodes[:8]]
    assert rows[0]["reward"] == pytest.approx(sum(returns) / 8)


@pytest.mark.parametrize("lora", [0, 4])
def test_a_reference_model_is_the_one_that_training_began_with(tmp_path, lora):
    curves = train(tmp_path, Grpo(**vars(SHORT) | {"beta": 0.1, "steps": 2}), lora=lora)
    assert curves.steps[0]["kl"] == pytest.approx(0, abs=1e-6)
    assert curves.steps[1]["kl"] > 1e-5
    assert not (tmp_path / "model" / "ref").exists()


def test_bfloat16_is_near_float32_and_its_drift_is_shown(tmp_path, capsys):
    rows = [
        train(tmp_path / str(bf16), Grpo(**SEVERAL | {"bf16": bf16, "steps": 1, "num_iterations": 1})).steps[0]
        for bf16 in (False, True)
    ]
    said = capsys.readouterr().out
    assert rows[0]["sampler_drift_max"] < 1e-5
    assert rows[0]["old_logprobs_recomputed"] == 0
    assert "Old log-probs are those of sampling" in said
    assert 1e-3 < rows[1]["sampler_drift_max"] < 0.2
    assert rows[1]["old_logprobs_recomputed"] == 1
    assert "Log-probs of sampling and training differ" in said
    assert rows[1]["entropy"] == pytest.approx(rows[0]["entropy"], rel=0.05)


def test_temperature_is_the_trainers_and_top_p_is_warned_of(tmp_path, caplog):
    algo = Grpo(**vars(SHORT) | {"steps": 1})
    cool = train(tmp_path / "a", algo, policy=Local(slots=8, context=128, temperature=0.5)).steps[0]
    assert cool["sampler_drift_max"] < 1e-5
    assert "top_p" not in caplog.text
    cut = train(tmp_path / "b", algo, policy=Local(slots=8, context=128, top_p=0.5)).steps[0]
    assert cut["sampler_drift_max"] > 0.1
    assert "policy.top_p=0.5 samples the likeliest tokens only" in caplog.text


def test_groups_split_over_two_processes_give_the_same_advantages(tmp_path):
    compare_two_processes_with_one(tmp_path, ["grpo"])


@pytest.mark.slow
def test_any_credit_is_the_same_over_two_processes(tmp_path):
    compare_two_processes_with_one(tmp_path, CREDITS)


def compare_two_processes_with_one(tmp_path, credits):
    """Six episodes of three groups of two: with three rows a process, the second group is split. What chooses tasks,
    and what counts states, must see what both have played."""
    algo = {"steps": 2, "tasks_per_step": 3, "group_size": 2, "batch_size": 3, "learning_rate": 1e-3}
    algo |= {"refill": 1, "curriculum": "success", "novelty": 0.1}
    command = ["torch.distributed.run", "--nproc_per_node=2", "--master_port=0", "--rdzv-backend=c10d"]
    command += ["--rdzv-endpoint=localhost:0", str(Path(__file__).with_name("two_processes.py"))]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", *command, str(tmp_path / "two"), json.dumps(algo), *credits],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240 * len(credits),
    )
    assert done.returncode == 0, done.stderr[-3000:]

    for name in credits:
        credit, one, two = credit_of(name), {}, {}
        train(
            tmp_path / "one" / name, algo_of(credit, **algo), credit, keep=lambda t, one=one: one.update({_key(t): t})
        )
        for rank in (0, 1):
            two |= {_key(t): t for t in store.read(tmp_path / "two" / name / f"trajectories.{rank}.jsonl")}
        assert two.keys() == one.keys(), name
        apart = 1e-3 if needs_critic(credit) else 1e-6  # a critic's values are those of a model
        for key, episode in two.items():
            mine = one[key]
            assert [t.action.token_ids for t in episode.turns] == [t.action.token_ids for t in mine.turns], name
            assert episode.meta["advantages"] == pytest.approx(mine.meta["advantages"], abs=apart), name
        assert any(any(t.meta["advantages"]) for t in one.values()), name
        for weight, value in weights(tmp_path / "one" / name).items():
            assert torch.allclose(value, weights(tmp_path / "two" / name)[weight], atol=1e-4), (name, weight)


def _key(trajectory):
    return trajectory.meta["step"], trajectory.task.id, trajectory.attempt


def test_numbers_that_do_not_divide_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"2 x 4 episodes .* batches of 3"):
        train(tmp_path, Grpo(**vars(SHORT) | {"batch_size": 3}))


def test_more_tasks_a_step_than_there_are_is_refused(tmp_path):
    with pytest.raises(UserError, match="tasks_per_step=2, but there are 1 tasks"):
        train(tmp_path, SHORT, n=1)


@pytest.mark.parametrize(
    ("extra", "message"),
    [({"detla": 4.0}, "Did you mean delta?"), ({"loss_type": "grpo"}, "set by an option"), ({"bad": 1}, "no such")],
)
def test_extra_arguments_are_checked_by_name(tmp_path, extra, message):
    with pytest.raises(UserError, match=message):
        Grpo(extra=extra).arguments(tmp_path, 0, ())


def test_extra_arguments_reach_trl(tmp_path):
    assert Grpo(extra={"delta": 4.0}).arguments(tmp_path, 0, ()).delta == 4.0


def test_cispo_cuts_ratios_above_1_unless_told_otherwise(tmp_path):
    """TRL takes epsilon_high as the largest ratio itself, and epsilon where it is not set."""
    high = [
        Grpo(loss_type=loss, epsilon_high=set_to).arguments(tmp_path, 0, ()).epsilon_high
        for loss, set_to in (("cispo", None), ("cispo", 3.0), ("dapo", None))
    ]
    assert high == [5.0, 3.0, None]


def test_a_group_of_one_is_refused(tmp_path):
    with pytest.raises(UserError, match="at least 2"):
        Grpo(tasks_per_step=8, group_size=1).arguments(tmp_path, 0, ())


@pytest.mark.parametrize(
    ("policy", "message"), [(CraftExpert(), "policy=local"), (Local(temperature=0), "temperature=0")]
)
def test_a_policy_that_cannot_learn_is_refused(tmp_path, policy, message):
    with pytest.raises(UserError, match=message):
        train(tmp_path, SHORT, policy=policy)


def test_a_frozen_model_is_refused(tmp_path):
    loaded = small().load()
    loaded.model.requires_grad_(False)
    with pytest.raises(UserError, match="No weight of the model is trainable"):
        SHORT.train(loaded, Flow(tasks(4), Game(), Local(), LIMITS, score, GrpoCredit()), tmp_path)
