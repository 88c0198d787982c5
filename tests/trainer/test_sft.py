"""Supervised training: it learns, resumes to the same weights, packs without leaking, and says what is wrong."""

import inspect
import json
import shutil
from dataclasses import replace

import pytest
import torch

from agenttrain.errors import UserError
from agenttrain.model.lora import Lora
from agenttrain.model.pretrained import Pretrained
from agenttrain.model.tiny import Tiny
from agenttrain.trainer.heldout import split
from agenttrain.trainer.masks import label_all
from agenttrain.trainer.sft import Sft
from agenttrain.trainer.tokens import Tokens
from agenttrain.types import Example


def small(lora=0, dropout=0.0):
    shape = {"layers": 2, "hidden": 64, "heads": 2, "kv_heads": 1, "intermediate": 128}
    return Tiny(**shape, lora=Lora(r=lora, dropout=dropout))


def example(number, observation="Nothing found."):
    return Example(
        str(number),
        [
            {"role": "user", "content": f"Question {number}?" + " Think." * number},
            {"role": "assistant", "content": f"Action: search[{number}]", "train": True},
            {"role": "user", "content": f"Observation: {observation}"},
            {"role": "assistant", "content": f"Action: finish[{number * 7 % 10}]" + " Done." * number, "train": True},
        ],
    )


def weights(folder):
    from safetensors.torch import load_file

    return load_file(next(folder.glob("*.safetensors")))


def assert_same_weights(one, other):
    ours, theirs = weights(one), weights(other)
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert torch.equal(ours[name], theirs[name]), name


def test_it_overfits_three_records_and_the_saved_model_is_the_trained_one(tmp_path):
    loaded = small().load(trainable=True)
    algo = Sft(max_steps=60, learning_rate=1e-2, warmup=0, heldout=0.0, logging_steps=10, save_steps=1000)
    figures = algo.train(loaded, [example(n) for n in range(3)], tmp_path)
    assert figures.train_loss < 0.1
    assert figures.steps == 60
    again = Pretrained(path=str(tmp_path / "model")).load()
    ids = again.chat.open([{"role": "user", "content": "Question 2? Think. Think."}], [])
    reply = again.model.generate(torch.tensor([ids]), max_new_tokens=20, do_sample=False)[0, len(ids) :].tolist()
    assert again.tokenizer.decode(reply, skip_special_tokens=True) == "Action: search[2]"
    assert reply[-1] == again.chat.stop_id
    assert not list(tmp_path.rglob("model/*.bin"))


def test_named_heldout_sets_are_measured_apart_and_nothing_else_is_held_out(tmp_path):
    loaded = small().load(trainable=True)
    sets = {"near": [example(n) for n in range(3)], "far": [example(20)]}
    tokens = {name: [t for _, t in label_all(some, loaded.chat)[0]] for name, some in sets.items()}
    before = {name: mean_loss(loaded.model, some) for name, some in tokens.items()}
    algo = Sft(max_steps=12, learning_rate=3e-3, heldout=0.5, save_steps=100)
    figures = algo.train(loaded, [example(n) for n in range(4)], tmp_path, named=sets)
    assert (figures.heldout_records, figures.heldout_before) == (0, None)
    for name, some in tokens.items():
        assert figures.named[name] == pytest.approx((before[name], mean_loss(loaded.model, some)), rel=1e-5)
    lines = (tmp_path / "metrics.jsonl").read_text()
    assert "heldout_near_loss" in lines
    assert "heldout_far_loss" in lines


def test_a_mixture_is_accounted_by_records_and_by_tokens_with_loss():
    chat = small().load().chat
    examples = [replace(example(n), part="agent" if n else "general") for n in range(3)]
    rows, account = label_all(examples, chat)
    assert account.parts == {"general": 1, "agent": 2}
    assert account.trained_of == {"general": rows[0][1].trained, "agent": rows[1][1].trained + rows[2][1].trained}
    _, nested = label_all([replace(example(n), part=f"general.{n % 2}") for n in range(3)], chat)
    assert nested.parts == {"general": 3, "general.0": 2, "general.1": 1}


def test_heldout_loss_is_the_mean_over_tokens_before_and_after(tmp_path):
    examples = [example(n) for n in range(12)]
    loaded = small().load(trainable=True)
    rows, _ = label_all(examples, loaded.chat)
    heldout = [tokens for _, tokens in split(rows, 0.4, seed=3)[1]]
    expected = mean_loss(loaded.model, heldout)
    algo = Sft(epochs=2, learning_rate=3e-3, heldout=0.4, batch_size=2, logging_steps=1)
    figures = algo.train(loaded, examples, tmp_path, seed=3)
    assert figures.heldout_records == len(heldout) == 5
    assert figures.heldout_before == pytest.approx(expected, rel=1e-5)
    assert figures.heldout_after == pytest.approx(mean_loss(loaded.model, heldout), rel=1e-5)
    assert figures.heldout_after < figures.heldout_before
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert next(line["heldout_loss"] for line in lines if "heldout_loss" in line) == figures.heldout_before
    assert any("loss" in line and line["step"] == 1 for line in lines)


def mean_loss(model, rows):
    total, count = 0.0, 0
    model.eval()
    for row in rows:
        labels = torch.tensor(row.labels)[1:]
        with torch.no_grad():
            logits = model(torch.tensor([row.ids])).logits[0, :-1]
        total += torch.nn.functional.cross_entropy(logits, labels, ignore_index=-100, reduction="sum").item()
        count += int((labels != -100).sum())
    return total / count


def test_observations_teach_nothing(tmp_path):
    """With other observations the same tokens are trained; were one in the loss, it would be learnt."""
    loaded = small().load(trainable=True)
    secret = " ".join(["zebra"] * 12)
    algo = Sft(max_steps=60, learning_rate=1e-2, warmup=0, heldout=0.0, save_steps=1000)
    figures = algo.train(loaded, [example(n, secret) for n in range(3)], tmp_path)
    plain = label_all([example(n) for n in range(3)], loaded.chat)[1]
    assert figures.account.trained == plain.trained
    assert figures.account.tokens > plain.tokens
    row = label_all([example(1, secret)], loaded.chat)[0][0][1]
    shown = Tokens(row.ids, [-100 if turn >= 0 else i for i, turn in zip(row.ids, row.turn, strict=True)], row.turn)
    assert mean_loss(loaded.model, [row]) < 0.2
    assert mean_loss(loaded.model, [shown]) > 4.0


@pytest.mark.parametrize(
    "options",
    [
        {"gradient_accumulation": 2},
        {"group_by_length": False},
        {"packing": "bfd", "max_length": 90, "batch_size": 1},
        {"lora": 4, "dropout": 0.3, "extra": {"neftune_noise_alpha": 5}},
    ],
    ids=["length-grouped", "random", "packed", "lora"],
)
def test_a_resumed_run_ends_in_the_weights_of_an_uninterrupted_one(tmp_path, options):
    model = small(options.pop("lora", 0), options.pop("dropout", 0.0))
    settings = {"epochs": 3, "batch_size": 2, "save_steps": 4, "save_total_limit": 9, "heldout": 0.2} | options
    examples = [example(n) for n in range(11)]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    full = Sft(**settings).train(model.load(whole, trainable=True), examples, whole, seed=1)

    stops = sorted(int(path.name.split("-")[1]) for path in (whole / "checkpoints").glob("checkpoint-*"))
    left = stops[-2]  # in the last epoch but one or later, and not at an epoch's end
    shutil.copytree(whole / "checkpoints" / f"checkpoint-{left}", killed / "checkpoints" / f"checkpoint-{left}")
    shutil.copy(whole / "metrics.jsonl", killed / "metrics.jsonl")
    figures = Sft(**settings).train(model.load(killed, trainable=True), examples, killed, seed=1, resume=True)
    assert figures.notes == [f"Going on from {killed / 'checkpoints' / f'checkpoint-{left}'}."]
    assert (figures.steps, figures.heldout_before) == (full.steps, full.heldout_before)
    assert_same_weights(whole / "model", killed / "model")
    assert figures.heldout_after == full.heldout_after
    assert losses(killed) == losses(whole)


def losses(out):
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [(row["step"], row.get("loss"), row.get("heldout_loss")) for row in rows]


def test_a_damaged_checkpoint_is_passed_over(tmp_path):
    examples = [example(n) for n in range(6)]
    algo = Sft(max_steps=8, batch_size=2, save_steps=2, save_total_limit=4, heldout=0.0)
    algo.train(small().load(trainable=True), examples, tmp_path)
    expected = weights(tmp_path / "model")
    (tmp_path / "checkpoints/checkpoint-8/optimizer.pt").unlink()
    with (tmp_path / "checkpoints/checkpoint-6/model.safetensors").open("rb+") as file:
        file.truncate(1000)
    (tmp_path / "checkpoints/checkpoint-4/complete.json").unlink()
    figures = algo.train(small().load(trainable=True), examples, tmp_path, resume=True)
    assert "optimizer.pt is missing" in figures.notes[0]
    assert "model.safetensors has 1000 bytes" in figures.notes[1]
    assert "not written to its end" in figures.notes[2]
    assert figures.notes[3].endswith("checkpoint-2.")
    assert all(torch.equal(weights(tmp_path / "model")[name], value) for name, value in expected.items())


def test_an_adapter_is_saved_and_found_again(tmp_path):
    loaded = small(lora=4).load(tmp_path, trainable=True)
    algo = Sft(max_steps=20, learning_rate=1e-2, heldout=0.0, save_steps=1000)
    algo.train(loaded, [example(n) for n in range(3)], tmp_path)
    rows = [tokens for _, tokens in label_all([example(1)], loaded.chat)[0]]
    assert (tmp_path / "model" / "adapter_config.json").exists()
    again = Pretrained(path=str(tmp_path / "model")).load()
    assert mean_loss(again.model, rows) == pytest.approx(mean_loss(loaded.model, rows), rel=1e-4)
    assert mean_loss(again.model, rows) < mean_loss(small().load().model, rows) - 0.5


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_packed_rows_have_the_loss_of_single_records(tmp_path, attention):
    loaded = small().load(trainable=True)
    loaded.model.set_attn_implementation(attention)
    rows = [tokens for _, tokens in label_all([example(n) for n in range(6)], loaded.chat)[0]]
    apart = mean_loss(loaded.model, rows)
    algo = Sft(max_steps=1, packing="bfd", max_length=1000, learning_rate=0.0, logging_steps=1, heldout=0.0)
    figures = algo.train(loaded, [example(n) for n in range(6)], tmp_path)
    assert figures.train_loss == pytest.approx(apart, rel=1e-5)


def test_packing_is_refused_where_records_would_see_each_other():
    from agenttrain.trainer.supervised import check_packing

    model = small().load().model
    check_packing(model, model.config.vocab_size)

    class Blind(torch.nn.Module):
        """Attention that knows no borders."""

        device = torch.device("cpu")

        def forward(self, input_ids, **_):
            return model(input_ids)

    with pytest.raises(UserError, match="packing"):
        check_packing(Blind(), model.config.vocab_size)


def test_length_groups_leave_less_padding(tmp_path):
    from agenttrain.trainer.sft import _dataset
    from agenttrain.trainer.supervised import SupervisedTrainer

    examples = [example(n % 40) for n in range(200)]
    loaded = small().load(trainable=True)
    rows = [tokens for _, tokens in label_all(examples, loaded.chat)[0]]
    padding = {}
    for grouped in (True, False):
        arguments = Sft(group_by_length=grouped, batch_size=4).arguments(tmp_path, 0, evaluate=False)
        trainer = SupervisedTrainer(
            loaded.model, arguments, train_dataset=_dataset(rows), processing_class=loaded.tokenizer
        )
        batches = [batch["input_ids"] for batch in trainer.get_train_dataloader()]
        padding[grouped] = sum(batch.numel() for batch in batches) / sum(len(row.ids) for row in rows)
    assert padding[True] < 1.1 < padding[False]


def test_extra_arguments_are_checked_by_name(tmp_path):
    known = Sft(extra={"neftune_noise_alpha": 5}).arguments(tmp_path, 0, evaluate=False)
    assert known.neftune_noise_alpha == 5
    with pytest.raises(UserError, match="Did you mean neftune_noise_alpha"):
        Sft(extra={"neftune_noise_alfa": 5}).arguments(tmp_path, 0, evaluate=False)
    with pytest.raises(UserError, match="set by an option"):
        Sft(extra={"learning_rate": 1}).arguments(tmp_path, 0, evaluate=False)


def test_a_logger_that_is_not_installed_is_named_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr("transformers.integrations.get_available_reporting_integrations", lambda: ["tensorboard"])
    assert Sft().arguments(tmp_path, 0, evaluate=False).report_to == []
    with pytest.raises(UserError, match="pip install trackio"):
        Sft().arguments(tmp_path, 0, evaluate=False, report_to=["trackio"])


def test_every_option_reaches_trl(tmp_path):
    """An option that changes nothing in TRL's arguments or in ours is dead."""
    elsewhere = {"overlong", "heldout", "extra", "group_by_length", "packing", "max_length"}
    changed = {
        "epochs": 7, "max_steps": 9, "learning_rate": 0.5, "schedule": "linear", "warmup": 0.25, "weight_decay": 0.5,
        "max_grad_norm": 0.25, "batch_size": 3, "gradient_accumulation": 5, "bf16": True,
        "gradient_checkpointing": True, "eval_steps": 11, "logging_steps": 13, "save_steps": 17, "save_total_limit": 1,
    }  # fmt: skip
    assert set(inspect.signature(Sft).parameters) == elsewhere | set(changed)
    usual = Sft().arguments(tmp_path, 0, evaluate=True).to_dict()
    for name, value in changed.items():
        assert Sft(**{name: value}).arguments(tmp_path, 0, evaluate=True).to_dict() != usual, name
