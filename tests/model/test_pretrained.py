import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from agenttrain.errors import UserError
from agenttrain.model import pretrained
from agenttrain.model.lora import Lora
from agenttrain.model.pretrained import Pretrained
from agenttrain.model.tiny import Tiny

IDS = torch.arange(20)[None] + 100
MISSING_KEYS = "There were missing keys in the checkpoint model loaded"
"""As transformers.trainer says it when a run is resumed."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "small"
    Tiny(layers=2, hidden=64, heads=2, kv_heads=1, intermediate=96).build(folder)
    return folder


def logits(model):
    model.eval()
    with torch.no_grad():
        return model(IDS).logits


def test_saved_weights_and_tokenizer_come_back(folder, tmp_path):
    loaded = Pretrained(path=str(folder)).load(trainable=True)
    with torch.no_grad():
        for parameter in loaded.model.parameters():
            parameter.add_(0.01)
    loaded.save(tmp_path / "model")
    again = Pretrained(path=str(tmp_path / "model")).load()
    assert torch.equal(logits(again.model), logits(loaded.model))
    assert again.chat.parse(again.chat.reply({"role": "assistant", "content": "hi"}), [])["content"] == "hi"


def test_a_fresh_adapter_changes_nothing_and_a_trained_one_comes_back_from_its_folder(folder, tmp_path):
    plain = Pretrained(path=str(folder)).load()
    loaded = Pretrained(path=str(folder), lora=Lora(r=4)).load(trainable=True)
    trainable = [name for name, p in loaded.model.named_parameters() if p.requires_grad]
    assert trainable
    assert all("lora" in name for name in trainable)
    assert torch.allclose(logits(loaded.model), logits(plain.model), atol=1e-6)

    with torch.no_grad():
        for name, parameter in loaded.model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.3)
    loaded.save(tmp_path / "adapter")
    assert not (tmp_path / "adapter" / "model.safetensors").exists(), "an adapter is saved without its base"
    again = Pretrained(path=str(tmp_path / "adapter")).load()
    assert torch.allclose(logits(again.model), logits(loaded.model), atol=1e-4)
    assert not torch.allclose(logits(again.model), logits(plain.model), atol=1e-2)

    on_top = Pretrained(path=str(tmp_path / "adapter"), lora=Lora(r=2)).load(trainable=True)
    assert torch.allclose(logits(on_top.model), logits(loaded.model), atol=1e-4)
    assert all("lora" in name for name, p in on_top.model.named_parameters() if p.requires_grad)


def test_adapters_go_where_they_are_told(folder):
    loaded = Pretrained(path=str(folder), lora=Lora(r=2, target_modules=["q_proj", "v_proj"])).load(trainable=True)
    adapted = {
        name.split(".lora_")[0].rsplit(".", 1)[-1] for name, _ in loaded.model.named_parameters() if "lora_" in name
    }
    assert adapted == {"q_proj", "v_proj"}


def test_a_folder_that_is_no_model_says_so_and_what_was_meant(folder, tmp_path):
    with pytest.raises(UserError, match="no folder runs/nothing"):
        Pretrained(path="runs/nothing").load()
    with pytest.raises(UserError, match=r"no config\.json"):
        Pretrained(path=str(tmp_path)).load()
    with pytest.raises(UserError, match=f"Did you mean model.path={folder}"):
        Pretrained(path=str(folder.parent)).load()
    with pytest.raises(UserError, match=r"model\.path is not set"):
        Pretrained().load()


def test_damaged_weights_are_one_line(folder, tmp_path):
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match="Cannot load the model"):
        Pretrained(path=str(tmp_path)).load()


@pytest.mark.parametrize(
    ("options", "trainable", "cuda", "dtype"),
    [
        (Pretrained(), True, True, "float32"),  # AdamW's step of 1e-6 is nothing to a weight of 0.02 in bfloat16
        (Pretrained(), False, True, "auto"),
        (Pretrained(lora=Lora(r=8)), True, True, "auto"),
        (Pretrained(lora=Lora(r=8), quantize=4), True, True, "auto"),
        (Pretrained(), False, False, "float32"),
        (Pretrained(dtype="bfloat16"), True, True, "bfloat16"),
    ],
)
def test_full_weights_are_trained_in_float32_unless_told_otherwise(options, trainable, cuda, dtype):
    assert pretrained._dtype(options, trainable, cuda) == dtype


def test_quantisation_needs_a_gpu_and_says_so(folder):
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA, where quantisation is allowed")
    with pytest.raises(UserError, match="CUDA"):
        Pretrained(path=str(folder), quantize=4).load(trainable=True)


def test_an_adapter_upon_an_adapter_comes_back_with_both(folder, tmp_path):
    """`sft` with LoRA, then `rl` with LoRA: what is evaluated must have learned from both."""
    path = str(folder)
    for name in ("sft", "rl"):
        loaded = Pretrained(path=path, lora=Lora(r=2)).load(trainable=True)
        with torch.no_grad():
            for parameter in loaded.model.parameters():
                if parameter.requires_grad:
                    parameter.normal_(std=0.3)
        path = str(tmp_path / name / "model")
        loaded.save(Path(path))
    again = Pretrained(path=path).load()
    assert torch.allclose(logits(again.model), logits(loaded.model), atol=1e-3)


def test_a_built_base_is_found_beside_its_adapter_wherever_the_run_has_gone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("run").mkdir()
    tiny = Tiny(layers=1, hidden=32, heads=2, kv_heads=1, intermediate=32, lora=Lora(r=2))
    loaded = tiny.load(Path("run"), trainable=True)
    loaded.save(Path("run/model"))
    Path("run").rename("moved")
    again = Pretrained(path="moved/model").load()
    assert torch.allclose(logits(again.model), logits(loaded.model), atol=1e-4)


def test_a_merged_adapter_can_be_trained_whole(folder, tmp_path):
    Pretrained(path=str(folder), lora=Lora(r=2)).load(trainable=True).save(tmp_path / "adapter")
    options = Pretrained(path=str(tmp_path / "adapter"))
    assert all(p.requires_grad for p in options.load(trainable=True).model.parameters())
    assert not any(p.requires_grad for p in options.load().model.parameters())


def test_the_folder_of_a_run_is_answered_with_what_it_trained_not_with_its_base(tmp_path):
    for name in ("base/config.json", "model/adapter_config.json"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("{}")
    with pytest.raises(UserError, match=f"Did you mean model.path={tmp_path / 'model'}"):
        Pretrained(path=str(tmp_path)).load()


def test_a_missing_base_is_told_with_the_adapter_that_wants_it(tmp_path):
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "/gone/model"}')
    with pytest.raises(UserError, match=r"no folder /gone/model.*\n.* is an adapter"):
        Pretrained(path=str(tmp_path)).load()


def test_a_tied_head_that_a_checkpoint_lacks_is_no_news_and_other_weights_are():
    pretrained.quiet()
    log = logging.getLogger("transformers.trainer")

    def told(missing):
        return bool(log.filter(logging.makeLogRecord({"msg": f"{MISSING_KEYS}: {missing}."})))

    assert not told(["lm_head.weight"])
    assert told(["lm_head.weight", "model.norm.weight"])


def test_over_quantized_weights_a_trained_adapter_stays_and_goes_on_training(folder, tmp_path, monkeypatch):
    trained = Pretrained(path=str(folder), lora=Lora(r=3)).load(trainable=True)
    trained.save(tmp_path / "adapter")
    load = pretrained._weights
    monkeypatch.setattr(pretrained, "_weights", lambda options, *rest: load(replace(options, quantize=None), *rest))
    options = Pretrained(path=str(tmp_path / "adapter"), quantize=4, lora=Lora(r=8))
    loaded = options.load(trainable=True)
    ranks = {p.shape[0] for name, p in loaded.model.named_parameters() if "lora_A" in name}
    assert ranks == {3}, "one adapter, the trained one"
    assert all("lora" in name for name, p in loaded.model.named_parameters() if p.requires_grad)
    assert any(p.requires_grad for p in loaded.model.parameters())
    assert not any(p.requires_grad for p in options.load().model.parameters())
