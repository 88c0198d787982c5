import json

import pytest

from agenttrain.commands.compare import compare
from agenttrain.errors import UserError
from agenttrain.eval.report import evaluate
from agenttrain.types import Action, Observation, Task, Trajectory, Turn


@pytest.fixture
def run(tmp_path):
    """Writes an evaluation of 40 tasks of which the first `solved` succeeded; returns its folder."""

    def write(name, solved, task_set="abc", tasks=range(40), versions=None, **about):
        won = {"success": True}
        episodes = [_episode(f"t{n}", won if n < solved else {"success": False}) for n in tasks]
        for episode in episodes:
            episode.meta["versions"] = versions
        found = evaluate(episodes, tasks=40, task_set=task_set, env="craft", policy={"name": name}, **about)
        (tmp_path / name).mkdir()
        (tmp_path / name / "eval.json").write_text(json.dumps(found))
        return str(tmp_path / name)

    return write


def _episode(task, feedback):
    turn = Turn(Action({"role": "assistant", "content": ""}), Observation([], done=True, feedback=feedback))
    return Trajectory(Task(task, []), [turn], "done")


def test_a_clear_gain_is_named_with_its_interval_flips_and_p_value(run, capsys):
    compare([f"sft={run('a', 15)}", f"rl={run('b', 30)}"])
    out = capsys.readouterr().out
    assert "sft  37.5 %" in out
    (line,) = [line for line in out.splitlines() if line.startswith("rl - sft")]
    assert "+37.5 (+" in line
    assert "15 / 0" in line
    assert line.endswith("rl is better")


def test_a_loss_is_called_one(run, capsys):
    compare([f"sft={run('a', 30)}", f"rl={run('b', 15)}"])
    assert "rl is worse" in capsys.readouterr().out


def test_no_winner_is_named_inside_the_noise(run, capsys):
    compare([f"x={run('a', 20)}", f"y={run('b', 23)}"])
    out = capsys.readouterr().out
    assert "no clear difference" in out
    assert "better" not in out


def test_several_runs_are_compared_with_the_first_or_the_previous_and_pay_for_it(run, capsys):
    runs = [f"a={run('a', 10)}", f"b={run('b', 16)}", f"c={run('c', 22)}"]
    compare(runs, to="previous", as_json=True)
    found = json.loads(capsys.readouterr().out)["differences"]
    assert [(d["first"], d["second"]) for d in found] == [("a", "b"), ("b", "c")]
    assert [d["p"] for d in found] == [2 * 2 * 0.5**6] * 2  # six flips one way: 1/32 alone, doubled for two comparisons
    assert [d["clear"] for d in found] == [False, False]
    compare(runs[:2], as_json=True)
    (alone,) = json.loads(capsys.readouterr().out)["differences"]
    assert (alone["p"], alone["clear"], alone["rose"]) == (2 * 0.5**6, True, 6)


def test_a_fall_beyond_what_is_allowed_ends_with_1_clear_or_not(run, capsys):
    before, little, much = run("a", 30), run("b", 28), run("c", 10)
    compare([before, little], max_regression=5)
    compare([little, before], max_regression=0)
    with pytest.raises(SystemExit, match=r"y - x is -5.0 points, within the noise: more than --max-regression 4.5"):
        compare([f"x={before}", f"y={little}"], max_regression=4.5)
    with pytest.raises(SystemExit, match=r"z - x is -50.0 points: more than --max-regression 5"):
        compare([f"x={before}", f"y={little}", f"z={much}"], max_regression=5)
    assert "verdict" in capsys.readouterr().out


def test_a_hard_environment_says_as_much_as_an_easy_one_overall(run, capsys):
    parts = {f"t{n}": "easy" if n < 20 else "hard" if n < 36 else "hopeless" for n in range(40)}
    # easy 20 and 20 of 20, hard 2 and 6 of 16
    first, second = f"a={run('a', 22, parts=parts)}", f"b={run('b', 26, parts=parts)}"
    compare([first, second], as_json=True)
    assert json.loads(capsys.readouterr().out)["overall"] == pytest.approx({"a": (1 + 0.5) / 2, "b": (1 + 1.5) / 2})
    compare([first, second])
    assert "overall: mean over environments" in capsys.readouterr().out
    compare([run("c", 10), run("d", 12)])
    assert "overall" not in capsys.readouterr().out, "of one environment there is nothing to weigh"


def test_runs_on_other_tasks_are_refused(run):
    with pytest.raises(UserError, match=r"different tasks: 40 of craft .set abc. and 40 of craft .set xyz."):
        compare([run("a", 10), run("b", 10, task_set="xyz")])


def test_unequal_conditions_are_told(run, capsys):
    easy, hard = ({"env": {"slack": slack}, "rollout": {"max_turns": 40}} for slack in (2.0, 1.25))
    compare([f"a={run('a', 10, conditions=easy)}", f"b={run('b', 10, conditions=hard)}"])
    err = capsys.readouterr().err
    assert err == "agenttrain: mind that env.slack is 2.0 in a, 1.25 in b\n"


def test_another_version_of_the_environments_is_told(run, capsys):
    old, new = ({"torch": f"2.{version}", "agenttrain": version} for version in ("0.1", "0.2"))
    compare([f"a={run('a', 10, versions=old)}", f"b={run('b', 10, versions=new)}", f"c={run('c', 10, versions=new)}"])
    err = capsys.readouterr().err
    assert err == "agenttrain: mind that version of agenttrain is 0.1 in a, 0.2 in b, 0.2 in c\n"


def test_only_tasks_that_both_could_play_are_paired(run, capsys):
    compare([run("a", 10), run("b", 10, tasks=range(5, 40))], as_json=True)
    (difference,) = json.loads(capsys.readouterr().out)["differences"]
    assert (difference["tasks"], difference["value"]) == (35, 0.0)
    with pytest.raises(UserError, match="no task in common"):
        compare([run("c", 10, tasks=range(5)), run("d", 10, tasks=range(5, 40))])


def test_what_is_no_evaluation_is_said_in_a_line(run, tmp_path):
    good = run("a", 10)
    with pytest.raises(UserError, match="at least two runs"):
        compare([good])
    with pytest.raises(UserError, match=r"no evaluation at .*nothing"):
        compare([good, str(tmp_path / "nothing")])
    (tmp_path / "torn.json").write_text('{"schema": ')
    with pytest.raises(UserError, match=r"torn\.json is no JSON"):
        compare([good, str(tmp_path / "torn.json")])
    (tmp_path / "old.json").write_text('{"schema": "agenttrain.eval/0"}')
    with pytest.raises(UserError, match=r"schema is .agenttrain\.eval/0"):
        compare([good, str(tmp_path / "old.json")])
    with pytest.raises(UserError, match="same label"):
        compare([good, good])


def test_a_path_may_hold_an_equals_sign(run, capsys):
    compare([run("lr=1", 10), run("lr=2", 10)])
    assert "lr=1" in capsys.readouterr().out
