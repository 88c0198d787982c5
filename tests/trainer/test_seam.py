"""The contract with TRL: what we replace, what must stay as it is, and that the numbers agree."""

import logging
import math
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
import trl.trainer.utils
from transformers import TrainerCallback
from trl import GRPOTrainer

from agenttrain.credit.gigpo import Gigpo
from agenttrain.credit.grpo import Grpo as GrpoCredit
from agenttrain.credit.turn import Turn
from agenttrain.errors import UserError
from agenttrain.trainer import alarms, seam
from agenttrain.trainer.episodes import schedule
from agenttrain.trainer.grpo import Grpo
from agenttrain.trainer.seam import FlowTrainer
from agenttrain.trainer.tokens import label_trajectory

from .letters import Game, flow, small

LOSSES = ("grpo", "dapo", "dr_grpo", "bnpo", "cispo", "sapo", "luspo", "vespo")


def trainer(tmp_path, credit=None, lora=0, env=None, callbacks=None, loaded=None, old="auto", **options) -> FlowTrainer:
    options = {"steps": 2, "tasks_per_step": 4, "group_size": 4, "batch_size": 8, "max_grad_norm": 1e9} | options
    algo = Grpo(**options, learning_rate=1e-3)
    loaded = loaded or small(lora).load(trainable=True)
    plan = schedule(4, algo.tasks_per_step, algo.steps, seed=0)
    arguments = algo.arguments(tmp_path, 0, (), temperature=1.0)
    some = flow(loaded, credit or GrpoCredit(), env)
    return FlowTrainer(some, loaded, arguments, plan, callbacks=callbacks, old_logprobs=old)


def generate(some: FlowTrainer) -> dict:
    """One step's rows, before they are shuffled and split."""
    some.current_gradient_accumulation_steps = some.args.gradient_accumulation_steps
    some.model.train()
    return some._generate_and_score_completions(next(iter(some.get_train_dataloader())))


@pytest.fixture
def theirs(monkeypatch):
    """The advantages that TRL computed, of every step, before ours took their place."""
    seen = []
    original = GRPOTrainer._generate_and_score_completions

    def spy(self, inputs):
        out = original(self, inputs)
        seen.append(out["advantages"].clone())
        return out

    monkeypatch.setattr(GRPOTrainer, "_generate_and_score_completions", spy)
    return seen


def test_rows_are_what_trl_expects(tmp_path):
    some = trainer(tmp_path, credit=Gigpo())
    rows = generate(some)
    size = rows["completion_ids"].shape
    assert size[0] == 16
    for key in ("completion_mask", "tool_mask", "advantages", "sampling_per_token_logps"):
        assert rows[key].shape == size, key
    sampled = rows["completion_mask"] * rows["tool_mask"]
    assert (rows["advantages"] * (1 - sampled)).abs().max() == 0, "advantages stand on sampled tokens alone"
    for row, episode in enumerate(some._episodes):
        ids = [token for turn in episode.turns for token in turn.action.token_ids]
        assert rows["completion_ids"][row][sampled[row].bool()].tolist() == ids, "what is trained is what was sampled"
        given = episode.meta["advantages"]
        per_token = [a for a, turn in zip(given, episode.turns, strict=True) for _ in turn.action.token_ids]
        assert rows["advantages"][row][sampled[row].bool()].tolist() == pytest.approx(per_token)


def test_a_group_starts_from_one_state_and_another_step_from_another(tmp_path):
    some = trainer(tmp_path)
    attempts = [some.flow.owed(0, attempt, step) for step in (0, 1) for attempt in (0, 1)]
    assert attempts[0].seed == attempts[1].seed != attempts[2].seed == attempts[3].seed
    generate(some)
    first = {t.task.id: t for t in some._episodes}
    assert all(t.messages == first[t.task.id].messages for t in some._episodes)
    assert len({str([u.action.token_ids for u in t.turns]) for t in some._episodes}) > 8, "attempts sample differently"


@pytest.mark.parametrize("lora", [0, 4])
def test_grpo_equals_the_advantages_of_trl(tmp_path, theirs, lora):
    """Live batches, with episodes that failed around the agent and a group of which one is left."""
    failing = frozenset({("t0", 0), ("t1", 0), ("t1", 1), ("t1", 2)})
    ours = []
    some = trainer(tmp_path, lora=lora, env=Game(failing))
    some._keep = ours.append
    some.train()
    assert len(ours) == 32
    assert {t.stop for t in ours} >= {"done", "infra_error"}
    expected = torch.cat(theirs).tolist()
    for episode, advantage in zip(ours, expected, strict=True):
        assert episode.meta["advantages"] == pytest.approx([advantage] * len(episode.turns), abs=1e-6)
    assert max(map(abs, expected)) > 0.5


@pytest.mark.parametrize("lora", [0, 4])
def test_sampled_log_probs_are_the_trainers(tmp_path, lora):
    some = trainer(tmp_path, lora=lora)
    rows = generate(some)
    mask = (rows["completion_mask"] * rows["tool_mask"]).bool()
    with torch.no_grad():
        logprobs, _, _ = some._get_per_token_logps_and_entropies(
            some.model,
            torch.cat([rows["prompt_ids"], rows["completion_ids"]], dim=1),
            torch.cat([rows["prompt_mask"], rows["completion_mask"]], dim=1),
            rows["completion_ids"].shape[1],
        )
    assert (logprobs - rows["sampling_per_token_logps"])[mask].abs().max() < 1e-4


@pytest.mark.parametrize("level", ["token", "sequence"])
@pytest.mark.parametrize("loss", LOSSES)
def test_one_advantage_per_token_or_per_row_is_the_same_loss(monkeypatch, generated, loss, level):
    some, rows = generated
    monkeypatch.setattr(some, "loss_type", loss)
    monkeypatch.setattr(some, "importance_sampling_level", level)
    per_row = torch.linspace(-1, 1, 16)
    per_token = per_row[:, None].expand(rows["completion_ids"].shape)
    one = GRPOTrainer._compute_loss(some, some.model, rows | {"advantages": per_row})
    many = GRPOTrainer._compute_loss(some, some.model, rows | {"advantages": per_token})
    assert one.item() == pytest.approx(many.item(), rel=1e-5)
    other = GRPOTrainer._compute_loss(some, some.model, rows | {"advantages": per_row.flip(0)})
    assert other.item() != pytest.approx(one.item(), rel=1e-3)


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """A trainer and one step's rows, as an older policy sampled them."""
    some = trainer(tmp_path_factory.mktemp("seam"))
    rows = generate(some)
    noise = torch.randn(rows["completion_ids"].shape, generator=torch.Generator().manual_seed(0))
    return some, rows | {"old_per_token_logps": rows["sampling_per_token_logps"] + 0.1 * noise}


class Gradient(TrainerCallback):
    """Keeps the gradient of the first optimizer step."""

    def __init__(self):
        self.first = None

    def on_pre_optimizer_step(self, args, state, control, model=None, **_):
        if self.first is None:
            self.first = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]).clone()


def gradient(tmp_path, **options) -> torch.Tensor:
    seen = Gradient()
    trainer(tmp_path, credit=Turn(), steps=1, callbacks=[seen], **options).train()
    return seen.first


@pytest.mark.parametrize("loss", [loss for loss in LOSSES if loss != "bnpo"])
def test_the_gradient_does_not_depend_on_the_size_of_micro_batches(tmp_path, loss):
    whole = gradient(tmp_path / "a", batch_size=16, loss_type=loss)
    parts = gradient(tmp_path / "b", batch_size=4, loss_type=loss)
    assert whole.abs().max() > 0
    assert torch.allclose(whole, parts, rtol=1e-3, atol=1e-6 * whole.abs().max().item())


@pytest.mark.parametrize("loss", ["dapo", "bnpo"])
def test_sorting_and_cutting_rows_changes_no_gradient(tmp_path, monkeypatch, loss):
    cut = gradient(tmp_path / "a", batch_size=4, loss_type=loss)
    monkeypatch.setattr(seam, "by_length", lambda batches, window: batches)
    assert torch.allclose(cut, gradient(tmp_path / "b", batch_size=4, loss_type=loss), rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("options", [{}, {"beta": 0.1}, {"num_iterations": 2, "importance_sampling_level": "sequence"}])
def test_logits_of_sampled_tokens_alone_give_the_same_gradient(tmp_path, monkeypatch, options):
    lean = gradient(tmp_path / "a", **options)
    monkeypatch.setattr(FlowTrainer, "_label_sampled", lambda self, model, args, kwargs: (args, kwargs))
    assert torch.allclose(lean, gradient(tmp_path / "b", **options), rtol=1e-3, atol=1e-7)


def test_only_sampled_tokens_are_scored(tmp_path, monkeypatch, generated):
    some, rows = generated
    seen = []
    kernel = trl.trainer.utils._ChunkedLogProbFunction
    monkeypatch.setattr(
        trl.trainer.utils,
        "_ChunkedLogProbFunction",
        SimpleNamespace(apply=lambda hidden, *rest: seen.append(len(hidden)) or kernel.apply(hidden, *rest)),
    )
    some._compute_loss(some.model, rows)
    assert seen == [int((rows["completion_mask"] * rows["tool_mask"]).sum())]


@pytest.mark.parametrize(
    ("old", "minibatches", "num_iterations", "passes"),
    # Of the first step's check and of later minibatches' old log-probs: 8 rows each.
    [("auto", 1, 1, [16, 16]), ("auto", 1, 3, [48, 48]), ("auto", 2, 1, [24, 16]), ("recomputed", 2, 1, [24, 24])],
)
def test_an_episode_of_many_turns_is_one_sequence_and_no_forward_pass_is_wasted(
    tmp_path, old, minibatches, num_iterations, passes
):
    episodes, rows, seen = [], [], []
    some = trainer(tmp_path, old=old, batch_size=4, minibatches=minibatches, num_iterations=num_iterations)
    some._keep = episodes.append
    some.model.register_forward_hook(
        lambda model, args, kwargs, out: rows.extend(zip(kwargs["input_ids"], kwargs["attention_mask"], strict=True)),
        with_kwargs=True,
    )
    played = some._generate_and_score_completions

    def per_step(inputs):
        seen.append(len(rows))
        return played(inputs)

    some._generate_and_score_completions = per_step
    some.train()
    assert [seen[1], len(rows) - seen[1]] == passes
    assert max(len(episode.turns) for episode in episodes) > 2
    sequences = [ids[mask.bool()].tolist() for ids, mask in rows]
    assert all(label_trajectory(episode).ids in sequences for episode in episodes)


def test_one_sequence_per_episode_has_the_gradient_of_one_sample_per_turn(generated):
    """Each turn alone after its whole history, as verl-agent trains: the same loss, at many times the work."""
    some, rows = generated
    whole = loss_gradient(some, {key: value for key, value in rows.items() if key != "old_per_token_logps"})
    parts = []
    for episode in some._episodes:
        history = []
        for turn, advantage in zip(episode.turns, episode.meta["advantages"], strict=True):
            action = turn.action
            history = history + action.prompt_ids
            parts.append((history, action.token_ids, action.logprobs, [advantage] * len(action.token_ids)))
            history = history + action.token_ids
    assert len(parts) > 2 * len(some._episodes)
    prompts, ids, logprobs, advantages = zip(*parts, strict=True)
    masks = [[1] * len(tokens) for tokens in ids]
    apart = {
        "prompt_ids": padded(prompts, "left"),
        "prompt_mask": padded([[1] * len(tokens) for tokens in prompts], "left"),
        "completion_ids": padded(ids),
        "completion_mask": padded(masks),
        "tool_mask": padded(masks),
        "sampling_per_token_logps": padded(logprobs),
        "advantages": padded(advantages),
        "num_items_in_batch": rows["num_items_in_batch"],
    }
    assert (loss_gradient(some, apart) - whole).abs().max() < 1e-5 * whole.abs().max()


def padded(rows, side="right") -> torch.Tensor:
    return torch.nn.utils.rnn.pad_sequence(list(map(torch.tensor, rows)), batch_first=True, padding_side=side)


def loss_gradient(some: FlowTrainer, rows: dict) -> torch.Tensor:
    some._compute_loss(some.model, rows).backward()
    flat = torch.cat([p.grad.flatten() for p in some.model.parameters()])
    some.model.zero_grad()
    return flat


@pytest.mark.parametrize(
    "options", [{"minibatches": 2}, {"num_iterations": 2}, {"minibatches": 2, "num_iterations": 2}]
)
def test_old_log_probs_without_a_second_forward_pass_train_the_same_weights(tmp_path, monkeypatch, options):
    """The first update's own and those of sampling, against TRL's."""
    ours = trainer(tmp_path / "a", batch_size=4, **options)
    ours.train()
    assert ours._metrics["train"] == {}
    monkeypatch.setattr(FlowTrainer, "_as_one_update", lambda self: nullcontext())
    monkeypatch.setattr(FlowTrainer, "_take_old", lambda self, batches: None)
    theirs = trainer(tmp_path / "b", batch_size=4, **options)
    theirs.train()
    for mine, other in zip(ours.model.parameters(), theirs.model.parameters(), strict=True):
        assert torch.allclose(mine, other, atol=1e-5)


def test_tokens_weigh_what_the_sampler_made_too_likely(tmp_path, capsys):
    """A sampler whose probabilities are higher by a factor of e^0.5 than the trainer's: gradients are smaller by it."""
    seen = Gradient()
    some = trainer(tmp_path, credit=Turn(), steps=1, callbacks=[seen])
    played = some.flow.play

    def other(owed):
        for trajectory in played(owed):
            for turn in trajectory.turns:
                turn.action.logprobs = [logprob + 0.5 for logprob in turn.action.logprobs]
            yield trajectory

    some.flow.play = other
    some.train()
    assert torch.allclose(seen.first, gradient(tmp_path / "a") * math.exp(-0.5), rtol=1e-3, atol=1e-7)
    row = some.state.log_history[0]
    assert row["sampler_drift"] == pytest.approx(0.5, abs=1e-3)
    assert row["sampler_drift_max"] == pytest.approx(0.5, abs=1e-3)
    assert capsys.readouterr().out.count("differ by up to 0.5 nats") == 1


def test_a_resumed_run_takes_the_old_log_probs_that_its_first_step_settled_on(tmp_path):
    some = trainer(tmp_path, minibatches=2)
    some.state.log_history = [{seam.RECOMPUTED: 1.0}, {"loss": 0.0}]
    some._take_old([rows := generate(some)])
    assert some._old == "recomputed", "though both agree"
    assert not torch.equal(rows["old_per_token_logps"], rows["sampling_per_token_logps"])


def test_a_batch_without_a_sampled_token_has_a_gradient_of_zero(generated):
    some, rows = generated
    loss = some._compute_loss(some.model, rows | {"tool_mask": torch.zeros_like(rows["tool_mask"])})
    loss.backward()
    assert loss.item() == 0
    assert not any(p.grad.any() for p in some.model.parameters()), "zero, and not missing: DDP waits for every gradient"
    some.model.zero_grad()


def test_the_reference_is_the_model_in_memory_and_not_that_of_its_folder(tmp_path):
    loaded = small().load(trainable=True)
    for weights in loaded.model.parameters():
        weights.data += 0.01  # as if an adapter had been merged
    some = trainer(tmp_path, loaded=loaded, beta=0.1)
    for mine, theirs in zip(some.model.parameters(), some.ref_model.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_what_we_failed_is_not_trained_on(tmp_path):
    some = trainer(tmp_path, env=Game(frozenset({("t2", n) for n in range(4)})))
    rows = generate(some)
    failed = [t.stop == "infra_error" for t in some._episodes]
    assert 1 <= sum(failed) <= 4, "games that end in their first turn do not break down"
    sampled = (rows["completion_mask"] * rows["tool_mask"]).sum(1)
    assert [int(n) == 0 for n in sampled] == failed
    assert some._metrics["train"]["failed_by_us"] == [sum(failed)]
    assert torch.isfinite(some._compute_loss(some.model, rows))


def test_a_first_step_in_which_nothing_could_be_played_is_an_error(tmp_path):
    class Broken(Game):
        def episode(self, task, seed):
            raise OSError("no display")

    with pytest.raises(UserError, match=r"None of the 16 episodes.*no display"):
        generate(trainer(tmp_path, env=Broken()))


class Outage(Game):
    """A game that nobody can play in some of the steps, of 16 episodes each."""

    def __init__(self, *steps: int):
        super().__init__()
        self.steps, self.started = steps, 0

    def episode(self, task, seed):
        self.started += 1
        if (self.started - 1) // 16 in self.steps:
            raise OSError("no display")
        return super().episode(task, seed)


class Weights(TrainerCallback):
    """Keeps weights and learning rate as they are after each step."""

    def __init__(self):
        self.seen, self.rates = [], []

    def on_step_end(self, args, state, control, model=None, lr_scheduler=None, **_):
        self.seen.append(torch.cat([weights.flatten() for weights in model.parameters()]).detach().clone())
        self.rates.append(lr_scheduler.get_last_lr()[0])


def test_a_step_that_nobody_could_play_changes_nothing_and_is_told(tmp_path, caplog):
    kept = Weights()
    some = trainer(tmp_path, steps=4, env=Outage(1), callbacks=[kept], schedule="linear", beta=0.1, weight_decay=0.1)
    with caplog.at_level(logging.WARNING, logger=alarms.__name__):
        some.train()
    before, lost, after, _ = kept.seen
    assert torch.equal(before, lost), "neither AdamW's momentum nor its decay"
    assert not torch.equal(lost, after)
    assert kept.rates[0] == kept.rates[1] > kept.rates[2] > kept.rates[3], "the schedule waits"
    rows = [row for row in some.state.log_history if "lost_step" in row]
    assert [row["lost_step"] for row in rows] == [0, 1, 0, 0]
    assert rows[1]["failed_by_us"] == 16
    assert rows[1]["success"] is None, "unknown, and not 0"
    assert "Step 2: none of its 16 episodes could be played (OSError: no display)" in caplog.text


def test_several_such_steps_in_a_row_end_the_run(tmp_path):
    some = trainer(tmp_path, steps=8, env=Outage(1, 3, 4, 5))
    with pytest.raises(UserError, match=r"(?s)steps 4 to 6 could be played: OSError: no display.*resume=true"):
        some.train()


def test_history_that_was_rendered_again_is_an_error(tmp_path):
    some = trainer(tmp_path)
    played = some.flow.play

    def changed(owed):
        for trajectory in played(owed):
            if len(trajectory.turns) > 1:
                trajectory.turns[1].action.prompt_ids[0] += 1
            yield trajectory

    some.flow.play = changed
    with pytest.raises(UserError, match=r"Turn 1 of .* other tokens than its messages"):
        generate(some)


def test_steps_without_signal_are_said_once(tmp_path, caplog):
    some = trainer(tmp_path, steps=alarms.NO_SIGNAL + 2)
    some.flow.score = lambda trajectory: trajectory  # no scores, so every return is 0
    with caplog.at_level(logging.WARNING, logger=alarms.__name__):
        some.train()
    assert [record.message[:10] for record in caplog.records if record.name == alarms.__name__] == ["No signal:"]


def test_figures_of_a_step_reach_the_log(tmp_path):
    some = trainer(tmp_path)
    some.train()
    row = some.state.log_history[0]
    assert {
        "success",
        "reward",
        "reward/a",
        "turns",
        "invalid_calls",
        "tool_errors",
        "truncated",
        "failed_by_us",
    } <= set(row)
    assert {"groups_without_variance", "advantage_std", "entropy", "rollout_seconds", "credit_seconds"} <= set(row)
    assert row["credit_seconds"] < row["train_seconds"]
    assert not any(name.startswith(("completions/", "rewards/")) for name in row)
    assert row["reward"] == pytest.approx(row["reward/a"])
    assert row["train_seconds"] > 0
