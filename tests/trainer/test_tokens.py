"""Which tokens carry loss."""

import pytest

from agenttrain.errors import UserError
from agenttrain.model.tiny import Tiny
from agenttrain.trainer.tokens import IGNORED, Tokens, label_example, widen

from .records import call, episode, recorded


@pytest.fixture(scope="module")
def chat():
    return Tiny(layers=1, hidden=32, heads=1, kv_heads=1, intermediate=32).load().chat


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


TWO_TURNS = Tokens([0] * 7, [0] * 7, [-1, 0, 0, -1, 1, 1, 1])


def test_an_advantage_stands_on_every_sampled_token_of_its_turn_and_on_no_other():
    assert widen([2.0, -1.0], TWO_TURNS) == [0, 2, 2, 0, -1, -1, -1]


def test_a_turn_may_have_an_advantage_for_each_token():
    assert widen([2.0, [1.0, 0.5, 0.25]], TWO_TURNS) == [0, 2, 2, 0, 1, 0.5, 0.25]
    with pytest.raises(UserError, match="gave 2 advantages for the 3 tokens sampled in turn 1"):
        widen([2.0, [1.0, 0.5]], TWO_TURNS)


def test_weighted_by_turn_a_long_turn_counts_as_much_as_a_short_one():
    wide = widen([2.0, 2.0], TWO_TURNS, "turn")
    assert sum(wide[1:3]) == pytest.approx(sum(wide[4:]))
    assert sum(wide) == pytest.approx(sum(widen([2.0, 2.0], TWO_TURNS)))
    assert wide == pytest.approx([0, 2.5, 2.5, 0, 5 / 3, 5 / 3, 5 / 3])
    assert widen([2.0], Tokens([0] * 3, [0] * 3, [-1, 0, 0]), "turn") == [0, 2, 2], "one turn has nothing to share"


def test_an_episode_without_a_sampled_token_has_no_weight_to_share():
    assert widen([], Tokens([0, 0], [IGNORED] * 2, [-1, -1]), "turn") == [0, 0]
