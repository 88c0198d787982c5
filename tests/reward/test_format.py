from agenttrain.reward.format import Format
from agenttrain.types import Action, Observation, Task, Trajectory, Turn


def test_only_malformed_turns_pay():
    facts = [{"invalid_call": "no call"}, {"tool_error": "a valid call failed"}, {}]
    turns = [Turn(Action({}), Observation([], feedback=feedback)) for feedback in facts]
    assert Format(penalty=0.5)(Trajectory(Task("t", []), turns, "done")) == [-0.5, 0.0, 0.0]
