import math

import pytest
import torch

from agenttrain.errors import UserError
from agenttrain.model.lora import Lora
from agenttrain.model.pretrained import Pretrained
from agenttrain.model.tiny import Tiny
from agenttrain.trainer.dpo import Dpo, Preferred, per_token
from agenttrain.trainer.tokens import IGNORED, label_example
from agenttrain.types import Example

SHAPE = {"layers": 1, "hidden": 32, "heads": 2, "kv_heads": 1, "head_dim": 16, "intermediate": 32}
QUICK = {"learning_rate": 3e-3, "batch_size": 2, "logging_steps": 1, "schedule": "constant", "warmup": 0}


def episode(last: str, observation: str = "go on") -> Example:
    """Two turns with an answer of the environment between them."""
    return Example(
        "e",
        [
            {"role": "user", "content": "begin"},
            {"role": "assistant", "content": "well", "train": True},
            {"role": "user", "content": observation},
            {"role": "assistant", "content": last, "train": True},
        ],
    )


def pairs(n=4, **given):
    return [Preferred(f"t{k}", episode(f"yes {k}", **given), episode(f"no, never {k}", **given)) for k in range(n)]


def loaded(folder, **options):
    return Tiny(**SHAPE, **options).load(folder, trainable=True)


def logprob(model, chat, example):
    """Of the trained tokens, by a plain forward pass."""
    tokens = label_example(example, chat)
    ids = torch.tensor(tokens.ids)
    with torch.no_grad():
        logs = model(ids[None]).logits[0, :-1].log_softmax(-1).gather(-1, ids[1:, None])[:, 0]
    return float(logs[[label != IGNORED for label in tokens.labels[1:]]].sum())


@pytest.mark.parametrize("nll", [0.0, 0.5])
def test_the_loss_is_dpos_over_trained_tokens_alone(tmp_path, nll):
    some, model = pairs(1), loaded(tmp_path)
    before = [logprob(model.model, model.chat, example) for example in (some[0].chosen, some[0].rejected)]
    figures = Dpo(beta=0.3, nll=nll, epochs=1, **QUICK).train(model, some, [], tmp_path)
    (course,) = figures.trained
    after = [logprob(model.model, model.chat, example) for example in (some[0].chosen, some[0].rejected)]
    assert (course.chosen[0], course.rejected[0]) == pytest.approx(before, abs=1e-4)
    assert (course.chosen[1], course.rejected[1]) == pytest.approx(after, abs=1e-4)
    assert course.margin == pytest.approx(after[0] - before[0] - after[1] + before[1], abs=1e-4)
    # At the start the policy is its reference: -log sigmoid(0), and the chosen's loss per token.
    first = math.log(2) - nll * before[0] / course.tokens[0]
    assert figures.train_loss == pytest.approx(first, abs=1e-4)
    again = Dpo(beta=0.3, nll=nll, epochs=1, **QUICK | {"learning_rate": 0.0}).train(model, some, [], tmp_path / "b")
    assert again.train_loss == pytest.approx(math.log(2) - nll * after[0] / course.tokens[0], abs=1e-4)


def test_the_second_step_goes_against_the_policy_as_it_started(tmp_path):
    some, model = pairs(1), loaded(tmp_path)
    one = Dpo(beta=0.3, epochs=1, **QUICK).train(model, some, [], tmp_path)
    fresh = loaded(tmp_path / "again")
    two = Dpo(beta=0.3, epochs=2, **QUICK).train(fresh, some, [], tmp_path / "again")
    margin = one.trained[0].margin
    assert two.train_loss == pytest.approx(math.log1p(math.exp(-0.3 * margin)), abs=1e-3)


def test_what_the_environment_said_carries_no_loss(tmp_path):
    """Pairs that differ in observations alone have the same trained tokens, so that nothing but context tells them."""
    model = loaded(tmp_path)
    some = Preferred("t", episode("yes", "a"), episode("yes", "something else that is much longer"))
    figures = Dpo(epochs=1, **QUICK | {"learning_rate": 0.0}).train(model, [some], [], tmp_path)
    (course,) = figures.trained
    assert course.tokens[0] == course.tokens[1]
    assert course.chosen[0] == pytest.approx(logprob(model.model, model.chat, some.chosen), abs=1e-4)
    assert course.rejected[0] == pytest.approx(logprob(model.model, model.chat, some.rejected), abs=1e-4)


@pytest.mark.parametrize("lora", [0, 4])
def test_the_chosen_gains_on_the_rejected_also_where_it_is_only_measured(tmp_path, lora):
    base = loaded(tmp_path)
    base.save(tmp_path / "base")
    model = Pretrained(path=str(tmp_path / "base"), lora=Lora(r=lora)).load(tmp_path, trainable=True)
    quick = QUICK | ({"learning_rate": 3e-2} if lora else {})
    figures = Dpo(epochs=10, **quick).train(model, pairs(4), pairs(6)[4:], tmp_path)
    assert all(course.margin > 1 for course in (*figures.trained, *figures.heldout))
    assert (len(figures.trained), len(figures.heldout), figures.steps) == (4, 2, 20)
    saved = Pretrained(path=str(tmp_path / "model")).load()
    found = logprob(saved.model, saved.chat, pairs(1)[0].chosen)
    assert found == pytest.approx(figures.trained[0].chosen[1], abs=1e-3), "what was measured is what was written"


def test_a_chosen_episode_that_becomes_less_likely_is_told(tmp_path):
    """Both begin alike, so that pushing the rejected down takes the chosen along; nll holds it."""
    alike = [Preferred("t", episode("no, never 1"), episode("no, never 2"))]
    start = loaded(tmp_path)
    Dpo(epochs=30, nll=1.0, **QUICK).train(start, alike, [], tmp_path)
    rough = QUICK | {"learning_rate": 1e-2}
    changes = {}
    for nll in (0.0, 1.0):
        model = Pretrained(path=str(tmp_path / "model")).load(tmp_path, trainable=True)
        figures = Dpo(epochs=30, beta=1.0, nll=nll, **rough).train(model, alike, [], tmp_path / f"{nll}")
        before, after = per_token(figures.trained, "chosen")
        changes[nll] = after - before
        assert [note for note in figures.notes if "became less likely, too" in note] == figures.notes
        assert bool(figures.notes) == (nll == 0.0)
    assert changes[0.0] < -0.1 < 0.1 < changes[1.0]


def test_a_resumed_run_ends_in_the_weights_of_an_uninterrupted_one(tmp_path):
    some, algo = pairs(4), Dpo(epochs=3, save_steps=2, **QUICK)
    whole = loaded(tmp_path / "whole")
    expected = algo.train(whole, some, [], tmp_path / "whole")
    part = loaded(tmp_path / "part")
    algo.train(part, some, [], tmp_path / "part")
    for folder in (tmp_path / "part" / "checkpoints").iterdir():
        if folder.name != "checkpoint-4":
            for file in folder.iterdir():
                file.unlink()
            folder.rmdir()
    again = loaded(tmp_path / "part")
    figures = algo.train(again, some, [], tmp_path / "part", resume=True)
    assert "Going on from" in figures.notes[0]
    assert figures.trained == expected.trained, "also what they were before"
    for one, other in zip(whole.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_what_does_not_fit_or_says_the_same_is_left_out_and_counted(tmp_path):
    long, equal = Preferred("l", episode("yes " * 200), episode("no")), Preferred("e", episode("yes"), episode("yes"))
    figures = Dpo(epochs=1, max_length=60, **QUICK).train(loaded(tmp_path), [*pairs(2), long, equal], [], tmp_path)
    assert (figures.too_long, figures.equal, len(figures.trained)) == (1, 1, 2)
    with pytest.raises(UserError, match="No pair to train on"):
        Dpo(max_length=60, **QUICK).train(loaded(tmp_path / "b"), [long, equal], pairs(1), tmp_path / "b")


def test_a_setting_that_trl_lacks_is_told(tmp_path):
    with pytest.raises(UserError, match=r"algo\.extra\.betta: .*Did you mean beta"):
        Dpo(extra={"betta": 1}).arguments(tmp_path, 0)
    with pytest.raises(UserError, match="set by an option of algo=dpo"):
        Dpo(extra={"beta": 1}).arguments(tmp_path, 0)
