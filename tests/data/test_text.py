"""Plain texts are read, counted, and trained on every token."""

import json

import pytest

from agenttrain.data.text import Text
from agenttrain.errors import UserError
from agenttrain.model.tiny import Tiny
from agenttrain.trainer.masks import find_fault, label_all
from agenttrain.trainer.tokens import label_example


@pytest.fixture(scope="module")
def chat():
    return Tiny(layers=1, hidden=32, heads=2, kv_heads=1, head_dim=16, intermediate=32).load().chat


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "texts.jsonl"
    texts = ["One [Calculator(1) -> 1] 1.", "Größe → <|end|> 4", " ", "One [Calculator(1) -> 1] 1.", "Two."]
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return str(path)


def test_every_text_is_kept_or_dropped_for_a_reason(file):
    data = Text(path=file)
    assert [example.text for example in data][1:] == ["Größe → <|end|> 4", "Two."]
    assert (data.report.records, data.report.kept) == (5, 3)
    assert data.report.dropped == {"empty": 1, "duplicate": 1}
    assert sum(1 for _ in Text(path=[file, file], duplicates=True)) == 8


def test_a_share_is_drawn_by_its_seed(file):
    chosen = [tuple(e.text for e in Text(path=file, share=0.6, seed=seed)) for seed in range(8)]
    assert chosen == [tuple(e.text for e in Text(path=file, share=0.6, seed=seed)) for seed in range(8)]
    assert len(set(chosen)) > 1


def test_a_file_of_another_form_or_of_nothing_is_told(tmp_path):
    (tmp_path / "other.jsonl").write_text('{"question": "?"}\n')
    (tmp_path / "empty.jsonl").write_text('{"text": ""}\n')
    with pytest.raises(UserError, match="'text' is missing"):
        list(Text(path=str(tmp_path / "other.jsonl")))
    with pytest.raises(UserError, match="empty: 1"):
        list(Text(path=str(tmp_path / "empty.jsonl")))


def test_all_of_a_text_and_its_end_carry_loss_and_nothing_in_it_becomes_a_special_token(file, chat):
    for example in Text(path=file):
        tokens = label_example(example, chat)
        assert tokens.labels == tokens.ids
        assert chat.tokenizer.decode(tokens.ids[:-1]) == example.text
        assert [token for token in tokens.ids if token in chat.stop_ids] == tokens.ids[-1:]
        assert find_fault(example, tokens, chat) is None


def test_a_text_that_is_too_long_is_cut_on_request_and_counted(file, chat):
    _, account = label_all(Text(path=file), chat, max_length=10, overlong="cut")
    assert (account.kept, account.truncated > 0, account.lost > 0) == (3, True, True)


def test_a_wrong_token_in_a_text_is_found(file, chat):
    example = next(iter(Text(path=file)))
    tokens = label_example(example, chat)
    tokens.ids[1] = tokens.labels[1] = tokens.ids[1] + 1
    assert "is not the text" in (find_fault(example, tokens, chat) or "")
