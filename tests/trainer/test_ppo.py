"""PPO: values stand before their tokens, the first gradient is REINFORCE's, and the critic comes back with its run."""

import math
import shutil
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, TrainerCallback

from agenttrain.credit.empg import Empg
from agenttrain.credit.gae import Gae
from agenttrain.credit.grpo import Grpo as GrpoCredit
from agenttrain.errors import UserError
from agenttrain.policy.local import Local
from agenttrain.trainer import checkpoints
from agenttrain.trainer.actor_critic import ActorCritic
from agenttrain.trainer.episodes import Flow, schedule
from agenttrain.trainer.grpo import Grpo
from agenttrain.trainer.ppo import Ppo
from agenttrain.types import FAILED_BY_US

from .letters import LIMITS, Game, flow, score, small, tasks

SHORT = Ppo(
    steps=4,
    tasks_per_step=2,
    group_size=4,
    batch_size=4,
    learning_rate=1e-2,
    critic_learning_rate=1e-2,
    max_grad_norm=1e9,
    save_steps=2,
)
PLAIN = Gae(gamma_turn=1.0, lam_turn=1.0, whiten=False)


def trainer(tmp_path, algo=SHORT, credit=PLAIN, lora=0, callbacks=None, env=None):
    loaded = small(lora).load(trainable=True)
    kind, options = algo._trainer()
    plan = schedule(4, algo.tasks_per_step, algo.steps, seed=0)
    arguments = algo.arguments(tmp_path, 0, (), temperature=1.0)
    return kind(flow(loaded, credit, env), loaded, arguments, plan, callbacks=callbacks, **options)


def train(out: Path, algo=SHORT, credit=PLAIN, lora=0, resume=False, keep=None):
    loaded = small(lora).load(trainable=True)
    policy = Local(slots=8, context=128)
    flow = Flow(tasks(4), Game(), policy, LIMITS, score, credit, seed=3)
    return algo.train(loaded, flow, out, resume=resume, keep=keep)


def generate(some: ActorCritic) -> dict:
    some.current_gradient_accumulation_steps = some.args.gradient_accumulation_steps
    some.model.train()
    return some._generate_and_score_completions(next(iter(some.get_train_dataloader())))


def wake(some: ActorCritic) -> None:
    """As if the critic had learned something."""
    torch.nn.init.normal_(some.critic.head.weight, std=0.2, generator=torch.Generator().manual_seed(0))


class Steps(TrainerCallback):
    """The policy's gradient before each optimizer step, its weights after it."""

    def __init__(self):
        self.gradients, self.weights = [], []

    def on_pre_optimizer_step(self, args, state, control, model=None, **_):
        given = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
        self.gradients.append(torch.cat(given).clone() if given else None)

    def on_step_end(self, args, state, control, model=None, **_):
        self.weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]).clone())


class After(TrainerCallback):
    """Does something after each optimizer step."""

    def __init__(self, do):
        self.do = do

    def on_step_end(self, args, state, control, **found):
        self.do(**found)


# -- values ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("critic", "lora"), [("shared", 0), ("own", 4)])
def test_a_value_is_that_of_the_state_before_its_token(tmp_path, critic, lora):
    """Against each prefix alone: a value one token late would know what was sampled."""
    some = trainer(tmp_path, replace(SHORT, critic=critic), lora=lora)
    wake(some)
    rows = generate(some)
    for number, episode in enumerate(some._episodes[:3]):
        context, wanted = [], []
        for turn in episode.turns:
            context = context + turn.action.prompt_ids
            for token, value in zip(turn.action.token_ids, turn.action.values, strict=True):
                prefix = torch.tensor([context])
                with torch.no_grad():
                    wanted.append(some.critic(prefix, torch.ones_like(prefix))[0, -1].item())
                assert value == pytest.approx(wanted[-1], abs=1e-4)
                context = [*context, token]
        sampled = (rows["completion_mask"] * rows["tool_mask"])[number].bool()
        assert rows["old_values"][number][sampled].tolist() == pytest.approx(wanted, abs=1e-4)
        assert len({round(value, 4) for value in wanted}) > 2


@pytest.mark.parametrize("critic", ["shared", "own"])
def test_the_first_pass_that_learns_sees_the_values_that_credit_saw(tmp_path, critic):
    some = trainer(tmp_path, replace(SHORT, steps=1, critic=critic), Gae("token"))
    wake(some)
    kept, gathered = [], some._gathered

    def gather(out):
        batch = gathered(out)
        kept.append((out["old_values"], out["value_targets"]))
        return batch

    some._gathered = gather
    some.train()
    old, targets = kept[0]
    errors = (old - targets)[targets.isfinite()]
    row = some.state.log_history[0]
    assert row["value_loss"] == pytest.approx((errors**2).mean().item() / 2, rel=1e-4), "one token off is another loss"
    assert row["value_clipped"] == 0


def test_targets_stand_on_the_tokens_that_credit_means(tmp_path):
    some = trainer(tmp_path, credit=Gae(lam_turn=1.0, gamma_turn=1.0))
    rows = generate(some)
    for number, episode in enumerate(some._episodes):
        if episode.stop in FAILED_BY_US:
            continue
        found = [value for value in rows["value_targets"][number].tolist() if not math.isnan(value)]
        rewards = episode.turn_rewards
        spoken = [place for place, turn in enumerate(episode.turns) if turn.action.token_ids]
        assert found == pytest.approx([sum(rewards[place:]) for place in spoken]), "one a turn, the return from there"


# -- the policy's gradient ----------------------------------------------------------------------------------------


@dataclass
class Reinforce:
    """What is still to come, against nothing."""

    def __call__(self, batch):
        rows = [t.turn_rewards for t in batch]
        return [
            [0.0 if t.stop in FAILED_BY_US else sum(row[n:]) for n in range(len(row))]
            for t, row in zip(batch, rows, strict=True)
        ]


@pytest.mark.parametrize("critic", ["shared", "detached", "own"])
@pytest.mark.parametrize("credit", [PLAIN, Gae("token", whiten=False)], ids=["turn", "token"])
def test_before_the_critic_knows_anything_the_gradient_is_that_of_reinforce(tmp_path, credit, critic):
    ours, theirs = Steps(), Steps()
    trainer(tmp_path / "a", replace(SHORT, steps=1, critic=critic), credit, callbacks=[ours]).train()
    shared = {name: value for name, value in vars(SHORT).items() if name in Grpo.__dataclass_fields__}
    trainer(tmp_path / "b", Grpo(**shared | {"steps": 1}), Reinforce(), callbacks=[theirs]).train()
    assert theirs.gradients[0].abs().max() > 0
    assert torch.allclose(ours.gradients[0], theirs.gradients[0], rtol=1e-3, atol=1e-7)


def gradient_of_critic(tmp_path, **changed):
    some = trainer(tmp_path, replace(SHORT, steps=1, **changed))
    wake(some)
    kept = []
    settle = some._settle_gradients
    some._settle_gradients = lambda: (settle(), kept.append(some.critic.head.weight.grad.clone()))
    some.train()
    return kept[0]


def test_gradient_accumulation_gives_the_critic_the_gradient_of_one_batch(tmp_path):
    whole, parts = gradient_of_critic(tmp_path / "a", batch_size=8), gradient_of_critic(tmp_path / "b", batch_size=2)
    assert whole.abs().max() > 0
    assert torch.allclose(whole, parts, rtol=1e-3, atol=1e-6)


def test_the_critic_has_a_learning_rate_of_its_own_that_follows_the_schedule(tmp_path):
    some = trainer(tmp_path, replace(SHORT, learning_rate=0.0, critic_learning_rate=4e-2, schedule="linear"))
    before = {name: value.clone() for name, value in some.model.state_dict().items()}
    rates = []
    some.add_callback(After(lambda lr_scheduler, **_: rates.append(lr_scheduler.get_last_lr()[-1])))
    some.train()
    assert rates == pytest.approx([3e-2, 2e-2, 1e-2, 0.0])
    assert all(torch.equal(value, before[name]) for name, value in some.model.state_dict().items())
    assert some.critic.head.weight.abs().max() > 1e-2


@pytest.mark.parametrize("lora", [0, 4])
def test_while_the_critic_warms_up_the_policy_stays(tmp_path, lora):
    kept, values = Steps(), []
    algo = replace(SHORT, critic_warmup=2, num_iterations=2, weight_decay=0.1)
    some = trainer(tmp_path, algo, lora=lora, callbacks=[kept])
    start = torch.cat([p.detach().flatten() for p in some.model.parameters()]).clone()
    settle = some._settle_gradients
    some._settle_gradients = lambda: (settle(), values.append(some.critic.head.weight.detach().clone()))
    some.train()
    assert all(torch.equal(weights, start) for weights in kept.weights[:4]), "two steps of two updates"
    assert not torch.equal(kept.weights[4], start)
    assert all(not torch.equal(one, next_) for one, next_ in pairwise(values)), "the critic learns"


class Outage(Game):
    """Nobody can play in the second step."""

    def __init__(self):
        super().__init__()
        self.started = 0

    def episode(self, task, seed):
        self.started += 1
        if 8 < self.started <= 16:
            raise OSError("no display")
        return super().episode(task, seed)


def test_a_step_that_nobody_could_play_leaves_the_critic_alone(tmp_path):
    some = trainer(tmp_path, replace(SHORT, steps=3), env=Outage())
    heads = []
    some.add_callback(After(lambda **_: heads.append(some.critic.head.weight.detach().clone())))
    some.train()
    assert heads[0].abs().max() > 0
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[1], heads[2])
    assert [row["lost_step"] for row in some.state.log_history if "lost_step" in row] == [0, 1, 0]


# -- divergence from a reference ------------------------------------------------------------------------------------


@pytest.mark.parametrize("lora", [0, 4])
def test_divergence_in_the_reward_is_a_cost_of_each_turn(tmp_path, lora):
    played = []
    algo = replace(SHORT, beta=0.5, kl_in="reward", steps=2)
    rows = train(tmp_path, algo, lora=lora, keep=played.append).steps
    assert "kl" not in rows[1], "and no term of the loss"
    assert rows[0]["reward/kl"] == pytest.approx(0, abs=1e-4), "the reference is the model that training began with"
    assert abs(rows[1]["reward/kl"]) > 1e-3
    later = [t for t in played if t.meta["step"] == 1 and t.stop not in FAILED_BY_US]
    assert sum(sum(t.scores["kl"]) for t in later) / len(later) == pytest.approx(rows[1]["reward/kl"])
    for t in later:
        paid = [a - 0.5 * kl for a, kl in zip(t.scores["a"], t.scores["kl"], strict=True)]
        assert t.turn_rewards == pytest.approx(paid)
    assert not (tmp_path / "model" / "ref").exists()


def test_what_a_turn_diverges_is_the_difference_of_log_probs(tmp_path):
    some = trainer(tmp_path, replace(SHORT, beta=1.0, kl_in="reward"))
    for weights in some.ref_model.parameters():
        weights.data *= 0.9
    generate(some)
    episode = next(t for t in some._episodes if len(t.turns) > 1)
    context = []
    for number, turn in enumerate(episode.turns):
        context = context + turn.action.prompt_ids
        whole = torch.tensor([context + turn.action.token_ids])
        with torch.no_grad():
            logits = some.ref_model(input_ids=whole).logits[0, len(context) - 1 : -1].log_softmax(-1)
        theirs = logits[range(len(turn.action.token_ids)), turn.action.token_ids].sum().item()
        assert episode.scores["kl"][number] == pytest.approx(sum(turn.action.logprobs) - theirs, abs=1e-3)
        context = context + turn.action.token_ids


# -- whole runs -----------------------------------------------------------------------------------------------------


def files(out: Path) -> dict[str, torch.Tensor]:
    """Policy and critic as a run left them."""
    return {
        f"{file.name}/{name}": value
        for file in sorted((out / "model").glob("*.safetensors"))
        for name, value in load_file(file).items()
    }


@pytest.mark.parametrize(
    ("critic", "lora", "changed"),
    [
        ("shared", 0, {"critic_warmup": 3}),
        ("shared", 4, {"num_iterations": 2, "minibatches": 2, "batch_size": 2, "old_logprobs": "recomputed"}),
        ("own", 0, {"batch_size": 2, "schedule": "linear"}),
        ("own", 4, {"beta": 0.1}),
    ],
)
def test_a_resumed_run_ends_at_the_same_policy_and_critic(tmp_path, critic, lora, changed):
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    algo = replace(SHORT, critic=critic, **changed)
    train(whole, algo, lora=lora)
    halfway = f"checkpoints/checkpoint-{2 * algo.num_iterations * algo.minibatches}"
    assert (whole / halfway / "critic.safetensors").is_file()
    shutil.copytree(whole / halfway, resumed / halfway)
    train(resumed, algo, lora=lora, resume=True)
    ended = files(resumed)
    assert any(name.startswith("critic") and value.any() for name, value in ended.items())
    for name, value in files(whole).items():
        assert torch.equal(value, ended[name]), name


def test_it_learns_what_pays_and_the_critic_what_to_expect(tmp_path):
    algo = Ppo(
        14, 4, 8, 16, learning_rate=3e-3, critic="own", critic_learning_rate=3e-3, num_iterations=2, save_steps=99
    )
    rows = train(tmp_path, algo, Gae()).steps
    assert sum(row["reward"] for row in rows[-3:]) / 3 > rows[0]["reward"] + 0.5
    assert abs(rows[0]["explained_variance"]) < 0.01
    assert rows[-1]["explained_variance"] > 0.3


def test_the_model_it_leaves_is_a_plain_one(tmp_path):
    train(tmp_path, replace(SHORT, steps=1))
    _, told = AutoModelForCausalLM.from_pretrained(tmp_path / "model", output_loading_info=True)
    assert not told["missing_keys"]
    assert not told["unexpected_keys"]
    assert (tmp_path / "model" / "critic.safetensors").is_file()


def test_a_checkpoint_without_a_critic_is_told(tmp_path):
    train(tmp_path)
    newest = tmp_path / "checkpoints" / "checkpoint-4"
    (newest / "critic.safetensors").unlink()
    checkpoints.seal(newest)
    with pytest.raises(UserError, match="not written by algo=ppo"):
        train(tmp_path, resume=True)


@pytest.mark.parametrize(
    ("algo", "credit", "message"),
    [
        (SHORT, GrpoCredit(), "asks none. Take credit=gae, or algo=grpo"),
        (SHORT, Empg(GrpoCredit()), "asks none"),
        (Grpo(steps=1, tasks_per_step=2, group_size=4), Gae(), "take algo=ppo"),
        (Grpo(steps=1, tasks_per_step=2, group_size=4), Empg(Gae()), "take algo=ppo"),
    ],
)
def test_a_critic_and_a_credit_that_asks_it_belong_together(tmp_path, algo, credit, message):
    with pytest.raises(UserError, match=message):
        train(tmp_path, algo, credit)


def test_a_credit_that_modulates_one_with_a_critic_trains_it(tmp_path):
    rows = train(tmp_path, replace(SHORT, steps=1), Empg(Gae())).steps
    assert rows[0]["value_loss"] > 0
