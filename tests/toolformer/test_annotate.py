"""Annotation: what is sampled is executed, scored and told, and only what helps stands in the text."""

from datetime import date

import pytest

from agenttrain.tool.calculator import Calculator
from agenttrain.tool.calendar import Calendar
from agenttrain.toolformer.annotate import Annotator, Text
from agenttrain.toolformer.reading import weighted_losses

DAY = date(2023, 1, 30)
TEXT = Text(4, "He has 3 and 4, so seven in all.", DAY)
CALL = " [Calculator(3 + 4) ->"


def adder(text):
    """Opens a call after ` so`, writes it, and knows the sum only after its result. Unsure, it says ` nine`."""
    if text.endswith(" so"):
        return [" nine", " ["]
    opened = text.partition(" so [")[2]
    if " so [" in text and "]" not in opened:
        line = CALL[2:]
        return [line[len(opened) :]] if line.startswith(opened) and opened != line else [" 7"]
    if text.endswith(" -> 7]"):
        return [" seven"]
    return ["."]


def annotator(**values):
    return Annotator(placement="inline", prompted=False, max_tokens=24, **values)


def test_a_call_that_helps_is_put_into_the_text_and_everything_is_told(says):
    [text], candidates = annotator().annotate(says(adder), [TEXT], [Calculator(k=1, m=2)], seed=0)
    assert text == "He has 3 and 4, so [Calculator(3 + 4) -> 7] seven in all."
    first, second = candidates
    assert (first.text, first.tool, first.result, first.kept, first.reason) == (4, "Calculator", "7", True, None)
    assert TEXT.text[first.at :] == " seven in all."
    assert first.p == pytest.approx(0.269, abs=0.01)  # e^29 of e^29 + e^30
    assert first.gain == pytest.approx(min(first.loss_empty, first.loss_call) - first.loss_result)
    assert (second.kept, second.reason, second.gain) == (False, "duplicate", None)


def test_a_gain_below_the_threshold_leaves_the_text_as_it_was(says):
    [text], [candidate] = annotator().annotate(says(adder), [TEXT], [Calculator(k=1, m=1, tau_f=99.0)], seed=0)
    assert text == TEXT.text
    assert candidate.reason == "gain below tau_f"


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (" [Calculator(3 ** 4) ->", "no result"),
        (" [Calculator 3 + 4]", "not in form"),
        (" [Search(3 + 4)]", "another tool"),
        (" [Calculator(3 + 4 + 4 + 4 + 4 + 4 + 4 + 4 + 4", "not in form"),
    ],
)
def test_what_cannot_be_executed_is_not_scored_and_told(says, call, reason):
    def rule(text):
        opened = text.partition(" so [")[2]
        return [call[2 + len(opened) :] or " 4"] if " so [" in text else adder(text)

    [text], [candidate] = annotator().annotate(says(rule), [TEXT], [Calculator(k=1, m=1)], seed=0)
    assert (text, candidate.reason, candidate.loss_empty) == (TEXT.text, reason, None)


@pytest.mark.parametrize("placement", ["prefix", "inline"])
def test_the_three_losses_are_those_of_their_contexts(loaded, placement):
    how, text = Annotator(placement=placement), "He has 3 and 4, so seven in all."
    encode = loaded.chat.text
    [row] = [r for r in [_rows(how, loaded, text, position=5)] if r]
    ids = encode(text)
    z = encode(" [Calculator(3 + 4) -> 7]")
    context = z + ids[:5] if placement == "prefix" else ids[:5] + z
    assert row == (tuple(context), tuple(ids[5:10]))
    assert weighted_losses(loaded.model, [row]) == pytest.approx(weighted_losses(loaded.model, [(context, ids[5:])]))


def _rows(how, loaded, text, position):
    from agenttrain.toolformer.annotate import _Read

    return how._row(loaded, _Read(loaded, Text(0, text, DAY), 1024), position, " [Calculator(3 + 4) -> 7]")


def test_real_sampling_repeats_with_its_seed_and_loses_no_text(loaded):
    texts = [TEXT, Text(5, "Größe → 4 ×", DAY), Text(6, "Ja", DAY), Text(7, "", DAY)]
    tools = [Calculator(k=3, m=2), Calendar(tau_s=0.0)]
    once = Annotator(max_tokens=6).annotate(loaded, texts, tools, seed=1)
    assert once == Annotator(max_tokens=6).annotate(loaded, texts, tools, seed=1)
    assert once != Annotator(max_tokens=6).annotate(loaded, texts, tools, seed=2)
    assert once[0] == [text.text for text in texts]  # an untrained model writes no call
    assert {candidate.reason for candidate in once[1]} == {"not in form"}
    by_tool = [sum(c.text == 4 and c.tool == tool.name for c in once[1]) for tool in tools]
    assert by_tool == [3 * 2, 5 * 5]


def test_a_call_is_never_put_within_a_character(loaded):
    from agenttrain.toolformer.annotate import _Read

    text = "a → b"
    read = _Read(loaded, Text(0, text, DAY), 1024)
    assert len(read.ids) > len(text.split())
    assert None in read.characters
    assert [at for at in read.characters if at is not None][-1] == len("a →")
