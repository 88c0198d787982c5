"""Which tokens carry loss, and whether a wrong mask is caught."""

import pytest

from agenttrain.errors import UserError
from agenttrain.model.tiny import Tiny
from agenttrain.trainer.tokens import IGNORED, find_fault, label_all, label_example
from agenttrain.types import Example

SEARCH = {
    "type": "function",
    "function": {
        "name": "search",
        "description": "Search.",
        "parameters": {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
    },
}


@pytest.fixture(scope="module")
def chat():
    return Tiny(layers=1, hidden=32, heads=1, kv_heads=1, intermediate=32).load().chat


def call(query, train=True):
    function = {"name": "search", "arguments": {"query": query}}
    return {
        "role": "assistant",
        "content": "Look.",
        "tool_calls": [{"type": "function", "id": "c", "function": function}],
        "train": train,
    }


def episode(observation="A river in Peru.", first=True, second=True):
    return Example(
        "e",
        [
            {"role": "system", "content": "Answer."},
            {"role": "user", "content": "What is the Urubamba?"},
            call("Urubamba", first),
            {"role": "tool", "name": "search", "content": observation},
            {"role": "assistant", "content": "A river.", "train": second},
            {"role": "user", "content": "Observation: Episode finished, reward = True"},
        ],
        tools=[SEARCH],
    )


def recorded(example, chat, also=()):
    """The same record as a policy with this tokenizer would have left it; tokens at `also` are marked too."""
    tokens = label_example(example, chat)
    mask = [label != IGNORED or place in also for place, label in enumerate(tokens.labels)]
    return Example("r", example.messages, example.tools, ids=tokens.ids, mask=mask)


def test_exactly_the_replies_carry_loss_with_their_stop_tokens(chat):
    example = episode()
    tokens = label_example(example, chat)
    replies = [chat.reply(message) for message in example.messages if message["role"] == "assistant"]
    assert [ids for _, ids in tokens.runs()] == replies
    assert [turn for turn, _ in tokens.runs()] == [0, 1]
    assert all(ids[-1] == chat.stop_id for ids in replies)
    shown = chat.tokenizer.decode([i for i, label in zip(tokens.ids, tokens.labels, strict=True) if label == IGNORED])
    assert "A river in Peru." in shown
    assert "What is the Urubamba?" in shown


def test_what_follows_the_last_trained_turn_is_left_out(chat):
    tokens = label_example(episode(), chat)
    assert "Episode finished" not in chat.tokenizer.decode(tokens.ids)
    assert tokens.labels[-1] == chat.stop_id


def test_an_untrained_turn_is_shown_and_carries_no_loss(chat):
    tokens = label_example(episode(first=False), chat)
    assert [turn for turn, _ in tokens.runs()] == [1]
    assert chat.reply(call("Urubamba"))[0] in [i for i, turn in zip(tokens.ids, tokens.turn, strict=True) if turn == 0]
    assert label_example(episode(second=False), chat).turn[-1] == 0


def test_another_observation_leaves_every_label_as_it_was(chat):
    one, other = label_example(episode(), chat), label_example(episode("Nothing found, try another query."), chat)
    assert one.ids != other.ids
    assert one.runs() == other.runs()


def test_recorded_tokens_are_used_as_they_are(chat):
    example = recorded(episode(), chat)
    tokens = label_example(example, chat)
    assert tokens.ids == example.ids
    assert [turn for turn, _ in tokens.runs()] == [0, 1]
    only_second = recorded(episode(first=False), chat)
    assert [turn for turn, _ in label_example(only_second, chat).runs()] == [1]


def test_an_overlong_record_keeps_whole_turns_or_what_fits(chat):
    example = episode()
    whole = label_example(example, chat)
    first_ends = max(place for place, turn in enumerate(whole.turn) if turn == 0) + 1
    limit = len(whole.ids) - 1
    by_turn = label_example(example, chat, limit, "turn")
    assert len(by_turn.ids) == first_ends
    assert by_turn.lost == len(whole.runs()[1][1])
    cut = label_example(example, chat, limit, "cut")
    assert len(cut.ids) == limit
    assert cut.lost == 1
    assert label_example(example, chat, len(whole.ids)).lost == 0
    assert label_example(example, chat, first_ends).ids == whole.ids[:first_ends]


def test_the_account_counts_what_was_kept_cut_and_dropped(chat):
    whole = label_example(episode(), chat)
    examples = [episode(), episode("long " * 200), episode(first=False, second=False), episode("long", first=False)]
    kept, account = label_all(examples, chat, max_length=len(whole.ids) + 20)
    assert (account.records, account.kept, account.truncated) == (4, 3, 1)
    assert account.dropped == {"no turn to train": 1}
    assert account.tokens == sum(len(tokens.ids) for _, tokens in kept)
    assert account.trained == sum(tokens.trained for _, tokens in kept)
    with pytest.raises(UserError, match="no turn fits into max_length: 1"):
        label_all([episode()], chat, max_length=10)


def test_a_record_without_anything_to_train_stops_the_run(chat):
    with pytest.raises(UserError, match="Nothing to train"):
        label_all([episode(first=False, second=False)], chat)
    with pytest.raises(UserError, match="no records"):
        label_all([], chat)


def test_a_mask_of_all_ones_is_caught(chat):
    example = episode()
    tokens = label_example(example, chat)
    assert find_fault(example, tokens, chat) is None
    tokens.labels = list(tokens.ids)
    assert "outside the assistant's turns" in find_fault(example, tokens, chat)
    everything = range(10**6)
    with pytest.raises(UserError, match="1 of 1 records have a wrong mask"):
        label_all([recorded(example, chat, also=everything)], chat)


def test_one_observation_token_under_loss_is_caught(chat):
    tokens = label_example(episode(), chat)
    after_stop = tokens.labels.index(chat.stop_id) + 1
    with pytest.raises(UserError, match="is not its message"):
        label_all([recorded(episode(), chat, also=[after_stop])], chat)
    opening = recorded(episode(), chat, also=[0])
    with pytest.raises(UserError, match="wrong mask"):
        label_all([opening], chat)


def test_an_untrained_stop_token_is_caught(chat):
    example = episode()
    tokens = label_example(example, chat)
    tokens.labels[tokens.labels.index(chat.stop_id)] = IGNORED
    assert "stop token of turn 0" in find_fault(example, tokens, chat)
    example = recorded(example, chat)
    example.mask = [sampled and token != chat.stop_id for sampled, token in zip(example.mask, example.ids, strict=True)]
    with pytest.raises(UserError, match="stop token"):
        label_all([example], chat)


def test_text_that_tokenizing_changes_is_caught(chat):
    stop = chat.tokenizer.decode([chat.stop_id])
    example = Example(
        "x", [{"role": "user", "content": "q"}, {"role": "assistant", "content": f"a{stop}b", "train": True}]
    )
    with pytest.raises(UserError, match="wrong mask"):
        label_all([example], chat)


def test_recorded_tokens_and_mask_of_different_length_are_refused(chat):
    example = recorded(episode(), chat)
    example.mask = example.mask[:-1]
    with pytest.raises(UserError, match="recorded tokens"):
        label_all([example], chat)
