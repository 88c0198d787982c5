"""Task -> Episode: one request, one call of an API, and a verdict on it (Gorilla, arXiv 2305.15334)."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from agenttrain.errors import UserError
from agenttrain.gorilla.documents import Document
from agenttrain.gorilla.invented import known
from agenttrain.gorilla.pairs import Pair
from agenttrain.gorilla.rat import Prompt, Rat
from agenttrain.gorilla.verdict import Database
from agenttrain.types import Message, Observation, Task, Tool

_preparing = threading.Lock()


@dataclass
class Gorilla:
    """Shows a request, with a document or without, and judges the answer by the calls of all documents.

    Args:
        rat: which document goes with a request.
        documents: a file of APIBench's form, or a folder of them; None for the task's invented library.
        metric: `gorilla`: the call must be the right one; `gorilla_legacy`: as the paper's scripts, one of the same
            domain will do.
    """

    rat: Rat = field(default_factory=Rat)
    documents: str | None = None
    metric: Literal["gorilla", "gorilla_legacy"] = "gorilla"

    def episode(self, task: Task, seed: int) -> GorillaEpisode:
        """
        Raises:
            UserError: the documents are missing or malformed, or the task has none.
        """
        if "document" not in task.data:
            raise UserError(f"Task {task.id} has no document of an API for env=gorilla. Use task=gorilla.")
        if self.documents is None and "world" not in task.data:
            raise UserError(f"Task {task.id} is of a file. Give the documents to judge by: env.documents=FILE.jsonl")
        pair = Pair(task.id, task.messages[-1]["content"], Document(task.id, task.data["document"]))
        with _preparing:  # many episodes start at once, and documents and index are made by one of them
            documents = known(self.documents, task.data.get("world", 0), task.data.get("size", 0))
            return GorillaEpisode(self.rat.prompt(pair, documents, seed), _database(documents), self.metric)


class GorillaEpisode:
    """Over after one answer. `feedback` holds `accuracy`, `hallucination` and `error`, one of them 1 and the others 0;
    `retrieved`, 1 where the right document was shown; `success`, whether it is accurate."""

    def __init__(self, prompt: Prompt, database: Database, metric: str) -> None:
        self._prompt, self._database, self._metric = prompt, database, metric

    @property
    def tools(self) -> list[Tool]:
        return []

    def start(self) -> list[Message]:
        return self._prompt.messages

    def step(self, action: Message) -> Observation:
        judge = self._database.judge if self._metric == "gorilla" else self._database.judge_legacy
        verdict = judge(action.get("content") or "", self._prompt.wanted)
        facts = {name: float(verdict == name) for name in ("accuracy", "hallucination", "error")}
        shown, right = self._prompt.shown, verdict == "accuracy"
        facts["retrieved"] = float(shown is not None and shown.call == self._prompt.wanted.call)
        return Observation([], float(right), True, self._prompt.messages[-1]["content"], {"success": right, **facts})

    def close(self) -> None:
        pass


@lru_cache(8)
def _database(documents: tuple[Document, ...]) -> Database:
    return Database(documents)
