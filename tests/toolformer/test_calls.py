"""A call's text form is read as it was written, and a result cannot close it early."""

import pytest

from agenttrain.tool.calculator import Calculator
from agenttrain.toolformer import calls


def test_a_call_is_written_with_and_without_its_result():
    assert calls.written("Calculator", "1 + 2") == " [Calculator(1 + 2)]"
    assert calls.written("Calculator", "1 + 2", "3") == " [Calculator(1 + 2) -> 3]"


def test_a_result_with_brackets_or_lines_stays_within_the_call():
    assert calls.written("Search", "x", "a [b]\n c") == " [Search(x) -> a (b) c]"


@pytest.mark.parametrize(
    ("text", "call"),
    [
        ("Calculator(1 + 2)]", ("Calculator", "1 + 2")),
        ("Calculator((1 + 2) * 3) ->", ("Calculator", "(1 + 2) * 3")),
        ("Calculator(1 + 2) -> 99]", ("Calculator", "1 + 2")),
        ("Calendar()]", ("Calendar", "")),
        ("Calculator(1 + 2", None),
        ("Calculator 1]", None),
        ("1] and (2)]", None),
        ("", None),
    ],
)
def test_what_follows_an_opening_is_a_call_or_not(text, call):
    assert calls.read(text) == call


def test_the_prompt_shows_each_example_without_and_with_its_call():
    prompt = calls.prompt(Calculator(), "Seven is 3 + 4.")
    assert prompt.endswith("Input:\nSeven is 3 + 4.\nOutput:\n")
    for example in Calculator.examples:
        plain = example.partition(" [")[0] + example.partition("]")[2]
        assert f"Input:\n{plain}\nOutput:\n{example}\n" in prompt
