"""Decoding: a call opens among the k likeliest, is executed once, and its result is what comes next."""

from datetime import date

import pytest

from agenttrain.tool.calculator import Calculator
from agenttrain.toolformer.decode import Decoder

DAY = date(2023, 1, 30)
TEXT = "Ada has 3 and 4, so"


def caller(rank, call=" [Calculator(3 + 4) ->", after=" seven in all."):
    """Says ` nine in all.`, with an opening as its `rank`-th choice after ` so`; once a call is answered, `after`."""

    def rule(text):
        if text == TEXT:
            choices = [" nine", " x", " y", " z"]
            return [*choices[: rank - 1], " [", *choices[rank - 1 :]]
        for line in (TEXT + call + " 7]" + after, TEXT + " nine in all."):
            if line.startswith(text):
                return [line[len(text) :]]
        return [""]

    return rule


def decode(loaded, k, **values):
    return Decoder(k=k, max_tokens=32, **values).write(loaded, [TEXT], [Calculator()], DAY)[0]


@pytest.mark.parametrize(
    ("rank", "k", "calls"), [(1, 1, True), (2, 1, False), (3, 3, True), (4, 3, False), (1, 0, False)]
)
def test_a_call_opens_if_its_opening_is_among_the_k_likeliest(says, rank, k, calls):
    found = decode(says(caller(rank)), k)
    assert (found.call is not None) == calls
    assert found.text == (" [Calculator(3 + 4) -> 7] seven in all." if calls else " nine in all.")
    assert found.said == (" seven in all." if calls else " nine in all.")


def test_a_call_is_made_once_also_where_the_model_would_open_another(says):
    again = " seven in all. So"

    def rule(text):
        return [" [", "."] if text.endswith(" So") else caller(1, after=again)(text)

    found = decode(says(rule), k=1)
    assert found.text.count("[") == 1
    assert found.said.startswith(again)


@pytest.mark.parametrize(
    "call", [" [Calculator(3 ** 4) ->", " [Search(3) ->", " [Calculator]", " [Calculator(3 + 4 + 4 + 4"]
)
def test_a_call_without_a_result_is_taken_out_and_the_text_goes_on(says, call):
    found = decode(says(caller(1, call=call)), k=1)
    assert found.call is not None
    assert found.result is None
    assert found.text == found.said == " nine in all."


def test_a_claimed_result_is_replaced_by_the_tools(says):
    found = decode(says(caller(1, call=" [Calculator(3 + 4)]")), k=1)
    assert found.text.startswith(" [Calculator(3 + 4) -> 7]")


def test_texts_in_one_batch_do_not_disturb_each_other(loaded):
    texts = ["Ada has", "Otto gave the", "It"]
    decoder = Decoder(k=10, max_tokens=8)
    alone = [decoder.write(loaded, [text], [Calculator()], DAY)[0] for text in texts]
    assert decoder.write(loaded, texts, [Calculator()], DAY) == alone
    assert decoder.write(loaded, [], [Calculator()], DAY) == []
