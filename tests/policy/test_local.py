import re
import time

import numpy as np
import pytest
import torch

from agenttrain.errors import UserError
from agenttrain.model.tiny import Tiny
from agenttrain.policy import cache
from agenttrain.policy.local import Local
from agenttrain.policy.sampling import sample
from agenttrain.rollout import Limits, attempts, rollout
from agenttrain.types import Conversation, Observation, Task


class Echo:
    """Answers with texts of ragged length, some slowly, for six turns."""

    def __init__(self, slow=0.0):
        self.slow = slow

    def episode(self, task, seed):
        return EchoEpisode(self.slow, task)


TOOLS = [{"type": "function", "function": {"name": "say", "parameters": {"type": "object", "properties": {}}}}]


class EchoEpisode:
    def __init__(self, slow, task):
        self.slow, self.task, self.count, self.tools = slow, task, 0, TOOLS

    def start(self):
        return self.task.messages

    def step(self, action):
        self.count += 1
        time.sleep(self.slow * ((len(self.task.id) + self.count * 7) % 3))
        text = f"{self.task.id} " * ((self.count * 5 + len(self.task.id)) % 7)
        return Observation([{"role": "user", "content": text}], done=self.count == 6)

    def close(self):
        pass


TASKS = [Task("ab" * i, [{"role": "user", "content": "Speak. " * i}]) for i in range(1, 8)]


@pytest.fixture(scope="module")
def tiny():
    torch.set_num_threads(1)
    loaded = Tiny(layers=2, hidden=64, heads=2, kv_heads=1, intermediate=128).load()
    # A random model almost never says its stop token; here one in four tokens ends an action, so turns are ragged.
    loaded.chat.stop_ids = frozenset(range(0, 4096, 4))
    return loaded


def play(tiny, env=None, per_task=3, **options):
    policy = Local(**options)
    policy.attach(tiny.model, tiny.chat)
    done = list(rollout(attempts(TASKS, per_task), env or Echo(), policy, Limits(max_tokens=40, malformed=9)))
    assert not policy.seats.seated
    assert not policy.speakers
    return {(t.task.id, t.attempt): t for t in done}


def sampled(trajectories):
    return {key: [turn.action.token_ids for turn in t.turns] for key, t in trajectories.items()}


def sequence(trajectory):
    """All tokens, and for each whether it was sampled, its log-prob and entropy as recorded."""
    ids, mask, logprobs, entropies = [], [], [], []
    for turn in trajectory.turns:
        action = turn.action
        ids += action.prompt_ids + action.token_ids
        blank = [0.0] * len(action.prompt_ids)
        mask += [False] * len(action.prompt_ids) + [True] * len(action.token_ids)
        logprobs += blank + action.logprobs
        entropies += blank + action.entropies
    return torch.tensor(ids), torch.tensor(mask), torch.tensor(logprobs), torch.tensor(entropies)


@pytest.mark.parametrize(("temperature", "slots"), [(1.0, 64), (0.7, 5)])
def test_logprobs_and_entropies_are_those_of_a_plain_forward_pass(tiny, temperature, slots):
    trajectories = play(tiny, temperature=temperature, slots=slots)
    lengths = {len(turn.action.token_ids) for t in trajectories.values() for turn in t.turns}
    assert len(lengths) > 5, "turns must be ragged for this test to say anything"
    for trajectory in trajectories.values():
        ids, mask, logprobs, entropies = sequence(trajectory)
        with torch.no_grad():
            reference = (tiny.model(ids[None]).logits[0, :-1].float() / temperature).log_softmax(-1)
        expected = reference.gather(-1, ids[1:, None])[:, 0]
        assert torch.allclose(expected[mask[1:]], logprobs[1:][mask[1:]], atol=1e-4)
        entropy = -(reference.exp() * reference).sum(-1)
        assert torch.allclose(entropy[mask[1:]], entropies[1:][mask[1:]], atol=1e-3)


def test_greedy_decoding_equals_transformers_generate(tiny):
    trajectories = play(tiny, temperature=0.0, per_task=1)
    for trajectory in trajectories.values():
        action = trajectory.turns[0].action
        expected = tiny.model.generate(
            torch.tensor([action.prompt_ids]), max_new_tokens=len(action.token_ids), do_sample=False, eos_token_id=None
        )[0, len(action.prompt_ids) :]
        assert action.token_ids == expected.tolist()


def test_sampling_does_not_depend_on_who_is_served_beside_or_on_the_order_of_answers(tiny):
    expected = sampled(play(tiny, slots=64))
    assert sampled(play(tiny, slots=3)) == expected
    assert sampled(play(tiny, Echo(slow=0.01), slots=64)) == expected
    assert sampled(play(tiny, chunk=7)) == expected
    attempts_of_one = {tuple(map(tuple, ids)) for (task, _), ids in expected.items() if task == "ab"}
    assert len(attempts_of_one) == 3, "attempts at one task must differ"


@pytest.mark.parametrize("slow", [0.0, 0.003])
def test_who_gives_way_when_the_cache_is_full_says_the_same_in_the_end(tiny, monkeypatch, caplog, slow):
    expected = sampled(play(tiny))
    monkeypatch.setattr(cache, "PAGE", 512)
    monkeypatch.setattr(cache, "SHORTEST", 64)
    memory = 2 * 512 * 2 * 2 * 32 * 2 * 4  # pages, tokens, layers, keys and values, dim, bytes
    assert sampled(play(tiny, Echo(slow), context=512, cache_gb=(memory + 1) / 2**30)) == expected
    times, tokens = re.search(r"(\d+) times a conversation gave way, and (\d+) tokens", caplog.text).groups()
    assert int(tokens) > int(times) > 5


def test_two_who_gave_way_while_one_waited_for_the_other_both_go_on(tiny):
    policy = Local(chunk=16)
    policy.attach(tiny.model, tiny.chat)
    old, young = (Conversation(name, [{"role": "user", "content": "x" * 300}], [], 1, max_tokens=9) for name in "ab")
    policy.submit(old)
    while not (spoken := policy.poll(timeout=9.0)):
        pass
    old.messages += [spoken[0][1].message, {"role": "user", "content": "Go on."}]
    policy.seats._evict(policy.speakers[old])
    policy.submit(young)
    policy._step()  # reads a piece of what both share
    policy.submit(old)
    policy._step()  # is older, and waits for the rest of it
    policy.seats._evict(policy.speakers[young])
    done = [speaker for _ in range(200) for speaker in policy._step()]
    assert {speaker.conversation for speaker in done} == {old, young}
    policy.release(old)
    policy.release(young)


def counted(policy, monkeypatch):
    """The lengths of what each later forward pass is fed."""
    fed, feed = [], policy.engine.feed
    monkeypatch.setattr(policy.engine, "feed", lambda rows, new: fed.append(list(map(len, new))) or feed(rows, new))
    return fed


def test_a_long_text_is_read_in_chunks_while_others_decode(tiny, monkeypatch):
    policy = Local(chunk=16)
    policy.attach(tiny.model, tiny.chat)
    fed = counted(policy, monkeypatch)
    for n in (1, 999):
        policy.submit(Conversation(str(n), [{"role": "user", "content": "x" * n}], [], seed=n, max_tokens=20))
    spoke = []
    while len(spoke) < 2:
        spoke += [conversation.id for conversation, _ in policy.poll(timeout=9.0)]
    assert max(map(sum, fed)) == 17, "one chunk and one token beside it"
    assert spoke[0] == "1", "who decodes does not wait for the long text"
    assert len([counts for counts in fed if sorted(counts) == [1, 16]]) > 2


def test_a_prompt_that_several_share_is_read_once(tiny, monkeypatch):
    policy = Local()
    policy.attach(tiny.model, tiny.chat)
    fed = counted(policy, monkeypatch)
    text = [{"role": "user", "content": "A long question. " * 20}]
    own = [{"role": "user", "content": "A long question. " * 20 + "And more."}]
    for n, messages in enumerate([text, text, text, own]):
        policy.submit(Conversation(str(n), messages, TOOLS, seed=n, max_tokens=1))
    done = [pair for _ in range(3) for pair in policy.poll(timeout=9.0)]
    assert len(done) == 4
    whole = len(policy.chat.open(text, TOOLS))
    assert sum(map(sum, fed)) < whole + 2 + 30, (
        f"the shared {whole} tokens once, two last ones, and the end of the other"
    )


def test_prompts_extend_what_was_said_before(tiny):
    chat = tiny.chat
    for trajectory in play(tiny).values():
        assert trajectory.turns[0].action.prompt_ids == chat.open(trajectory.messages, trajectory.tools)
        for before, turn in zip(trajectory.turns, trajectory.turns[1:], strict=False):
            assert turn.action.prompt_ids == chat.extend(before.observation.messages)


def test_a_conversation_that_outgrows_the_context_ends_as_max_tokens(tiny):
    trajectories = play(tiny, context=48)
    assert {t.stop for t in trajectories.values()} == {"max_tokens"}
    assert all(len(sequence(t)[0]) <= 49 for t in trajectories.values() if t.turns[-1].action.token_ids)


def test_the_model_acts_with_the_weights_it_has_now(tiny):
    policy = Local(temperature=0.0)
    policy.attach(tiny.model, tiny.chat)
    first = next(rollout(attempts(TASKS[:1]), Echo(), policy)).turns[0].action.token_ids
    with torch.no_grad():
        tiny.model.model.norm.weight.neg_()
    try:
        second = next(rollout(attempts(TASKS[:1]), Echo(), policy)).turns[0].action.token_ids
    finally:
        with torch.no_grad():
            tiny.model.model.norm.weight.neg_()
    assert first != second


def test_inverse_cdf_draws_each_token_as_often_as_its_probability():
    logits = torch.tensor([[2.0, 0.0, -1.0, -torch.inf]]).repeat(20000, 1)
    tokens, logprobs, _ = sample(logits, np.random.default_rng(0).random(20000), 1.0, 1.0)
    expected = torch.tensor([2.0, 0.0, -1.0]).softmax(0)
    share = np.bincount(tokens, minlength=4) / 20000
    assert share[3] == 0
    assert np.allclose(share[:3], expected.numpy(), atol=0.012)
    assert logprobs[0] == pytest.approx(float(expected[tokens[0]].log()), abs=1e-5)


def test_top_p_keeps_the_smallest_nucleus_and_renormalises():
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log().repeat(4000, 1)
    tokens, logprobs, entropies = sample(logits, np.random.default_rng(0).random(4000), 1.0, 0.7)
    assert set(tokens) == {0, 1}
    assert logprobs[tokens.index(1)] == pytest.approx(np.log(0.3 / 0.8), abs=1e-5)
    assert entropies[0] == pytest.approx(-(0.625 * np.log(0.625) + 0.375 * np.log(0.375)), abs=1e-5)


def test_a_draw_at_the_very_end_takes_the_last_possible_token():
    logits = torch.tensor([[0.0, 0.0, -torch.inf]])
    assert sample(logits, np.array([1 - 2**-53]), 1.0, 1.0)[0] == [1]


def test_without_a_model_it_says_what_to_set():
    with pytest.raises(UserError, match=r"model\.path"):
        list(rollout(attempts(TASKS[:1]), Echo(), Local()))


def test_a_poll_ends_with_its_time_so_that_who_is_answered_meanwhile_joins_the_batch(tiny):
    policy = Local()
    policy.attach(tiny.model, tiny.chat)
    conversation = Conversation("a", TASKS[0].messages, TOOLS, seed=3, max_tokens=40)
    policy.submit(conversation)
    polls = 0
    while not (ready := policy.poll(timeout=0.0)):
        polls += 1
    tokens = len(ready[0][1].token_ids)
    assert tokens > 3, "a longer action must be sampled for this test to say anything"
    assert polls >= tokens - 3
