import pytest

from agenttrain.card.source import fault

GOOD = "import math\nfrom collections import Counter\ndef reward(trajectory):\n    return [math.pi, Counter()]\n"


def test_a_plain_function_may_be_run():
    assert fault(GOOD) is None
    assert fault("def reward(trajectory: dict, scale=1.0, *, most=3) -> list[float]:\n    return []") is None


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import os\n" + GOOD, "imports os, line 1"),
        ("def reward(t):\n    from os.path import exists\n", "imports os.path, line 2"),
        ("from . import x\n" + GOOD, "imports ., line 1"),
        ("from math import __loader__\n" + GOOD, "touches __loader__"),
        ("def reward(t):\n    return ().__class__", "touches __class__, line 2"),
        ("def reward(t):\n    return __builtins__", "touches __builtins__"),
        ("def reward(t):\n    return open('scores')", "uses open, line 2"),
        ("def score(t):\n    return []", "defines no function reward"),
        ("def reward():\n    return []", "other parameters"),
        ("def reward(a, b):\n    return []", "other parameters"),
        ("def reward(a, *, b):\n    return []", "other parameters"),
        ("def reward(t)\n    return []", "is no Python: expected ':', line 1"),
        ("x = " + "(" * 9000 + ")" * 9000, "is no Python"),
        ("#" * 20_001, "20,001 characters"),
        ("\0", "is no Python"),
    ],
)
def test_what_is_wrong_is_named(source, reason):
    assert reason in (fault(source) or "")
