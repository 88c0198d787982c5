import pytest

from agenttrain.config.overrides import parse, quoted


@pytest.mark.parametrize("text", ["a b", "it's", "ends in \\", "\\' inside", "\\\\twice", "{a}: [b], $c", "", "a=b,c"])
def test_a_quoted_text_comes_back_as_it_was(text):
    (override,) = parse([f"out={quoted(text)}"])
    assert override.value() == text
    assert not override.is_sweep_override()
