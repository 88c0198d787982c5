"""Task -> Episode: search a corpus until the answer is found, then finish with it."""

from __future__ import annotations

import random
import re
import string
import threading
from collections import Counter
from functools import cache
from typing import Any

from agenttrain.bm25 import Index, index_of
from agenttrain.env.tools import BadCall, answers, read_call, refused, tool
from agenttrain.errors import UserError
from agenttrain.types import Message, Observation, Task, Tool
from agenttrain.worlds.people import World

TOOLS = [
    tool("search", "Find a passage.", query={"type": "string"}),
    tool("finish", "Give the answer.", answer={"type": "string"}),
]
NOTHING = "Nothing found."

_building = threading.Lock()


class Hopqa:
    """The corpus of `task=hopqa`'s invented world, or one of the user's; indexed once per process, at first use.

    Args:
        k: most passages that a search returns.
        corpus: a file of `{"title", "text"}` records (JSON Lines or a JSON array) in place of the invented world.
        noise: share of searches, 0 to 1, answered by nothing or by random passages (each in half of the cases), as
            in FireAct's test of robustness (arXiv 2310.05915).
        max_chars: most characters of an observation; what is longer is cut.
    """

    def __init__(self, k: int = 1, corpus: str | None = None, noise: float = 0.0, max_chars: int = 1000) -> None:
        if k < 1 or max_chars < 1 or not 0 <= noise <= 1:
            raise UserError(
                f"env=hopqa takes k and max_chars from 1, noise from 0 to 1; not {k}, {max_chars}, {noise}."
            )
        self.k, self.corpus, self.noise, self.max_chars = k, corpus, noise, max_chars

    def episode(self, task: Task, seed: int) -> HopqaEpisode:
        """
        Raises:
            UserError: the corpus is missing or malformed, or there is neither a corpus nor an invented world.
        """
        with _building:  # many episodes start at once, and the index is built by one of them
            if self.corpus:
                index = index_of(self.corpus)
            elif "world" in task.data:
                index = _world_index(task.data["world"], task.data["size"])
            else:
                raise UserError(
                    f"Task {task.id} has no invented world to search. Give the corpus: env.corpus=FILE.jsonl"
                )
        return HopqaEpisode(task, index, self, random.Random(seed))


class HopqaEpisode:
    """One attempt, over at the first `finish`.

    `feedback` of a search holds `found`: whether a passage that the answer rests on was shown for the first time
    (absent where the task does not name such passages); of a finish `success` (exact match) and `f1`.
    """

    def __init__(self, task: Task, index: Index, settings: Hopqa, rng: random.Random) -> None:
        self.task, self.index, self.settings, self._rng = task, index, settings, rng
        self.seen: set[int] = set()
        """Numbers of the passages shown so far."""

    @property
    def tools(self) -> list[Tool]:
        return TOOLS

    @property
    def state(self) -> str:
        """Question and passages seen, in whatever order: what the policy can know."""
        return f"{self.task.messages[-1]['content']} {sorted(self.seen)}"

    def start(self) -> list[Message]:
        return self.task.messages

    def step(self, action: Message) -> Observation:
        state, call = self.state, read_call(action, TOOLS)
        if isinstance(call, BadCall):
            return refused(action, call, state)
        if call.name == "search":
            text, facts = self._search(call.arguments["query"])
            return Observation(answers(action, call, text), state=state, feedback=facts)
        return finished(call.arguments["answer"], self.task.answer, state)

    def close(self) -> None:
        pass

    def _search(self, query: str) -> tuple[str, dict[str, Any]]:
        """What is shown, and the facts of this step."""
        numbers = self.index.search(query, self.settings.k)
        if self._rng.random() < self.settings.noise:
            numbers = (
                self._rng.sample(range(len(self.index.passages)), len(numbers)) if self._rng.random() < 0.5 else []
            )
        passages = {number: self.index.passages[number] for number in numbers}
        gold = self.task.data.get("gold")
        found = any(passage.title in (gold or ()) for number, passage in passages.items() if number not in self.seen)
        self.seen.update(numbers)
        text = "\n".join(map(str, passages.values())) or NOTHING
        return text[: self.settings.max_chars], {} if gold is None else {"found": found}


def normalise(text: str) -> str:
    """SQuAD's form for comparing answers (arXiv 1606.05250): no case, punctuation, articles or extra spaces."""
    text = "".join(character for character in text.lower() if character not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def exact_match(given: str, gold: str) -> bool:
    """SQuAD's EM."""
    return normalise(given) == normalise(gold)


def f1(given: str, gold: str) -> float:
    """HotpotQA's F1 (arXiv 1809.09600): SQuAD's over words, but a yes or no is right or wrong as a whole."""
    a, b = normalise(given), normalise(gold)
    if a == b:
        return 1.0
    if {a, b} & {"yes", "no", "noanswer"}:
        return 0.0
    common = (Counter(a.split()) & Counter(b.split())).total()
    return 2 * common / len(a.split() + b.split()) if common else 0.0


def finished(given: str, gold: str, state: str) -> Observation:
    """The end of an episode by an answer; `feedback` holds `success` (exact match) and `f1`."""
    success = exact_match(given, gold)
    return Observation([], float(success), True, state, {"success": success, "f1": f1(given, gold)})


@cache
def _world_index(seed: int, size: int) -> Index:
    return Index(World(seed, size).passages)
