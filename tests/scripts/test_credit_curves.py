"""The table of learning curves adds up, and what is compared composes."""

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from agenttrain.config.compose import compose
from agenttrain.types import Action, Observation, Task, Trajectory, Turn

SCRIPTS = Path(__file__).parent.parent.parent / "scripts"


def load(path):
    spec = spec_from_file_location(path.stem, path)
    module = module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


table = load(SCRIPTS / "curves_report.py")
load(SCRIPTS / "experiments.py")
curves = load(SCRIPTS / "credit_curves.py")


@pytest.mark.parametrize("arm", curves.ARMS)
def test_every_strategy_composes_on_a_corridor(arm):
    compose("rl", ["conf=corridor", *curves.TESTBEDS["loops"].env, *curves.ARMS[arm]], curves.CONTROLS)


@pytest.mark.parametrize("testbed", curves.TESTBEDS)
def test_every_testbed_composes_and_compares_arms_that_exist(testbed):
    bed = curves.TESTBEDS[testbed]
    compose("rl", ["conf=corridor", *bed.env], curves.CONTROLS)
    assert set(bed.arms) <= set(curves.ARMS)
    assert {arm for pair in bed.pairs for arm in pair} <= set(bed.arms)
    assert bed.arms[0] in curves.CLAIMS


def test_success_is_over_environment_steps_and_not_over_steps_of_training():
    curve = [(30.0, 0.0), (10.0, 1.0)]
    assert table.success(curve, 0, 40) == 0.25
    assert table.success(curve, 20, 40) == 0.5
    assert table.success(curve, 0, 35) == pytest.approx(5 / 35)


def test_a_curve_that_ends_early_goes_on_as_its_last_steps_did():
    curve = [(10.0, 0.0), *[(10.0, 0.5), (10.0, 1.0)] * 2, (10.0, 0.5)]
    assert table.success(curve, 60, 100) == pytest.approx(0.7)


def test_a_success_is_reached_by_the_mean_of_five_steps_in_a_row():
    curve = [(10.0, 0.9), *[(10.0, 0.0)] * 4, *[(10.0, 0.5)] * 5]
    assert table.reached(curve, 0.5) == 100.0
    assert table.reached(curve[:-1], 0.5) is None
    assert table.reached(curve, 0.1) == 50.0


def test_steps_in_which_nothing_was_learned_delay_a_curve():
    late = table.delayed([(20.0, 0.9)], 100.0, 0.2)
    assert table.success(late, 0, 120) == pytest.approx((100 * 0.2 + 20 * 0.9) / 120)
    assert table.reached(table.delayed([(10.0, 0.5)] * 5, 1.0, 0.0), 0.5) == 51.0


def test_an_interval_is_student_s():
    assert table.interval([0.1, 0.2, 0.3]) == "+0.200 (-0.048 to +0.448)"  # 4.303 * 0.1 / sqrt(3)


def run(folder, arm, rate, seed, successes, turns=10.0):
    folder = folder / f"{arm}-{rate}-{seed}"
    folder.mkdir()
    rows = [{"step": n, "turns": turns, "success": s} for n, s in enumerate(successes)]
    (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, [*rows, {"train_runtime": 1.0}])))
    return table.Run("luck", arm, rate, seed, folder)


def test_the_learning_rate_is_the_best_over_all_tuning_seeds(tmp_path):
    tried = [(0.1, 0, [0.9, 0.9]), (0.1, 1, [0.0, 0.0]), (0.2, 0, [0.5, 0.5]), (0.2, 1, [0.5, 0.5])]
    assert table.best_rate([run(tmp_path, "grpo", *settings) for settings in tried]) == 0.2


def test_the_table_pairs_by_seed_over_the_same_environment_steps(tmp_path):
    runs = [run(tmp_path, "gigpo", 0.2, seed, [0.1 * seed + 0.2, 1.0], turns=50.0) for seed in (2, 0, 1)]
    runs = [run(tmp_path, "grpo", 0.1, seed, [0.1 * seed] * 10) for seed in range(3)] + runs
    text = table.report(runs, curves.TESTBEDS)
    assert "3 seeds; 100 environment steps" in text
    assert "| gigpo | 0.2 | 0.650 (0.526 to 0.774) | 1.000 (1.000 to 1.000) |" in text
    assert "| gigpo - grpo | +0.550 (+0.426 to +0.674) | 3 of 3 | +0.900 (+0.652 to +1.148) |" in text


def test_the_picture_has_a_curve_and_a_band_for_each_strategy_within_its_panel(tmp_path):
    runs = [run(tmp_path, arm, 0.1, seed, [0.0, 1.0 * seed]) for arm in ("grpo", "gigpo") for seed in (0, 1)]
    drawn = [
        e.attrib for e in ET.fromstring(table.picture(runs, curves.TESTBEDS)).iter("{http://www.w3.org/2000/svg}path")
    ]
    lines = [e["d"] for e in drawn if e.get("fill") == "none"]
    assert len(lines) == 2
    assert len([e for e in drawn if "fill-opacity" in e]) == 2
    ys = [float(point.split()[1]) for point in lines[0][1:].split("L")]
    assert ys[0] - ys[-1] == pytest.approx(table.HEIGHT / 2)  # from 0 to the mean of 0 and 1


def test_shuffled_anchors_are_those_of_the_same_task_and_leave_the_batch_as_it_was():
    shuffled = load(curves.CONTROLS / "shuffled.py").Shuffled

    def attempt(task, states, reward):
        turns = [Turn(Action({}), Observation([], state=state)) for state in states]
        return Trajectory(Task(task, []), turns, "done", scores={"r": [0.0] * (len(turns) - 1) + [reward]})

    batch = [attempt("a", "xxy", 1.0), attempt("a", "xyz", 0.0), attempt("b", "uuu", 1.0), attempt("b", "uuu", 0.0)]
    before = [[turn.observation.state for turn in trajectory.turns] for trajectory in batch]
    advantages = shuffled(gamma=1.0)(batch)
    assert [[turn.observation.state for turn in trajectory.turns] for trajectory in batch] == before
    assert advantages == shuffled(gamma=1.0)(batch)
    assert [len(row) for row in advantages] == [3, 3, 3, 3]
    assert advantages[2] == advantages[2][:1] * 3  # where all states are one, shuffling changes nothing


@pytest.mark.slow
def test_the_short_form_runs_the_real_commands_and_a_second_call_runs_none(tmp_path):
    line = [sys.executable, SCRIPTS / "credit_curves.py", "--short", "--out", tmp_path, "--testbeds", "luck"]
    line += ["--seeds", "0", "1", "--steps", "2", "--jobs", "2"]
    done = subprocess.run(line, capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "2 seeds; " in done.stdout
    assert "| gigpo - grpo |" in done.stdout
    assert (tmp_path / "luck/gigpo/0.0008-1-2.log").read_text().endswith("CPU s\n")
    assert len((tmp_path / "runs.csv").read_text().splitlines()) == 1 + 2 * 2 * 2
    ET.parse(tmp_path / "curves.svg")
    again = subprocess.run(line, capture_output=True, text=True, env=os.environ)
    assert again.returncode == 0
    assert " s  " not in again.stdout
