from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from agenttrain.errors import UserError
from agenttrain.model.lora import Lora
from agenttrain.model.pretrained import Pretrained
from agenttrain.model.tiny import Tiny

SMALL = {"layers": 2, "hidden": 64, "heads": 2, "kv_heads": 1, "intermediate": 96}
IDS = torch.arange(20)[None] + 100


def logits(loaded):
    with torch.no_grad():
        return loaded.model(IDS).logits


def test_the_default_has_one_to_five_million_parameters():
    count = sum(p.numel() for p in Tiny().load().model.parameters())
    assert 1e6 <= count <= 5e6


def test_weights_come_from_the_seed_alone():
    torch.manual_seed(1)
    first = Tiny(**SMALL, seed=3).load()
    state = torch.get_rng_state()
    second = Tiny(**SMALL, seed=3).load()
    assert torch.equal(torch.get_rng_state(), state), "building a model must not move the caller's generator"
    assert torch.equal(logits(first), logits(second))
    assert not torch.equal(logits(first), logits(Tiny(**SMALL, seed=4).load()))


def test_it_is_written_in_hugging_face_form_and_loads_like_any_other_model(tmp_path):
    tiny = Tiny(**SMALL).load(tmp_path)
    other = Pretrained(path=str(tmp_path / "base")).load()
    assert torch.equal(logits(tiny), logits(other))
    assert other.chat.stop_id == tiny.chat.stop_id
    assert other.tokenizer.chat_template == tiny.tokenizer.chat_template


def test_a_second_load_reads_what_the_first_wrote(tmp_path):
    Tiny(**SMALL).load(tmp_path)
    stamp = (tmp_path / "base" / "model.safetensors").stat().st_mtime_ns
    Tiny(**SMALL).load(tmp_path)
    assert (tmp_path / "base" / "model.safetensors").stat().st_mtime_ns == stamp


def test_a_folder_of_another_tiny_model_is_refused(tmp_path):
    Tiny(**SMALL, seed=1).load(tmp_path)
    with pytest.raises(UserError, match="other settings"):
        Tiny(**SMALL, seed=2).load(tmp_path)


def test_processes_that_build_at_once_agree(tmp_path):
    built = [_built(tmp_path, name) for name in "ab"]  # not in threads, which share torch's generator
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda folder: Tiny(**SMALL, seed=5)._settle(folder, tmp_path / "base"), built)
    assert first == second == tmp_path / "base"
    assert {p.name for p in tmp_path.iterdir()} >= {"base"}
    assert torch.equal(logits(Pretrained(path=str(first)).load()), logits(Tiny(**SMALL, seed=5).load()))


def _built(folder, name):
    Tiny(**SMALL, seed=5).build(folder / name)
    return folder / name


@pytest.mark.parametrize("trainable", [True, False])
def test_the_adapter_comes_with_training_only(trainable):
    loaded = Tiny(**SMALL, lora=Lora(r=4)).load(trainable=trainable)
    names = [name for name, p in loaded.model.named_parameters() if "lora" in name]
    assert bool(names) == trainable
