import pytest

from agenttrain.errors import UserError
from agenttrain.reward.card import Card
from agenttrain.reward.score import score
from agenttrain.types import Action, Observation, Task, Trajectory, Turn


def episode() -> Trajectory:
    said = [{"role": "assistant", "content": text} for text in ("one", "three")]
    return Trajectory(Task("t", []), [Turn(Action(message), Observation([])) for message in said], "done")


def reward(tmp_path, body, seconds=20.0) -> Card:
    (tmp_path / "reward.py").write_text(f"def reward(trajectory):\n    {body}\n")
    made = Card(str(tmp_path / "reward.py"), seconds=seconds)
    try:
        made.prepare()
    except UserError as error:
        if "Nothing here can hold code" in str(error):
            pytest.skip(str(error))
        raise
    return made


def test_the_function_scores(tmp_path):
    lengths = reward(tmp_path, "return [len(turn['action']['content']) for turn in trajectory['turns']]")
    assert score(episode(), {"card": lengths}).scores == {"card": [3.0, 5.0]}


def test_one_that_fails_marks_the_episode(tmp_path):
    scored = score(episode(), {"card": reward(tmp_path, "return [1 / 0]")})
    assert scored.stop == "reward_error"
    assert "raised ZeroDivisionError" in str(scored.error)


def test_a_source_that_may_not_be_run_is_told_before_anything_is(tmp_path):
    with pytest.raises(UserError, match=r"reward\.py imports os, line 2"):
        reward(tmp_path, "import os; return []")
    with pytest.raises(UserError, match="cannot be read"):
        Card(str(tmp_path / "none.py")).prepare()
