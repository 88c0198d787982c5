import pytest

from agenttrain.config.compose import compose
from agenttrain.config.overrides import parse, quoted
from agenttrain.errors import UserError


@pytest.mark.parametrize("text", ["a b", "it's", "ends in \\", "\\' inside", "\\\\twice", "{a}: [b], $c", "", "a=b,c"])
def test_a_quoted_text_comes_back_as_it_was(text):
    (override,) = parse([f"out={quoted(text)}"])
    assert override.value() == text
    assert not override.is_sweep_override()


def test_an_option_that_holds_another_takes_it_by_its_parameter():
    chosen = compose("rl", ["model=tiny", "credit=empg", "credit.base=gigpo", "credit.base.gamma=0.5"])
    credit = chosen.call().keywords["credit"]
    assert (type(credit).__name__, type(credit.base).__name__, credit.base.gamma) == ("Empg", "Gigpo", 0.5)
    checked = compose("credit-check", ["credit=[empg,grpo]", "credit.empg.base=turn"]).call().keywords["credit"]
    assert type(checked["empg"].base).__name__ == "Turn"
    with pytest.raises(UserError, match=r"no 'credit\.base' in rl: the chosen option of credit holds no other"):
        compose("rl", ["model=tiny", "credit=grpo", "credit.base=gigpo"])
    with pytest.raises(UserError, match=r"no option 'gigp' in group credit\. Did you mean gigpo"):
        compose("rl", ["model=tiny", "credit=empg", "credit.base=gigp"])
