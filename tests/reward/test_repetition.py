from agenttrain.reward.repetition import Repetition
from agenttrain.types import Action, Observation, Task, Trajectory, Turn


def turn(item: str, state: str, call_id: str = "") -> Turn:
    call = {"id": call_id, "type": "function", "function": {"name": "get", "arguments": {"item": item}}}
    return Turn(Action({"role": "assistant", "content": "", "tool_calls": [call]}), Observation([], state=state))


def test_the_same_in_the_same_state_costs_from_the_second_time_on():
    turns = [turn("log", "s", "1"), turn("log", "s", "2"), turn("log", "s", "3")]
    assert Repetition(penalty=0.5)(Trajectory(Task("t", []), turns, "done")) == [0.0, -0.5, -0.5]


def test_something_else_or_elsewhere_is_no_repetition():
    turns = [turn("log", "s"), turn("clay", "s"), turn("log", "with a log")]
    assert Repetition()(Trajectory(Task("t", []), turns, "done")) == [0.0, 0.0, 0.0]
