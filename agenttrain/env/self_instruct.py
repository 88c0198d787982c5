"""Task -> Episode: write a request for an API until one is accepted (Gorilla, arXiv 2305.15334)."""

from __future__ import annotations

from agenttrain.errors import UserError
from agenttrain.gorilla.documents import Document
from agenttrain.gorilla.requests import refusal
from agenttrain.types import Message, Observation, Task, Tool


class SelfInstruct:
    """Accepts a request that does not name the API; of another it says why not, and asks again."""

    def episode(self, task: Task, seed: int) -> SelfInstructEpisode:
        """
        Raises:
            UserError: the task has no document.
        """
        if "document" not in task.data:
            raise UserError(f"Task {task.id} has no document for env=self_instruct. Use task=self_instruct.")
        return SelfInstructEpisode(task)


class SelfInstructEpisode:
    """Over at the first request that is accepted. `feedback` holds `success`, and of a refused one `refused`: why."""

    def __init__(self, task: Task) -> None:
        self.task, self._document = task, Document(task.id, task.data["document"])

    @property
    def tools(self) -> list[Tool]:
        return []

    def start(self) -> list[Message]:
        return self.task.messages

    def step(self, action: Message) -> Observation:
        reason = refusal(action.get("content") or "", self._document)
        if reason is None:
            return Observation([], 1.0, True, self.task.id, {"success": True})
        again = {"role": "user", "content": f"This cannot be taken: {reason}. Write another request."}
        return Observation([again], state=self.task.id, feedback={"success": False, "refused": reason})

    def close(self) -> None:
        pass
