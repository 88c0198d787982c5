"""Which document stands beside a request, and what the right answer then is."""

import pytest

from agenttrain.errors import UserError
from agenttrain.gorilla.documents import Document
from agenttrain.gorilla.invented import invented
from agenttrain.gorilla.pairs import Pair
from agenttrain.gorilla.rat import REFERENCE, Rat

DOCUMENTS = tuple(invented(0, 200))
PAIRS = [Pair(f"{one.id}#{n}", f"I need {one.record['functionality']}.", one) for n in range(2) for one in DOCUMENTS]


def prompts(**settings):
    rat = Rat(**settings)
    return [(pair, rat.prompt(pair, DOCUMENTS, 0)) for pair in PAIRS]


def test_none_shows_the_request_alone():
    for pair, prompt in prompts(document="none", doc_perturb=1.0):
        assert prompt.messages[-1] == {"role": "user", "content": pair.request}
        assert (prompt.wanted, prompt.shown) == (pair.document, None)


def test_oracle_shows_the_right_document():
    for pair, prompt in prompts(document="oracle"):
        assert prompt.messages[-1]["content"] == pair.request + REFERENCE + pair.document.text(2000)
        assert prompt.wanted is pair.document


def test_bm25_finds_the_document_that_a_request_is_about():
    right = [prompt.shown is pair.document for pair, prompt in prompts(document="bm25")]
    assert sum(right) > 0.95 * len(right)


def test_mix_has_the_shares_that_it_is_told_and_wrong_documents_leave_the_answer_right():
    found = prompts(document="mix", none=0.3, distractors=0.2)
    kinds = [
        "none" if not prompt.shown else "right" if prompt.shown is pair.document else "wrong" for pair, prompt in found
    ]
    assert {kind: round(kinds.count(kind) / len(kinds), 1) for kind in kinds} == {
        "none": 0.3,
        "wrong": 0.2,
        "right": 0.5,
    }
    assert all(prompt.wanted is pair.document for pair, prompt in found)


def test_a_renamed_api_is_wanted_by_its_new_call_and_only_where_its_document_is_shown():
    found = prompts(document="mix", none=0.3, distractors=0.2, doc_perturb=0.5)
    renamed = [(pair, prompt) for pair, prompt in found if prompt.wanted is not pair.document]
    assert 0.2 < len(renamed) / len(found) < 0.3
    for pair, prompt in renamed:
        assert prompt.wanted.call != pair.document.call
        assert prompt.wanted.call in prompt.messages[-1]["content"]
        assert pair.document.call not in prompt.messages[-1]["content"]
    assert len({prompt.wanted.call for _, prompt in renamed}) > 0.95 * len(renamed)


def test_equal_seeds_give_equal_prompts_and_others_others():
    rat = Rat(document="mix", doc_perturb=0.5)
    first, again, other = ([rat.prompt(pair, DOCUMENTS, seed).messages for pair in PAIRS] for seed in (0, 0, 1))
    assert first == again != other


def test_a_wrong_document_is_found_behind_many_of_the_same_api():
    copies = [Document(f"{n}", {"api_call": "f('a')", "functionality": "bird bird bird"}) for n in range(50)]
    other = Document("other", {"api_call": "f('b')", "functionality": "one bird among many other things"})
    prompt = Rat(document="mix", none=0.0, distractors=1.0).prompt(Pair("1", "bird", copies[0]), (*copies, other), 0)
    assert prompt.shown is other


def test_shares_that_are_more_than_all_are_an_error():
    with pytest.raises(UserError, match="more than all"):
        Rat(document="mix", none=0.7, distractors=0.5)


@pytest.mark.parametrize("kind", ["oracle", "bm25", "mix"])
def test_a_long_document_is_cut(kind):
    long = Document("long", {"api_call": "f('a')", "functionality": "bird " * 1000})
    prompt = Rat(document=kind, none=0.0, distractors=0.0, max_chars=50).prompt(Pair("1", "bird", long), (long,), 0)
    assert len(prompt.messages[-1]["content"]) == len("bird" + REFERENCE) + 50
