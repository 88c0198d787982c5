from dataclasses import replace

import pytest
import torch

from agenttrain.errors import UserError
from agenttrain.model.lora import Lora
from agenttrain.model.pretrained import Pretrained
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


def adapter(folder, built="base", **options):
    """A scorer with an adapter, its base, both with weights that say something, and where they were written."""
    SMALL.build(folder / built)
    model = Pretrained(path=str(folder / built), lora=Lora(r=4), **options)
    scorer = on_trunk(model.load(trainable=True))
    torch.manual_seed(0)
    for weight in filter(lambda weight: weight.requires_grad, scorer.model.parameters()):
        torch.nn.init.normal_(weight)
    scorer.save(folder / "model")
    return scorer, folder / "model"


def test_an_adapter_is_read_with_the_scores_that_it_had(tmp_path):
    from transformers import AutoModelForSequenceClassification

    scorer, written = adapter(tmp_path)
    shown = [episode("a"), episode("a", "b c d", "e")]
    expected = scorer.score(shown)
    assert read(str(written)).score(shown) == expected
    assert read(str(written)).name.rpartition("@")[2] == scorer.name.rpartition("@")[2]
    assert expected != on_trunk(Pretrained(path=str(tmp_path / "base")).load()).score(shown), "its weights count"
    by_others = AutoModelForSequenceClassification.from_pretrained(written, num_labels=1)
    ids = torch.tensor([scorer.encode(shown[1])[0]])
    assert by_others(ids).logits.item() == pytest.approx(expected[1][-1], abs=1e-4)


def test_an_adapter_on_a_base_that_is_an_adapter_is_read(tmp_path):
    """As where sft trained one, and the reward model another upon it."""
    SMALL.build(tmp_path / "base")
    policy = Pretrained(path=str(tmp_path / "base"), lora=Lora(r=2)).load(trainable=True)
    for weight in filter(lambda weight: weight.requires_grad, policy.model.parameters()):
        torch.nn.init.normal_(weight)
    policy.save(tmp_path / "policy")
    scorer = on_trunk(Pretrained(path=str(tmp_path / "policy"), lora=Lora(r=4)).load(trainable=True))
    torch.nn.init.normal_(scorer.model.score.weight)
    scorer.save(tmp_path / "model")
    assert read(str(tmp_path / "model")).score([episode("a", "b")]) == scorer.score([episode("a", "b")])


def test_a_head_is_of_float32_on_a_trunk_of_bfloat16(tmp_path):
    scorer, _ = adapter(tmp_path, dtype="bfloat16")
    assert scorer.model.base_model.model.model.embed_tokens.weight.dtype == torch.bfloat16
    assert scorer.model.score.weight.dtype == torch.float32
    ids = torch.tensor([scorer.encode(episode("a", "b"))[0]])
    assert scorer.model(ids).logits.item() == pytest.approx(scorer.score([episode("a", "b")])[0][-1], rel=1e-2)


def test_a_quantized_base_is_refused(tmp_path):
    loaded = replace(SMALL, lora=Lora(r=4)).load(tmp_path, trainable=True)
    loaded.model.get_base_model().is_quantized = True  # as bitsandbytes leaves it
    with pytest.raises(UserError, match=r"set model\.quantize=null"):
        on_trunk(loaded)


def test_an_adapter_that_is_no_reward_model_or_lacks_its_base_is_refused(tmp_path):
    replace(SMALL, lora=Lora(r=4)).load(tmp_path / "run", trainable=True).save(tmp_path / "policy")
    with pytest.raises(UserError, match="policy is no reward model, but an adapter without a scalar head"):
        read(str(tmp_path / "policy"))  # its head would be zeros
    _, written = adapter(tmp_path, built="elsewhere")
    (tmp_path / "elsewhere").rename(tmp_path / "gone")
    with pytest.raises(UserError, match=r"There is no folder .*elsewhere.*\n.*model is an adapter, and that is"):
        read(str(written))
    (tmp_path / "gone").rename(tmp_path / "elsewhere")
    (written / "adapter_model.safetensors").write_bytes(b"torn")
    with pytest.raises(UserError, match="Cannot read the adapter"):
        read(str(written))


def test_its_name_tells_two_trainings_apart(folder, tmp_path):
    scorer = read(str(folder))
    other = on_trunk(SMALL.load(tmp_path, trainable=True))
    assert scorer.name.startswith(f"{folder}@")
    assert scorer.name.rpartition("@")[2] != other.name.rpartition("@")[2]
