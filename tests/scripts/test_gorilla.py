"""The tiny Gorilla experiment counts what it says it counts."""

import importlib.util
from pathlib import Path

import pytest

FILE = Path(__file__).parent.parent.parent / "scripts/recipes/gorilla.py"


def script():
    spec = importlib.util.spec_from_file_location("gorilla_script", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SCRIPT = script()


def test_the_verdicts_are_of_all_answers_and_those_cut_are_errors():
    evaluation = {"success": {"value": 0.3}, "figures": {"max_tokens": 0.2}, "facts": {"hallucination": 0.5}}
    assert SCRIPT.verdicts(evaluation) == pytest.approx({"accuracy": 0.3, "hallucination": 0.4, "error": 0.3})
    nothing = {"success": {"value": 0.0}, "figures": {"max_tokens": 1.0}, "facts": {}}
    assert SCRIPT.verdicts(nothing) == {"accuracy": 0.0, "hallucination": 0.0, "error": 1.0}


def test_the_table_has_a_row_for_each_way_to_train_and_to_ask():
    told = {"accuracy": 1.0, "hallucination": 0.0, "error": 0.0}
    found = [[(name, asked, told) for name in SCRIPT.TRAINED for asked in SCRIPT.ASKED]] * 3
    lines = SCRIPT.table(found)
    assert len(lines) == 2 + 9
    assert all(line.endswith("| 100 % (100 to 100) | 0 % (0 to 0) | 0 % (0 to 0) |") for line in lines[2:])
