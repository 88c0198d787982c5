"""The tiny Toolformer experiment: its texts are right, and its filter's figures count what they say."""

import importlib.util
import random
from datetime import date
from pathlib import Path

from agenttrain.tool.calculator import Calculator
from agenttrain.toolformer import calls

FILE = Path(__file__).parent.parent.parent / "scripts/recipes/toolformer.py"


def script():
    spec = importlib.util.spec_from_file_location("toolformer_script", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SCRIPT = script()


def test_the_call_of_a_text_gives_its_answer():
    for seed in range(50):
        told = SCRIPT.story(random.Random(seed))
        name, argument = calls.read(told["call"][2:])
        assert name == "Calculator"
        assert Calculator().run(argument, date(2023, 1, 30)) == told["answer"]
        assert told["after"].startswith(f" {told['answer']} ")


def test_the_filter_is_counted_against_what_is_known():
    told = [{"before": "He has", "answer": "12"}]
    places = [6, 6, 6, 2, 6, 2, 6]
    results = ["12", "12", "12", "12", "13", "7", None]
    gains = [0.5, 0.6, 0.4, 0.9, 0.7, 0.1, None]
    candidates = [
        {"text": 0, "at": at, "result": result, "gain": gain}
        for at, result, gain in zip(places, results, gains, strict=True)
    ]
    rows = dict(SCRIPT.filter_rows(told, candidates))
    assert rows["candidates executed and scored"] == "6 of 7"
    assert rows["useful: kept, rejected"] == "2, 1"
    assert rows["right but early: kept, rejected"] == "1, 0"
    assert rows["useless: kept, rejected"] == "1, 1"
    assert rows["precision of the filter"] == rows["recall of the filter"] == "0.667 (2 of 3)"
