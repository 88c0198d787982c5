import json
import shutil
from dataclasses import replace

import pytest
import torch

from agenttrain.errors import UserError
from agenttrain.model.lora import Lora
from agenttrain.model.scorer import on_trunk, read
from agenttrain.model.tiny import Tiny
from agenttrain.preferences import Pair
from agenttrain.trainer.reward_model import RewardModel
from agenttrain.types import Action, Observation, Task, Trajectory, Turn

SMALL = Tiny(layers=1, hidden=32, heads=2, kv_heads=1, head_dim=16, intermediate=32)


def episode(first: str) -> Trajectory:
    turns = [
        Turn(Action({"role": "assistant", "content": text}), Observation([{"role": "user", "content": "go on"}]))
        for text in (first, "end")
    ]
    opening = [{"role": "user", "content": "begin"}]
    return Trajectory(Task("t", []), turns, "done", messages=opening)


def scorer_in(folder, r=0, dropout=0.0):
    return on_trunk(replace(SMALL, lora=Lora(r=r, dropout=dropout)).load(folder, trainable=True))


@pytest.mark.parametrize("r", [0, 4])
def test_labels_stand_at_their_own_turns(tmp_path, r):
    """Only first turns are labelled, and oppositely: they must come apart, to the labels' own probabilities."""
    scorer = scorer_in(tmp_path, r)
    labelled = [(episode("good"), {0: 0.8}), (episode("bad"), {0: 0.2})]
    algo = RewardModel(epochs=150, learning_rate=2e-2 if r else 5e-3, batch_size=2, schedule="constant", save_steps=999)
    figures = algo.train(scorer, labelled, tmp_path, seed=0)
    (good, _), (bad, _) = scorer.score([episode("good"), episode("bad")])
    assert (figures.examples, figures.too_long, figures.steps) == (2, 0, 150)
    assert torch.tensor([good, bad]).sigmoid().tolist() == pytest.approx([0.8, 0.2], abs=0.05)
    shown = [episode("good"), episode("else")]
    assert read(str(tmp_path / "model")).score(shown) == scorer.score(shown), "what was trained is what is read"


@pytest.mark.parametrize(
    ("kind", "r", "dropout"), [("pairs", 0, 0.0), ("turns", 0, 0.0), ("pairs", 4, 0.3)], ids=["pairs", "turns", "lora"]
)
def test_a_resumed_run_ends_in_the_weights_of_an_uninterrupted_one(tmp_path, kind, r, dropout):
    said = [episode(f"word {n} " * n) for n in range(1, 7)]
    pairs, labelled = [Pair(t, said[0]) for t in said[1:]], [(t, {n % 2: n / 6}) for n, t in enumerate(said)]
    examples = pairs if kind == "pairs" else labelled
    algo = RewardModel(epochs=3, learning_rate=1e-2, batch_size=2, save_steps=4, save_total_limit=9, logging_steps=1)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    expected = scorer_in(whole, r, dropout)
    full = algo.train(expected, examples, whole, seed=1)
    shutil.copytree(whole / "checkpoints/checkpoint-4", killed / "checkpoints/checkpoint-4")
    scorer = scorer_in(killed, r, dropout)
    figures = algo.train(scorer, examples, killed, seed=1, resume=True)
    assert figures.notes == [f"Going on from {killed / 'checkpoints/checkpoint-4'}."]
    assert (figures.steps, figures.train_loss) == (full.steps, full.train_loss)
    assert losses(killed) == [(step, loss) for step, loss in losses(whole) if step > 4]
    for one, other in zip(expected.model.parameters(), scorer.model.parameters(), strict=True):
        assert torch.equal(one, other)


def losses(out):
    rows = map(json.loads, (out / "metrics.jsonl").read_text().splitlines())
    return [(row["step"], row["loss"]) for row in rows if "loss" in row]


def test_a_resume_that_is_none_says_so_and_one_of_another_model_is_refused(tmp_path):
    labelled, algo = [(episode("good"), {0: 1.0})], RewardModel()
    figures = algo.train(scorer_in(tmp_path), labelled, tmp_path, seed=0, resume=True)
    assert figures.notes == ["No complete checkpoint: from the start."]
    with pytest.raises(UserError, match=r"has no adapter\. Resume with model\.lora\.r as it was"):
        algo.train(scorer_in(tmp_path, r=4), labelled, tmp_path, seed=0, resume=True)


def test_a_setting_that_trl_lacks_is_told(tmp_path):
    with pytest.raises(UserError, match=r"algo\.extra\.learning_rat: .*Did you mean learning_rate"):
        RewardModel(extra={"learning_rat": 1}).arguments(tmp_path, 0)
