"""The tiny FireAct experiment counts what it says it counts, and its steps fit together."""

import importlib.util
from pathlib import Path

import pytest

from agenttrain import store
from agenttrain.types import Action, Observation, Task, Trajectory, Turn

FILE = Path(__file__).parent.parent.parent / "scripts/recipes/fireact.py"


def script():
    spec = importlib.util.spec_from_file_location("fireact_script", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SCRIPT = script()


def episode(name, success, turns=1, hops=1):
    played = [Turn(Action({"role": "assistant", "content": ""}), Observation([])) for _ in range(turns)]
    played[-1].observation.feedback = {"success": success}
    return Trajectory(Task(name, [], data={"hops": hops}), played, "done")


def test_questions_of_one_look_up_are_counted_apart_from_those_of_two():
    played = [episode("a", True, 1), episode("b", False, 4), episode("c", False, 3, 2), episode("d", False, 6, 2)]
    assert SCRIPT.read(played) == {
        "one look-up: success, %": 50,
        "one look-up: turns": 2.5,
        "two look-ups: success, %": 0,
        "two look-ups: turns": 4.5,
    }


def test_both_students_get_as_many_solved_episodes(tmp_path):
    for teacher, outcomes in {"one": [True, False, True, True], "two": [False, True, True, False]}.items():
        with store.Writer(tmp_path / teacher / "trajectories.jsonl") as writer:
            for number, success in enumerate(outcomes):
                writer.write(episode(f"{teacher}-{number}", success))
    chosen = SCRIPT.same_number([tmp_path / "one", tmp_path / "two"])
    names = [[one.task.id for one in SCRIPT.episodes(folder)] for folder in chosen]
    assert names == [["one-0", "one-2"], ["two-1", "two-2"]]


def test_the_table_has_a_row_for_each_student_and_condition_and_students_interval():
    seeds = [{"ReAct alone | clean": {"turns": value}} for value in (10.0, 20.0, 30.0)]
    assert SCRIPT.table(seeds) == [
        "| student | searches | turns |",
        "|---|---|---|",
        "| ReAct alone | clean | 20.0 (0.0 to 44.8) |",
    ]


def test_the_claims_are_differences_within_a_seed():
    def seed(untrained, alone, noisy_alone, mixed, noisy_mixed, turns):
        told = {
            "untrained | clean": (untrained, 1.0),
            "ReAct alone | clean": (alone, 2.0),
            "ReAct alone | half noisy": (noisy_alone, 2.0),
            "all methods | clean": (mixed, turns),
            "all methods | half noisy": (noisy_mixed, turns),
        }
        return {
            name: {"two look-ups: success, %": right, "one look-up: turns": taken}
            for name, (right, taken) in told.items()
        }

    lines = SCRIPT.claims([seed(0, 50, 30, 40, 35, 1.5), seed(10, 70, 40, 50, 50, 1.7)])
    means = [line.split(" | ")[1].split(" ")[0] for line in lines[2:]]
    assert means == ["55.0", "40.0", "-0.4", "25.0", "2.5", "-22.5"]


@pytest.mark.slow
def test_its_steps_fit_together(tmp_path, monkeypatch):
    words = ["--seeds", "0", "--size", "20", "--n", "40", "--out", str(tmp_path), "--set", "algo.max_steps=2"]
    monkeypatch.setattr("sys.argv", ["fireact.py", *words])
    assert SCRIPT.main() == 0
    assert len((tmp_path / "table.md").read_text().splitlines()) == 2 + 6 + 1 + 2 + 6 + 2
