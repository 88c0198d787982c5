import json

import pytest

from agenttrain.card.function import RewardFunction, fits, plain
from agenttrain.errors import UserError
from agenttrain.sandbox.sandbox import Sandbox
from agenttrain.types import Action, InfraError, Observation, Task, Trajectory, Turn

FACTS = {"success": True, "f1": 0.91, "invalid_call": "no such tool"}
EPISODE = Trajectory(
    Task("t", [{"role": "user", "content": "go"}], answer="secret-answer", data={"goal": "secret-goal"}),
    [
        Turn(Action({"role": "assistant", "content": "a"}), Observation([{"role": "tool", "content": "b"}], 0.77)),
        Turn(Action({"role": "assistant", "content": "c"}), Observation([], 0.77, feedback=FACTS)),
    ],
    "done",
    messages=[{"role": "user", "content": "go"}],
)


@pytest.fixture(scope="module")
def sandbox():
    box = Sandbox()
    try:
        box.start_now()
    except UserError as error:
        pytest.skip(f"no walls hold here: {error}")
    yield box
    box.close()


def test_the_record_tells_what_was_said_and_nothing_that_was_verified():
    record = plain(EPISODE)
    told = json.dumps(record)
    assert not [word for word in ("secret", "success", "0.91", "0.77") if word in told]
    assert record["turns"][0]["observation"] == [{"role": "tool", "content": "b"}]
    assert [turn["invalid_call"] for turn in record["turns"]] == [None, "no such tool"]


def test_no_call_remembers_another(sandbox):
    counting = "seen = []\ndef reward(t):\n    seen.append(1)\n    return [len(seen)] * len(t['turns'])"
    function = RewardFunction(counting, sandbox, 20.0)
    assert function(EPISODE) == function(EPISODE) == [1.0, 1.0]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("return [1.0]", "gave 1 scores for 2 turns"),
        ("return 'no'", "no list of numbers"),
        ("return ['1', '2']", "no list of numbers"),
        ("return [0.0, float('nan')]", "not finite"),
        ("return [1e308, 1e308]", "not finite"),
        ("return [10 ** 400, 0]", "not finite"),
        ("return [t['success'], 0]", "raised KeyError"),
        ("import os; os._exit(0)", "ended its process"),
        ("class L(list):\n        def __len__(self): return 2\n    return L()", "gave 0 scores for 2 turns"),
        ("class F(float):\n        def __float__(self): return 0.0\n    return [F('inf'), 0]", "not finite"),
    ],
)
def test_all_but_a_finite_number_per_turn_is_refused(sandbox, body, reason):
    with pytest.raises(ValueError, match=reason):
        RewardFunction(f"def reward(t):\n    {body}", sandbox, 20.0)(EPISODE)


def test_one_that_does_not_end_is_ended(sandbox):
    with pytest.raises(ValueError, match=r"longer than 0\.2 s"):
        RewardFunction("def reward(t):\n    while True: pass", sandbox, 0.2)(EPISODE)


def test_a_trajectory_that_is_too_large_is_not_the_functions_fault(sandbox):
    vast = Trajectory(EPISODE.task, EPISODE.turns, "done", [{"role": "user", "content": "x" * (5 << 20)}])
    assert fits(EPISODE)
    assert not fits(vast)
    with pytest.raises(InfraError, match="more than the 4 MB"):
        RewardFunction("def reward(t):\n    return [0, 0]", sandbox, 20.0)(vast)
