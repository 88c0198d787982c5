"""BFCL's rules: every possible answer is accepted, and none in which one argument, name or type has been changed."""

import json
import random
from itertools import permutations
from pathlib import Path

import pytest

from agenttrain.gorilla.bfcl import FunctionCall, fault

REAL = Path(__file__).parent.parent.parent.parent / "shared/data/bfcl"
FUNCTION = {
    "name": "shop.buy",
    "parameters": {
        "type": "dict",
        "properties": {
            "what": {"type": "string"},
            "note": {"type": "string"},
            "count": {"type": "integer"},
            "price": {"type": "float"},
            "fast": {"type": "boolean"},
            "colours": {"type": "array", "items": {"type": "string"}},
            "place": {"type": "dict"},
        },
        "required": ["what"],
    },
}
GOLD = {
    "what": ["red apple", "apple"],
    "count": [2, ""],
    "price": [1.5, 2],
    "fast": [True, ""],
    "colours": [["Red", "blue"], ""],
    "place": [{"town": ["Bonn"], "street": ["Main St.", ""]}, ""],
}
RIGHT = {
    "what": "Red-Apple",
    "count": 2,
    "price": 1.5,
    "fast": True,
    "colours": ["red", "Blue"],
    "place": {"town": "bonn"},
}


def check(**changes):
    given = {key: value for key, value in (RIGHT | changes).items() if value is not ...}
    return fault([FunctionCall("shop_buy", given)], [FUNCTION], [{"shop.buy": GOLD}])


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"what": "apple"},
        {"price": 2},
        {"price": 2.0},
        {"count": ..., "fast": ..., "colours": ..., "place": ...},
        {"place": {"town": "Bonn", "street": "main st"}},
    ],
)
def test_possible_values_are_right_in_whatever_capitals_and_what_may_be_left_out_may_be_left_out(changes):
    assert check(**changes) == ""


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"what": ...}, "what is missing"),
        ({"price": ...}, "price is missing"),
        ({"size": 3}, "size is unexpected"),
        ({"note": "none of the possible answers has it"}, "note is unexpected"),
        ({"what": "pear"}, "what: 'pear' is none of"),
        ({"count": 3}, "count: 3 is none of"),
        ({"count": "2"}, "count: '2' is no integer"),
        ({"count": 2.0}, "count: 2.0 is no integer"),
        ({"fast": 1}, "fast: 1 is no boolean"),
        ({"fast": False}, "fast: False is none of"),
        ({"colours": ["blue", "red"]}, "colours"),
        ({"colours": ["red"]}, "colours"),
        ({"colours": ["red", 3]}, "colours: .* holds something else than string"),
        ({"colours": "red"}, "colours: 'red' is no array"),
        ({"place": {"town": "Bonn", "zip": 1}}, "place"),
        ({"place": {"street": "Main St."}}, "place"),
    ],
)
def test_one_change_makes_a_call_wrong(changes, told):
    import re

    assert re.match(told, check(**changes))


def test_a_function_of_another_name_is_wrong():
    assert fault([FunctionCall("shop_sell", RIGHT)], [FUNCTION], [{"shop.buy": GOLD}])


def test_parallel_calls_may_come_in_any_order_but_each_wanted_one_must_come_once():
    either, other = {"what": ["a", "b"], "price": [1]}, {"what": ["a"], "price": [1]}
    gold = [{"shop.buy": either}, {"shop.buy": other}, {"shop.buy": {"what": ["c"], "price": [1]}}]
    calls = [FunctionCall("shop.buy", {"what": what, "price": 1}) for what in "abc"]
    assert [fault(order, [FUNCTION], gold) for order in permutations(calls)] == [""] * 6
    assert fault(calls[:2], [FUNCTION], gold) == "2 calls, not 3"
    assert fault([calls[1], calls[1], calls[2]], [FUNCTION], gold) == "two calls where one of them was wanted"
    assert fault([calls[0], calls[1], calls[1]], [FUNCTION], gold)


def test_where_no_function_helps_any_call_is_wrong():
    assert fault([], [FUNCTION], []) == ""
    assert fault([FunctionCall("shop.buy", RIGHT)], [FUNCTION], []) == "1 calls, not 0"


def records(name):
    gold = map(json.loads, (REAL / "possible_answer" / f"BFCL_v4_{name}.json").read_text().splitlines())
    answers = {record["id"]: record["ground_truth"] for record in gold}
    for record in map(json.loads, (REAL / f"BFCL_v4_{name}.json").read_text().splitlines()):
        yield record["function"], answers[record["id"]]


def built(value):
    """One value of what a possible answer allows; within a dict each key has possible values of its own."""
    if isinstance(value, dict):
        return {
            key: built(next(v for v in values if v != ""))
            for key, values in value.items()
            if set(map(str, values)) - {""}
        }
    return [built(item) for item in value] if isinstance(value, list) else value


def calls_of(gold, last=False):
    for call in gold:
        for name, arguments in call.items():
            told = {key: [value for value in values if value != ""] for key, values in arguments.items()}
            yield FunctionCall(name, {key: built(values[-last]) for key, values in told.items() if values})


def spoilt(value):
    """A value that no answer allows, of the same type; and one of another type."""
    if isinstance(value, bool) or value is None:
        return None, "maybe"
    if isinstance(value, int | float):
        return value + 98765, [value]
    if isinstance(value, str):
        return value + " zzz", {"text": value}
    return ([*value, *value, "zzz"] if isinstance(value, list) else {**value, "zzz": 1}), 98765


@pytest.mark.skipif(not REAL.is_dir(), reason="BFCL is not at ../shared/data/bfcl")
@pytest.mark.parametrize(("name", "count"), [("simple_python", 400), ("multiple", 200), ("parallel", 200)])
def test_every_answer_of_the_leaderboard_is_accepted_and_rejected_with_one_thing_changed(name, count):
    accepted, rejected, rng = 0, 0, random.Random(0)
    for functions, gold in records(name):
        calls = list(calls_of(gold))
        assert fault(rng.sample(calls, len(calls)), functions, gold) == ""
        assert fault(list(calls_of(gold, last=True)), functions, gold) == ""
        accepted += 1
        place = rng.randrange(len(calls))
        one = calls[place]
        wrong = [FunctionCall(f"{one.name}_x", one.arguments), FunctionCall(one.name, {**one.arguments, "zzz": 1})]
        for key, value in one.arguments.items():
            wrong += [FunctionCall(one.name, one.arguments | {key: bad}) for bad in spoilt(value) if bad is not None]
        for bad in wrong:
            assert fault([*calls[:place], bad, *calls[place + 1 :]], functions, gold), (one, bad)
            rejected += 1
        assert fault(calls[1:], functions, gold)
        assert fault([*calls, calls[0]], functions, gold)
    assert accepted == count
    assert rejected > 4 * count
