"""The search gives the best passage of a local corpus."""

import json
from datetime import date

import pytest

from agenttrain.errors import UserError
from agenttrain.tool.search import Search

DAY = date(2023, 1, 30)


@pytest.fixture
def corpus(tmp_path):
    file = tmp_path / "corpus.jsonl"
    passages = [("Ada", "Ada wrote the first program."), ("Otto", "Otto built a bridge over the wide grey river.")]
    file.write_text("".join(json.dumps({"title": title, "text": text}) + "\n" for title, text in passages))
    return str(file)


def test_it_gives_the_best_passage(corpus):
    assert Search(path=corpus).run("who wrote the first program", DAY) == "Ada: Ada wrote the first program."


def test_a_long_passage_is_cut_at_a_word(corpus):
    assert Search(path=corpus, max_chars=22).run("bridge", DAY) == "Otto: Otto built a"


def test_words_that_no_passage_has_find_nothing(corpus):
    assert Search(path=corpus).run("zebra", DAY) is None
    assert Search(path=corpus).run("", DAY) is None


def test_a_corpus_of_another_form_is_told(tmp_path):
    (tmp_path / "wrong.jsonl").write_text('{"question": "?"}\n')
    with pytest.raises(UserError, match="'title' is missing"):
        Search(path=str(tmp_path / "wrong.jsonl")).run("x", DAY)
