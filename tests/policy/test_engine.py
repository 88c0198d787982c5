import copy

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    Gemma2Config,
    Gemma3TextConfig,
    GptOssConfig,
    LlamaConfig,
    MambaConfig,
    MistralConfig,
    Phi3Config,
    Qwen3Config,
)

from agenttrain.errors import UserError
from agenttrain.policy import attention
from agenttrain.policy.engine import Engine

SHAPE = {
    "vocab_size": 101,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 512,
    "initializer_range": 0.3,
    "tie_word_embeddings": False,
    "attn_implementation": "eager",
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": None,
}
WINDOW = {"sliding_window": 6}
MIXED = ["sliding_attention", "sliding_attention", "full_attention", "sliding_attention"]
CONFIGS = {
    "qwen3": Qwen3Config(**SHAPE),
    "qwen3 with windows": Qwen3Config(**SHAPE | WINDOW, layer_types=MIXED, use_sliding_window=True),
    "llama": LlamaConfig(**SHAPE, rope_theta=500.0),
    "mistral": MistralConfig(**SHAPE | WINDOW),
    "gemma2": Gemma2Config(
        **SHAPE | WINDOW, layer_types=MIXED, attn_logit_softcapping=0.7, final_logit_softcapping=2.0
    ),
    "gemma3": Gemma3TextConfig(**SHAPE | WINDOW, layer_types=MIXED, query_pre_attn_scalar=5),
}


def model(config, **changes):
    config = copy.deepcopy(config)
    for name, value in changes.items():
        setattr(config, name, value)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    return AutoModelForCausalLM.from_config(config).eval()


def engine(model, context=128, cache_gb=1.0):
    return Engine(model, context, cache_gb)


def say(engine, row, *pieces):
    return [engine.feed([row], [piece])[0] for piece in pieces]


@pytest.mark.parametrize("family", CONFIGS)
def test_ragged_conversations_get_the_models_own_logits(family):
    net = model(CONFIGS[family])
    served = engine(net)
    generator = torch.Generator().manual_seed(1)
    texts = [torch.randint(101, (n,), generator=generator).tolist() for n in (40, 25, 33, 7, 18)]
    rows = [served.cache.seat(50) for _ in texts]
    done = [0] * len(texts)
    with torch.no_grad():
        plain = [net(torch.tensor([text])).logits[0] for text in texts]
    for step in range(60):
        # Some read a piece, some decode, some are away; pieces of one token and of many come together.
        speaking = [i for i in range(len(texts)) if (i + step) % 3 and done[i] < len(texts[i])]
        if not speaking:
            continue
        counts = [1 if (i + step) % 4 else 5 for i in speaking]
        pieces = [texts[i][done[i] : done[i] + n] for i, n in zip(speaking, counts, strict=True)]
        logits = served.feed([rows[i] for i in speaking], pieces)
        for i, piece, row in zip(speaking, pieces, logits, strict=True):
            done[i] += len(piece)
            torch.testing.assert_close(row.log_softmax(-1), plain[i][done[i] - 1].log_softmax(-1), atol=1e-4, rtol=0)
    assert done == list(map(len, texts)), "every text must be read to its end for this test to say anything"


def test_an_adapter_acts_with_the_model_it_belongs_to():
    text = list(range(3, 30))
    net = get_peft_model(
        model(CONFIGS["qwen3"]), LoraConfig(target_modules=["q_proj", "down_proj"], init_lora_weights=False)
    )
    served = engine(net)
    logits = say(served, served.cache.seat(50), text)[0]
    with torch.no_grad():
        own = net(torch.tensor([text])).logits[0, -1]
        with net.disable_adapter():
            base = net(torch.tensor([text])).logits[0, -1]
    torch.testing.assert_close(logits, own, atol=1e-4, rtol=1e-4)
    assert (own - base).abs().max() > 0.1


@pytest.mark.parametrize("family", CONFIGS)
def test_greedy_decoding_equals_generate(family):
    net = model(CONFIGS[family])
    served = engine(net)
    prompts = [list(range(3, 15)), [7], list(range(50, 20, -2))]
    rows = [served.cache.seat(40) for _ in prompts]
    tokens = served.feed(rows, prompts).argmax(-1)
    said = [[int(token)] for token in tokens]
    for _ in range(19):
        tokens = served.feed(rows, [ids[-1:] for ids in said]).argmax(-1)
        for ids, token in zip(said, tokens, strict=True):
            ids.append(int(token))
    for prompt, ids in zip(prompts, said, strict=True):
        expected = net.generate(torch.tensor([prompt]), max_new_tokens=20, do_sample=False)[0, len(prompt) :]
        assert ids == expected.tolist()
        assert len(set(ids)) > 2, "a model that repeats itself hides errors"


def test_the_model_keeps_its_own_kernel_for_training():
    net = model(CONFIGS["qwen3"])
    served = engine(net)
    with torch.no_grad():
        before = net(torch.tensor([[1, 2, 3]])).logits
        say(served, served.cache.seat(10), [1, 2, 3])
        after = net(torch.tensor([[1, 2, 3]])).logits
    assert net.config._attn_implementation == "eager"
    assert torch.equal(before, after)


def test_a_forward_that_fails_leaves_the_kernel_as_it_was(monkeypatch):
    net = model(CONFIGS["qwen3"])
    served = engine(net)
    row = served.cache.seat(10)
    monkeypatch.setattr(attention, "scaled_dot_product_attention", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        say(served, row, [1, 2, 3])
    assert net.config._attn_implementation == "eager"


def test_rows_that_move_and_prefixes_that_are_copied_stay_the_same():
    net = model(CONFIGS["gemma3"], max_position_embeddings=8192)
    served = engine(net, context=4096)
    text = torch.randint(101, (700,), generator=torch.Generator().manual_seed(2)).tolist()
    with torch.no_grad():
        plain = net(torch.tensor([text])).logits[0, -1]
    others = [served.cache.seat(20) for _ in range(20)]
    row, twin = served.cache.seat(250), served.cache.seat(690)
    say(served, row, text[:250])
    served.cache.drop(others[3])  # the last row of the shelf takes its place
    assert served.cache.grow(row, 700)
    say(served, row, text[250:600])
    served.cache.copy(row, twin, 600)
    twin.length = 600
    assert served.cache.grow(twin, 700)
    for one in (row, twin):
        (logits,) = say(served, one, text[600:])
        torch.testing.assert_close(logits, plain, atol=1e-4, rtol=1e-4)


def test_sampling_under_autocast_and_in_half_precision_stays_near():
    net = model(CONFIGS["qwen3"], initializer_range=0.1)
    text = list(range(60))
    with torch.no_grad():
        plain = net(torch.tensor([text])).logits[0, -1].log_softmax(-1)
    with torch.autocast("cpu", torch.bfloat16):
        served = engine(net)
        auto = say(served, served.cache.seat(60), text[:-1], text[-1:])[-1]
    half = engine(model(CONFIGS["qwen3"], initializer_range=0.1).bfloat16())
    cast = say(half, half.cache.seat(60), text[:-1], text[-1:])[-1]
    for logits in (auto, cast):
        assert 1e-6 < (logits.float().log_softmax(-1) - plain).abs().max() < 0.05


def test_weights_are_cast_while_it_acts_and_are_their_own_again_after():
    net = model(CONFIGS["gemma3"], tie_word_embeddings=True, initializer_range=0.1)
    own = dict(net.named_parameters())
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    served = Engine(net, 128, 1.0, torch.bfloat16)
    text = list(range(60))
    for _ in range(2):
        with torch.no_grad():
            plain = net(torch.tensor([text])).logits[0, -1].log_softmax(-1)
        logits = say(served, served.cache.seat(60), text)[0]
        assert {parameter.dtype for parameter in net.parameters()} == {torch.bfloat16}
        assert 1e-6 < (logits.float().log_softmax(-1) - plain).abs().max() < 0.05
        served.close()
        assert dict(net.named_parameters()) == own
        net(torch.tensor([text]), labels=torch.tensor([text])).loss.backward()
        optimizer.step()  # the next round acts with what was learned


def test_memory_is_bounded_follows_the_tokens_and_is_given_back():
    served = engine(model(CONFIGS["llama"]), context=512, cache_gb=0.05)
    cache = served.cache
    assert cache.token_bytes == 4 * 2 * 2 * 8 * 4
    page = cache.page_tokens * cache.token_bytes
    rows = []
    while row := cache.seat(100):
        rows.append(row)
    assert 0.05 * 2**30 - page < cache.allocated <= 0.05 * 2**30
    assert cache.allocated / len(rows) <= 256 * cache.token_bytes, "what an idle slot takes"
    assert not cache.grow(rows[0], 500)
    for row in rows[1:]:
        cache.drop(row)
    assert cache.grow(rows[0], 500)
    assert cache.seat(300)
    served.close()
    assert served.cache.allocated == 0


def test_a_budget_that_holds_no_conversation_is_refused():
    with pytest.raises(UserError, match=r"policy\.cache_gb to 0\.0039"):
        engine(model(CONFIGS["llama"]), cache_gb=0.002).cache.seat(5)


@pytest.mark.parametrize(
    ("config", "changes", "message"),
    [
        (CONFIGS["qwen3"], {"layer_types": ["full_attention", "linear_attention"] * 2}, "linear_attention"),
        (CONFIGS["gemma3"], {"use_bidirectional_attention": True}, "looks ahead"),
        (CONFIGS["llama"], {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}}, "dynamic"),
        (MambaConfig(vocab_size=101, hidden_size=32, num_hidden_layers=2), {}, "linear_attention"),
        (BloomConfig(vocab_size=101, hidden_size=32, n_layer=2, n_head=4), {}, "BloomForCausalLM"),
    ],
)
def test_a_model_that_it_would_serve_wrongly_is_refused(config, changes, message):
    with pytest.raises(UserError, match=message):
        engine(model(config, **changes))


def test_a_layer_that_asks_for_more_than_the_kernel_does_is_refused():
    rope = {"rope_type": "default", "rope_theta": 1e4}
    small = SHAPE | WINDOW | {"num_local_experts": 2, "num_experts_per_tok": 1, "rope_parameters": rope}
    served = engine(model(GptOssConfig(**small, layer_types=MIXED)))
    with pytest.raises(UserError, match="sinks"):
        served.cache.seat(5)


def test_windows_of_a_family_without_layer_types_are_seen():
    net = model(Phi3Config(**{k: v for k, v in SHAPE.items() if k != "head_dim"}, sliding_window=6))
    text = list(range(2, 40))
    served = engine(net)
    logits = say(served, served.cache.seat(60), text)[0]
    with torch.no_grad():
        torch.testing.assert_close(logits, net(torch.tensor([text])).logits[0, -1], atol=1e-4, rtol=1e-4)
