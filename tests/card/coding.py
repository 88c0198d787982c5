"""A coder that replies as it is told, and a judge that looks at a few doors."""

from agenttrain.card.judge import Judge
from agenttrain.policy.scripted import Scripted
from agenttrain.sandbox.sandbox import Sandbox
from agenttrain.types import Action, Observation, Task, Trajectory, Turn

GOOD = 'def reward(trajectory):\n    return [float("open" in str(t["observation"])) for t in trajectory["turns"]]\n'
LONG = 'def reward(trajectory):\n    return [1.0 for _ in trajectory["turns"]]\n'


def block(source: str) -> str:
    return f"I think so.\n```python\n{source}```\nThat is all."


class Model(Scripted):
    """Remembers what it was asked, and fails where the reply is an exception."""

    def __init__(self, *replies):
        super().__init__()
        self.replies, self.asked = list(replies), []

    def act(self, conversation):
        self.asked.append([message["content"] for message in conversation.messages])
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return {"role": "assistant", "content": reply}


def episode(number: int, success: bool, said: str = "") -> Trajectory:
    """A success opens the door at its second turn, a failure pushes, for longer each time."""
    last = "it is open" if success else "stuck"
    contents = ["a door"] + ["stuck"] * (0 if success else 1 + number) + [last]
    turns = [
        Turn(
            Action({"role": "assistant", "content": said or f"move {n}"}), Observation([{"role": "tool", "content": c}])
        )
        for n, c in enumerate(contents)
    ]
    turns[-1].observation.feedback = {"success": success}
    opening = [{"role": "user", "content": "Open the door."}]
    return Trajectory(Task(f"t{number}", opening), turns, "done", opening)


def judge(*episodes: Trajectory) -> Judge:
    played = list(episodes) or [episode(n, n % 2 == 0) for n in range(4)]
    return Judge(played, "return", "above_best_failure", 0.8, "open", Sandbox(), 20.0)
