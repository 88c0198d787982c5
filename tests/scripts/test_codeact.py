"""The tiny CodeAct experiment counts what it says it counts."""

import importlib.util
import math
from pathlib import Path

import pytest

from agenttrain.types import Action, Observation, Task, Trajectory, Turn

FILE = Path(__file__).parent.parent.parent / "scripts/recipes/codeact.py"


def script():
    spec = importlib.util.spec_from_file_location("codeact_script", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SCRIPT = script()


def episode(turns, success):
    played = [Turn(Action({}), Observation([])) for _ in range(turns)]
    played[-1].observation.feedback = {"success": success}
    return Trajectory(Task("t", []), played, "done")


def test_success_within_k_turns_is_of_all_episodes_and_turns_are_of_successes():
    found = SCRIPT.figures([episode(2, True), episode(6, True), episode(3, False), episode(5, True)])
    assert found["turns of successes"] == pytest.approx(13 / 3)
    assert [found[f"success within {k} turns"] for k in (1, 2, 4, 5, 10)] == [0, 25, 25, 50, 75]
    assert math.isnan(SCRIPT.figures([episode(3, False)])["turns of successes"])


def test_the_table_has_a_column_for_each_form_and_students_interval():
    seeds = [dict.fromkeys(SCRIPT.ROWS, value) for value in (10.0, 20.0, 30.0)]
    lines = SCRIPT.table(dict.fromkeys(SCRIPT.FORMS, seeds))
    assert lines[0] == "| | code | json | text |"
    assert len(lines) == 2 + 7
    assert lines[-1] == "| success within 10 turns | 20.0 (0.0 to 44.8) | 20.0 (0.0 to 44.8) | 20.0 (0.0 to 44.8) |"
    assert SCRIPT.interval([math.nan]) == "none"
