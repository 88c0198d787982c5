"""The translator knows phrases, then words, and does not guess."""

import json
from datetime import date

import pytest

from agenttrain.tool.translator import Translator

DAY = date(2023, 1, 30)


@pytest.fixture
def translator(tmp_path):
    file = tmp_path / "dictionary.jsonl"
    pairs = [("Sûreté nucléaire", "nuclear safety"), ("chat", "cat"), ("noir", "black"), ("chat", "talk")]
    file.write_text("".join(json.dumps({"text": a, "translation": b}) + "\n" for a, b in pairs))
    return Translator(path=str(file))


@pytest.mark.parametrize(
    ("phrase", "english"),
    [("SÛRETÉ nucléaire", "nuclear safety"), ("chat noir", "cat black"), ("chat blanc", None), ("", None)],
)
def test_a_phrase_as_a_whole_else_word_by_word(translator, phrase, english):
    assert translator.run(phrase, DAY) == english
