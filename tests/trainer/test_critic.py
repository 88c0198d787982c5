"""The critic: where its values stand, what they learn from, and what a file of it holds."""

import math

import pytest
import torch

from agenttrain.errors import UserError
from agenttrain.trainer.critic import Critic, explained, value_loss

from .letters import small

IDS = torch.tensor([[5, 6, 7, 8, 9], [9, 8, 7, 6, 5]])
MASK = torch.ones_like(IDS)


def critic(trunk="shared", lora=0, model=None) -> Critic:
    """One whose head is no longer 0."""
    some = Critic(model or small(lora).load(trainable=True).model.eval(), trunk).eval()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.nn.init.normal_(some.head.weight, std=0.1)
    return some


def test_a_new_one_promises_nothing():
    some = Critic(small().load().model, "shared")
    assert some(IDS, MASK).tolist() == [[0.0] * 5] * 2


@pytest.mark.parametrize("trunk", ["shared", "detached", "own"])
@pytest.mark.parametrize("lora", [0, 4])
def test_a_value_depends_on_what_came_before_and_on_nothing_later(trunk, lora):
    some = critic(trunk, lora)
    other = IDS.clone()
    other[:, 3] += 1
    before, after = some(IDS, MASK), some(other, MASK)
    assert torch.allclose(before[:, :3], after[:, :3], atol=1e-6)
    assert (before[:, 3:] - after[:, 3:]).abs().min() > 1e-4


@pytest.mark.parametrize(("trunk", "passes"), [("shared", 1), ("detached", 1), ("own", 2)])
def test_a_pass_of_the_policy_serves_the_critic_on_its_trunk(trunk, passes):
    model = small().load(trainable=True).model.eval()
    some = critic(trunk, model=model)
    ran = []
    for backbone in {model.base_model, *filter(None, [some.trunk])}:
        backbone.register_forward_hook(lambda *_: ran.append(1))
    with some.watched() as seen:
        model(input_ids=IDS, attention_mask=MASK)
    found = some(IDS, MASK, seen)
    assert len(ran) == passes
    assert torch.allclose(found, some(IDS, MASK), atol=1e-6)
    model(input_ids=IDS, attention_mask=MASK)
    assert len(seen) == (trunk != "own"), "and nothing is kept afterwards"


@pytest.mark.parametrize(("trunk", "shapes"), [("shared", True), ("detached", False), ("own", False)])
def test_only_a_shared_trunk_learns_from_values(trunk, shapes):
    model = small().load(trainable=True).model.eval()
    some = critic(trunk, model=model)
    some(IDS, MASK).sum().backward()
    assert any(weights.grad is not None for weights in model.parameters()) == shapes
    assert some.head.weight.grad is not None
    assert not any(name.startswith("critic") or name == "head.weight" for name in model.state_dict())


def test_a_critic_of_its_own_beside_an_adapter_is_one_adapter_more():
    model = small(lora=4).load(trainable=True).model
    some = critic("own", model=model)
    policy = {id(weights) for weights in model.parameters()}
    added = [name for name, weights in some.named_parameters() if id(weights) not in policy]
    assert sorted(added) == sorted(some.learned)
    assert all("lora_" in name or name.startswith("head.") for name in added)
    assert sum("lora_" in name for name in added) > 0


@pytest.mark.parametrize("clip", [None, 0.2])
def test_it_learns_a_fixed_batch(clip):
    """What a value was stays, as in the updates of one step, until the next one."""
    some = critic("own")
    targets = torch.tensor([[1.0, 0.0, 2.0, 1.0, -1.0], [0.0, 1.0, 1.0, 0.0, 2.0]])
    adam = torch.optim.AdamW(some.learned.values(), lr=3e-3)
    first = explained(some(IDS, MASK).detach().flatten(), targets.flatten())
    for _ in range(12):
        old = some(IDS, MASK).detach()
        for _ in range(4):
            value_loss(some(IDS, MASK), old, targets, clip)[0].mean().backward()
            adam.step()
            adam.zero_grad()
    assert first < 0.2
    assert explained(some(IDS, MASK).detach().flatten(), targets.flatten()) > 0.8


def test_a_value_that_has_moved_beyond_the_clip_learns_nothing_more():
    old, targets = torch.zeros(4), torch.tensor([1.0, 1.0, -1.0, 1.0])
    values = torch.tensor([0.1, 0.5, 0.5, -0.5], requires_grad=True)
    losses, clipped = value_loss(values, old, targets, 0.2)
    losses.sum().backward()
    assert losses.tolist() == pytest.approx([0.9**2 / 2, 0.8**2 / 2, 1.5**2 / 2, 1.5**2 / 2])
    assert clipped.tolist() == [False, True, False, False]
    assert values.grad.tolist() == pytest.approx([-0.9, 0.0, 1.5, -1.5]), "away from its target it is called back"
    free, none = value_loss(values, old, targets, None)
    assert free.tolist() == pytest.approx([0.9**2 / 2, 0.5**2 / 2, 1.5**2 / 2, 1.5**2 / 2])
    assert not none.any()


def test_explained_variance():
    targets = torch.tensor([0.0, 1.0, 2.0])
    assert explained(targets, targets) == 1
    assert explained(torch.full((3,), 7.0), targets) == pytest.approx(0)
    assert explained(-targets, targets) == pytest.approx(-3)
    assert math.isnan(explained(targets, torch.ones(3)))
    assert math.isnan(explained(torch.ones(0), torch.ones(0)))


@pytest.mark.parametrize("trunk", ["shared", "own"])
def test_a_file_holds_what_was_learned(tmp_path, trunk):
    model = small(lora=4).load(trainable=True).model
    some = critic(trunk, model=model)
    some.save(tmp_path)
    other = Critic(model, trunk)
    other.load(tmp_path)
    assert all(torch.equal(weights, some.learned[name]) for name, weights in other.learned.items())
    with pytest.raises(UserError, match="of another kind"):
        Critic(model, "own" if trunk == "shared" else "shared").load(tmp_path)
    with pytest.raises(UserError, match=r"no critic\.safetensors"):
        other.load(tmp_path / "elsewhere")
