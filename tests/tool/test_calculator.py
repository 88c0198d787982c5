"""The calculator computes what it should, and nothing that it should not."""

import time
from datetime import date

import pytest

from agenttrain.tool.calculator import Calculator

DAY = date(2023, 1, 30)


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("48 + 24", "72"),
        ("400 / 1400", "0.29"),
        ("1987-1911", "76"),
        ("2 + 3 * 4", "14"),
        ("(2 + 3) * 4", "20"),
        ("10 - 3 - 2", "5"),
        ("8 / 4 / 2", "1"),
        ("-3 * -(2 + 1)", "9"),
        ("0.1 + 0.2", "0.3"),
        (".5 * 3.", "1.5"),
        ("1 / 3 * 3", "1"),
        ("-1 / 8", "-0.12"),
        ("1 / 1000", "0"),
        ("9" * 40 + " * " + "9" * 40, str(int("9" * 40) ** 2)),
    ],
)
def test_it_computes_exactly_and_rounds_to_two_decimals(expression, result):
    assert Calculator().run(expression, DAY) == result


HOSTILE = [
    "",
    " ",
    "9 ** 9 ** 9",
    "9**9",
    "9 ^ 9",
    "1e999999999",
    "0x10",
    "1_000",
    "1,000",
    "1 2",
    "2(3)",
    "1 +",
    "* 2",
    "+ 1",
    "()",
    "(1",
    "1)",
    "1 / 0",
    "1 / (2 - 2)",
    "1 // 2",
    "1 % 2",
    "1.2.3",
    ".",
    "inf",
    "nan",
    "x",
    "__import__('os').system('true')",
    "(lambda: 1)()",
    "٣ + ٣",
    "1\n+ 1",
    "(" * 40 + "1" + ")" * 40,
    "-" * 60 + "1",
    "9*" * 60 + "9",
    "(" * 1_000_000,
]


@pytest.mark.parametrize("expression", HOSTILE, ids=lambda text: text[:20])
def test_it_refuses_the_rest_at_once(expression):
    began = time.process_time()
    assert Calculator().run(expression, DAY) is None
    assert time.process_time() - began < 1


def test_brackets_within_the_limit_are_read():
    assert Calculator().run("(" * 20 + "1" + ")" * 20, DAY) == "1"
