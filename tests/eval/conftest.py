import pytest

from agenttrain.types import Action, Observation, Task, Trajectory, Turn


@pytest.fixture
def episode():
    """Builds a trajectory: `feedbacks` has one dict per turn."""

    def build(task="t", attempt=0, success=False, stop="done", feedbacks=None, usage=None, **fields):
        feedbacks = [{}] if feedbacks is None else feedbacks
        turns = [
            Turn(
                Action(
                    {"role": "assistant", "content": f"act {number}"},
                    usage=usage or {},
                ),
                Observation([{"role": "tool", "name": "look", "content": f"seen {number}"}], feedback=dict(feedback)),
            )
            for number, feedback in enumerate(feedbacks)
        ]
        if turns and stop == "done":
            turns[-1].observation.feedback["success"] = success
        messages = [{"role": "user", "content": f"Do {task}."}]
        return Trajectory(Task(task, messages), turns, stop, messages=messages, attempt=attempt, **fields)

    return build
