import pytest
import torch

from agenttrain.errors import UserError
from agenttrain.model.scorer import on_trunk
from agenttrain.model.tiny import Tiny
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


def test_labels_stand_at_their_own_turns(tmp_path):
    """Only first turns are labelled, and oppositely: they must come apart, to the labels' own probabilities."""
    torch.manual_seed(0)
    scorer = on_trunk(SMALL.load(tmp_path, trainable=True))
    labelled = [(episode("good"), {0: 0.8}), (episode("bad"), {0: 0.2})]
    algo = RewardModel(epochs=150, learning_rate=5e-3, batch_size=2, schedule="constant")
    figures = algo.train(scorer, labelled, tmp_path, seed=0)
    (good, _), (bad, _) = scorer.score([episode("good"), episode("bad")])
    assert (figures.examples, figures.too_long, figures.steps) == (2, 0, 150)
    assert torch.tensor([good, bad]).sigmoid().tolist() == pytest.approx([0.8, 0.2], abs=0.05)


def test_a_setting_that_trl_lacks_is_told(tmp_path):
    with pytest.raises(UserError, match=r"algo\.extra\.learning_rat: .*Did you mean learning_rate"):
        RewardModel(extra={"learning_rat": 1}).arguments(tmp_path, 0)
