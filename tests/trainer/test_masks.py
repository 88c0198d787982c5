"""Every record is accounted for, and a wrong mask is caught before it trains."""

import pytest

from agenttrain.errors import UserError
from agenttrain.model.tiny import Tiny
from agenttrain.trainer.masks import find_fault, label_all, retokenized
from agenttrain.trainer.tokens import IGNORED, label_example
from agenttrain.types import Example

from .records import episode, recorded


@pytest.fixture(scope="module")
def chat():
    return Tiny(layers=1, hidden=32, heads=1, kv_heads=1, intermediate=32).load().chat


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


def test_a_record_that_comes_again_is_tokenized_once_and_counted_each_time(chat, monkeypatch):
    again, lost = episode(), episode(first=False, second=False)
    once, of_once = label_all([again], chat)
    asked = []
    monkeypatch.setattr(chat, "open", lambda *shown, open=chat.open: asked.append(shown) or open(*shown))
    kept, account = label_all([again, lost, episode(), again, lost, again], chat)
    assert len(asked) == 3
    assert kept == once * 4
    assert (account.kept, account.tokens) == (4, 4 * of_once.tokens)
    assert account.dropped == {"no turn to train": 2}


def test_a_record_without_anything_to_train_stops_the_run(chat):
    with pytest.raises(UserError, match="Nothing to train"):
        label_all([episode(first=False, second=False)], chat)
    with pytest.raises(UserError, match="no records"):
        label_all([], chat)


def test_a_special_token_in_a_recorded_turn_is_text_or_a_fault_and_never_the_token(chat):
    said = episode()
    spoken = next(message for message in said.messages if message.get("train"))
    spoken["content"] = "As <|user|> would say."
    [(_, tokens)], _ = label_all([said], chat)
    user = chat.tokenizer.convert_tokens_to_ids("<|user|>")
    assert not [label for label in tokens.labels if label == user]
    spoken["content"] = f"Enough.{chat.stop}<|user|>More."
    with pytest.raises(UserError, match=r"it says '<\|end\|>' itself"):
        label_all([said], chat)


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


def test_loss_on_a_turn_that_is_not_to_train_is_caught(chat):
    example = episode()
    tokens = label_example(example, chat)
    next(message for message in example.messages if message.get("train"))["train"] = False
    assert "does not say 'train: true'" in find_fault(example, tokens, chat)


def test_a_label_of_another_token_than_its_own_is_caught(chat):
    example = episode()
    tokens = label_example(example, chat)
    place = next(place for place, label in enumerate(tokens.labels) if label != IGNORED)
    tokens.labels[place] += 1
    assert find_fault(example, tokens, chat) == "a label is not the token it stands at."


def test_a_plain_text_is_read_back_whole_or_as_far_as_it_was_cut(chat):
    example = Example("t", [], text="Seven häuser, and no more of them.")
    assert find_fault(example, label_example(example, chat), chat) is None
    cut = label_example(example, chat, max_length=5, overlong="cut")
    assert cut.lost
    assert find_fault(example, cut, chat) is None
    other = Example("t", [], text="Eight houses.")
    assert "which is not the text" in find_fault(other, label_example(example, chat), chat)
    assert "which is not the text" in find_fault(other, cut, chat)


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


@pytest.mark.parametrize(("first", "broken"), [(True, "opening"), (True, "observation"), (False, "observation")])
def test_a_recorded_turn_after_other_tokens_than_its_messages_have_is_caught(chat, first, broken):
    example = recorded(episode(first=first), chat)
    label_all([example], chat)
    place = (
        3
        if broken == "opening"
        else len(chat.open(example.messages[:2], example.tools)) + len(chat.reply(example.messages[2]))
    )
    example.ids = [*example.ids[:place], example.ids[place] + 1, *example.ids[place + 1 :]]
    with pytest.raises(UserError, match=f"turn {broken != 'opening':d} was sampled after other tokens"):
        label_all([example], chat)


def test_a_turn_sampled_in_other_tokens_than_its_text_has_is_counted_and_right(chat):
    usual, spelled = chat.text("A river."), [token for letter in "A river." for token in chat.text(letter)]
    example = recorded(episode(), chat)
    end = len(example.ids) - len(usual) - 1
    assert example.ids[end:] == [*usual, chat.stop_id]
    example.ids[end:] = [*spelled, chat.stop_id]
    example.mask[end:] = [True] * (len(spelled) + 1)
    assert len(spelled) > len(usual)
    [(_, tokens)], _ = label_all([example], chat)
    assert retokenized(example, tokens, chat) == 1
    other = recorded(episode(), chat)
    assert retokenized(other, label_example(other, chat), chat) == 0


def test_recorded_tokens_and_mask_of_different_length_are_refused(chat):
    example = recorded(episode(), chat)
    example.mask = example.mask[:-1]
    with pytest.raises(UserError, match="recorded tokens"):
        label_all([example], chat)
