"""The tiny Toolformer experiment: its texts are right, and its figures count what they say."""

import importlib.util
import math
import random
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

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
        told = SCRIPT.story(random.Random(seed), product=True)
        name, argument = calls.read(told["call"][2:])
        assert name == "Calculator"
        assert Calculator().run(argument, date(2023, 1, 30)) == told["answer"]
        assert told["after"].startswith(f" {told['answer']} ")


def test_a_text_without_a_product_has_its_answer_and_wants_no_call():
    for seed in range(50):
        told = SCRIPT.story(random.Random(seed), product=False)
        assert not told["call"]
        assert f"bags with {told['answer']} " in told["before"]
        assert told["after"].startswith(f" {told['answer']} ")


@pytest.mark.parametrize(("plain", "least", "most"), [(0.0, 0, 0), (0.5, 60, 140), (1.0, 200, 200)])
def test_a_share_of_the_texts_wants_no_call(plain, least, most):
    told = SCRIPT.texts(random.Random(0), 200, plain)
    assert len(told) == 200
    assert least <= sum(not one["call"] for one in told) <= most


def test_the_filter_is_counted_against_what_is_known():
    told = [{"before": "He has", "call": " [...]", "answer": "12"}, {"before": "He has", "call": "", "answer": "12"}]
    texts = [0, 0, 0, 0, 0, 0, 0, 1]
    places = [6, 6, 6, 2, 6, 2, 6, 6]
    results = ["12", "12", "12", "12", "13", "7", None, "12"]
    gains = [0.5, 0.6, 0.4, 0.9, 0.7, 0.1, None, 0.8]
    candidates = [
        {"text": text, "at": at, "result": result, "gain": gain}
        for text, at, result, gain in zip(texts, places, results, gains, strict=True)
    ]
    found = SCRIPT.filter_figures(told, candidates)
    assert found["filter: precision, %"] == 50  # of two useful and two useless ones that are kept
    assert found["filter: recall, %"] == pytest.approx(200 / 3)
    assert found["filter: useful calls, %"] == pytest.approx(300 / 7)
    assert found["filter: right but early calls, %"] == pytest.approx(100 / 7)


def test_a_filter_that_keeps_nothing_has_no_precision():
    candidates = [{"text": 0, "at": 6, "result": "13", "gain": 0.1}]
    found = SCRIPT.filter_figures([{"before": "He has", "call": " [...]", "answer": "12"}], candidates)
    assert "none" in SCRIPT.row("precision", [found["filter: precision, %"], 90.0], ".1f")


def test_no_mass_is_lost_to_calls_that_cannot_be_opened():
    sure, words = {1: 9.0, 0: 8.0}, SimpleNamespace(text=lambda text: [0] if text == calls.OPENING else [2, 1, 1])

    def model(ids):
        logits = torch.full((*ids.shape, 4), -math.inf)
        logits[..., list(sure)] = torch.tensor([*sure.values()])
        return SimpleNamespace(logits=logits)

    model.device, words.end = "cpu", list
    loaded = SimpleNamespace(model=model, chat=words, name="it")
    assert SCRIPT.perplexity(loaded, ["text"]) == pytest.approx(1.0), "certain, where it cannot open a call"
    sure[3] = 9.0
    assert SCRIPT.perplexity(loaded, ["text"]) == pytest.approx(2.0)


def test_the_table_pairs_the_figures_of_a_seed():
    names = [f"{name}, k = {k}: right on product, %" for name, k in (("control", 0), ("toolformer", 0))]
    names += ["toolformer, k = 10: right on product, %"]
    names += [f"{name}: perplexity of {kind}" for name in ("toolformer", "control") for kind in SCRIPT.KINDS]
    found = [dict(zip(names, values, strict=True)) for values in ([10, 5, 90, 2, 3, 2, 3], [30, 5, 70, 2, 3, 1, 3])]
    lines = SCRIPT.table([0, 1], found).splitlines()
    assert lines[0] == "| | seed 0 | seed 1 | mean (95 %) |"
    less = next(line for line in lines if line.startswith("| toolformer, k = 10, less control, k = 0"))
    assert less.split(" | ")[1:3] == ["+80.0", "+40.0"]
    less = next(line for line in lines if "less control: perplexity of product" in line)
    assert less.split(" | ")[1:3] == ["+0.000", "+1.000"]
