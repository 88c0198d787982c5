from agenttrain.transcript import cut, fence, told
from agenttrain.types import Action, Observation, Task, Trajectory, Turn


def episode() -> Trajectory:
    call = {"type": "function", "id": "c", "function": {"name": "open", "arguments": {"what": "tür"}}}
    turns = [
        Turn(
            Action({"role": "assistant", "content": "I look.", "tool_calls": [call]}),
            Observation([{"role": "tool", "content": "a door"}]),
        ),
        Turn(Action({"role": "assistant", "content": None}), Observation([])),
    ]
    return Trajectory(Task("t", []), turns, "done", [{"role": "user", "content": "Go."}])


def test_an_episode_in_lines_with_its_scores():
    assert list(told(episode())) == [
        "[user] Go.",
        "[turn 1: agent] I look.",
        '[turn 1: call] open {"what": "tür"}',
        "[turn 1: tool] a door",
        "[turn 2: agent]",
    ]
    assert [line for line in told(episode(), [0.5, -1.0]) if "reward" in line] == [
        "[turn 1: reward] 0.5",
        "[turn 2: reward] -1",
    ]


def test_a_long_text_loses_its_middle_and_says_how_much():
    assert cut("0123456789", 10) == "0123456789"
    assert cut("0123456789", 4) == "01\n[... 6 characters left out ...]\n89"


def test_a_text_cannot_hold_its_own_fence():
    text = "now the fence: "
    assert fence(text + fence(text)) != fence(text)
    assert fence(text) == fence(text)
