"""A checkpoint is resumed only if every byte that was written is there."""

import pytest

from agenttrain.errors import UserError
from agenttrain.model.lora import Lora
from agenttrain.model.tiny import Tiny
from agenttrain.trainer import checkpoints


@pytest.fixture
def folder(tmp_path):
    for step in (2, 10):
        place = tmp_path / f"checkpoint-{step}"
        (place / "shard").mkdir(parents=True)
        (place / "model.safetensors").write_bytes(b"12345")
        (place / "shard" / "optimizer.pt").write_bytes(b"678")
        checkpoints.seal(place)
    return tmp_path


def test_the_highest_step_is_the_newest(folder):
    (folder / "checkpoint-last").mkdir()
    assert checkpoints.newest_complete(folder) == (folder / "checkpoint-10", [])


def test_files_that_came_after_the_seal_do_no_harm(folder):
    (folder / "checkpoint-10" / "notes.txt").write_text("mine")
    assert checkpoints.newest_complete(folder)[0] == folder / "checkpoint-10"


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda place: (place / "shard" / "optimizer.pt").unlink(), "optimizer.pt is missing"),
        (lambda place: (place / "model.safetensors").write_bytes(b"123"), "has 3 bytes instead of 5"),
        (lambda place: (place / "complete.json").unlink(), "not written to its end"),
        (lambda place: (place / "complete.json").write_text('{"a"'), "complete.json is damaged"),
    ],
)
def test_a_harmed_one_is_passed_over_and_said(folder, harm, said):
    harm(folder / "checkpoint-10")
    found, skipped = checkpoints.newest_complete(folder)
    assert found == folder / "checkpoint-2"
    assert len(skipped) == 1
    assert said in skipped[0]


def test_no_folder_is_no_checkpoint(tmp_path):
    assert checkpoints.newest_complete(tmp_path / "none") == (None, [])


def small(**options):
    return Tiny(hidden=32, heads=2, kv_heads=1, intermediate=32, **options).load(trainable=True)


@pytest.mark.parametrize(
    ("then", "now", "said"),
    [
        ({"layers": 1}, {"layers": 2}, "num_hidden_layers=1, the model 2"),
        ({"lora": Lora(r=2)}, {"lora": Lora(r=4)}, "r=2, the model 4"),
        ({"lora": Lora(r=2)}, {}, "has an adapter"),
        ({}, {"lora": Lora(r=2)}, "has no adapter"),
    ],
)
def test_a_checkpoint_of_another_model_is_refused(then, now, said, tmp_path):
    small(**then).save(tmp_path)
    checkpoints.check_model(tmp_path, small(**then).model)
    with pytest.raises(UserError, match=said):
        checkpoints.check_model(tmp_path, small(**now).model)
