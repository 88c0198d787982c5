import pytest
import torch

from agenttrain.errors import UserError
from agenttrain.model.scorer import on_trunk, read
from agenttrain.model.tiny import Tiny
from agenttrain.types import Action, Observation, Task, Trajectory, Turn

SMALL = Tiny(layers=1, hidden=32, heads=2, kv_heads=1, head_dim=16, intermediate=32, context=128)


def episode(*said: str, answered: str = "ok", between: str = "go on") -> Trajectory:
    turns = [
        Turn(
            Action({"role": "assistant", "content": text}),
            Observation([{"role": "user", "content": answered if n == len(said) - 1 else between}]),
        )
        for n, text in enumerate(said)
    ]
    return Trajectory(Task("t", []), turns, "done", messages=[{"role": "user", "content": "begin"}])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("judge")
    scorer = on_trunk(SMALL.load(folder / "work", trainable=True))
    torch.manual_seed(0)
    torch.nn.init.normal_(scorer.model.score.weight)
    scorer.save(folder / "model")
    return folder / "model"


def test_a_new_scorer_says_nothing_of_anything(tmp_path):
    scorer = on_trunk(SMALL.load(tmp_path, trainable=True))
    assert scorer.score([episode("a", "b")]) == [[0.0, 0.0]]
    assert scorer.model.base_model.embed_tokens.weight.any()  # and its trunk is the language model's


def test_the_score_of_an_episode_is_that_which_transformers_gives(folder):
    from transformers import AutoModelForSequenceClassification

    scorer, short, long = read(str(folder)), episode("a"), episode("a", "b c d", "e")
    ids = torch.tensor([scorer.encode(long)[0]])
    expected = AutoModelForSequenceClassification.from_pretrained(folder)(ids).logits.item()
    one, three = scorer.score([short, long])  # of unequal length: padding changes nothing
    assert (len(one), len(three)) == (1, 3)
    assert three[-1] == pytest.approx(expected, abs=1e-5)
    assert three[0] == pytest.approx(scorer.score([episode("a", "other")])[0][0], abs=1e-5)  # no later turn is read
    assert scorer.score([short], batch_size=1)[0] == pytest.approx(one, abs=1e-5)


def test_what_the_environment_said_to_the_last_action_is_not_read(folder):
    scorer = read(str(folder))
    assert scorer.score([episode("a", answered="You win!")]) == scorer.score([episode("a", answered="You lose.")])
    assert scorer.score([episode("a", "b")]) != scorer.score([episode("a", "c")])


def test_a_turn_but_the_last_is_scored_with_what_the_environment_answered_to_it(folder):
    scorer = read(str(folder))
    (well, _), (ill, _) = scorer.score([episode("a", "b", between="on"), episode("a", "b", between="back")])
    assert abs(well - ill) > 1e-3
    ids, places = scorer.encode(episode("a", "b"))
    assert ids[: places[0] + 1] == scorer.encode(episode("a", "c"))[0][: places[0] + 1]  # up to the next action


def test_an_episode_beyond_the_context_is_refused(folder):
    with pytest.raises(ValueError, match="reads 128"):
        read(str(folder)).score([episode("a b c d e f g h " * 40)])


def test_what_is_no_reward_model_is_refused(folder, tmp_path):
    Tiny(layers=1, hidden=32, heads=2, kv_heads=1, head_dim=16, intermediate=32).build(tmp_path / "language")
    with pytest.raises(UserError, match="is no reward model"):  # its head would be random
        read(str(tmp_path / "language"))
    with pytest.raises(UserError, match="There is no reward model at"):
        read(str(tmp_path / "nowhere"))


def test_its_name_tells_two_trainings_apart(folder, tmp_path):
    scorer = read(str(folder))
    other = on_trunk(SMALL.load(tmp_path, trainable=True))
    assert scorer.name.startswith(f"{folder}@")
    assert scorer.name.rpartition("@")[2] != other.name.rpartition("@")[2]
