"""A token's text is its own: blanks before it stay, and half characters wait for their other half."""

from pathlib import Path

from tokenizers import Tokenizer

from agenttrain.report.tokens import Words

TINY = Path(__file__).parents[2] / "agenttrain/model/tiny_tokenizer"


def test_pieces_join_to_the_text_with_special_tokens_and_characters_of_many_bytes():
    words = Words([TINY])
    text = "<|user|>in c1 \u00fc \U0001f600 go<|end|>"
    ids = Tokenizer.from_file(str(TINY / "tokenizer.json")).encode(text, add_special_tokens=False).ids
    pieces = words.pieces(ids)
    assert len(pieces) == len(ids)
    assert "".join(pieces) == text
    assert words.text(ids) == text
    assert pieces[0] == "<|user|>"
    assert "\U0001f600" in pieces
    assert words.pieces(ids[:-1])[-1] != ""


def test_half_a_character_at_the_end_is_not_lost():
    words = Words([TINY])
    ids = Tokenizer.from_file(str(TINY / "tokenizer.json")).encode("\U0001f600", add_special_tokens=False).ids
    assert len(ids) > 1
    assert words.pieces(ids[:-1])[-1].endswith("\ufffd")


def test_the_first_place_with_a_tokenizer_counts(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{}")
    assert not Words([tmp_path / "none"]).known
    assert not Words([tmp_path]).known
    assert Words([tmp_path / "none", tmp_path, TINY]).known


def test_without_a_tokenizer_tokens_are_numbers():
    words = Words([])
    assert words.pieces([5, 7]) == ["#5", "#7"]
    assert words.text([5, 7]) == "#5 #7"
