"""Task -> Episode: search a corpus of up to 100,000 passages, read some of them, then finish with the answer."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from agenttrain.bm25 import Passage
from agenttrain.env.corpus import Corpus, opened
from agenttrain.env.hopqa import NOTHING, finished
from agenttrain.env.tools import BadCall, answers, read_call, refused, tool
from agenttrain.errors import UserError
from agenttrain.jsonfile import read_records
from agenttrain.ranges import Count
from agenttrain.types import Message, Observation, Task, Tool
from agenttrain.worlds.library import Library

TOOLS = [
    tool("search", "Find passages: titles and how each begins.", query={"type": "string"}),
    tool("read", "Read a passage.", title={"type": "string"}),
    tool("finish", "Give the answer.", answer={"type": "string"}),
]

_opening = threading.Lock()


class Search:
    """The encyclopaedia of `task=search`, or a corpus of the user's; its index is built once and kept on disk.

    Args:
        corpus: a file in place of the encyclopaedia: `{"title", "text"}` records, or questions in HotpotQA's form,
            whose `context` paragraphs are then the corpus (JSON Lines or a JSON array).
        k: most passages that a search returns.
        snippet: characters of each that a search shows.
        max_chars: most characters of an observation; what is longer is cut.
        cache: folder of the indexes; None for `agenttrain/search` in the user's cache (`XDG_CACHE_HOME`).
    """

    def __init__(
        self,
        corpus: str | None = None,
        k: Count = 5,
        snippet: Count = 60,
        max_chars: Count = 2000,
        cache: str | None = None,
    ) -> None:
        self.corpus, self.k, self.snippet, self.max_chars, self.cache = corpus, k, snippet, max_chars, cache

    def episode(self, task: Task, seed: int) -> SearchEpisode:
        """
        Raises:
            UserError: the corpus is missing or malformed, or there is neither a corpus nor an encyclopaedia.
        """
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folder = str(self.cache or Path(home) / "agenttrain" / "search")
        with _opening:  # many episodes start at once, and the index is built by one of them
            if self.corpus:
                corpus = _of_file(self.corpus, folder)
            elif "library" in task.data:
                corpus = _of_library(task.data["library"], task.data["entries"], folder)
            else:
                raise UserError(f"Task {task.id} brings no corpus. Give one: env.corpus=FILE")
        return SearchEpisode(task, corpus, self)


class SearchEpisode:
    """One attempt, over at the first `finish`.

    `feedback` of a search holds `results` (how many passages), of a search and a reading `found`: whether a passage
    that the answer rests on was shown for the first time (absent where the task names none); `tool_error` where no
    passage has the title; of a finish `success` (SQuAD's exact match) and `f1`.
    """

    def __init__(self, task: Task, corpus: Corpus, settings: Search) -> None:
        self.task, self.corpus, self.settings = task, corpus, settings
        self.seen: set[str] = set()
        """Titles that a search has shown; those that were read, with an asterisk."""

    @property
    def tools(self) -> list[Tool]:
        return TOOLS

    @property
    def state(self) -> str:
        """Question and what has been seen, in whatever order: what the policy can know."""
        return f"{self.task.messages[-1]['content']} {sorted(self.seen)}"

    def start(self) -> list[Message]:
        return self.task.messages

    def step(self, action: Message) -> Observation:
        state, call = self.state, read_call(action, TOOLS)
        if isinstance(call, BadCall):
            return refused(action, call, state)
        if call.name == "finish":
            return finished(call.arguments["answer"], self.task.answer, state)
        text, facts = self._search(**call.arguments) if call.name == "search" else self._read(**call.arguments)
        return Observation(answers(action, call, text[: self.settings.max_chars]), state=state, feedback=facts)

    def close(self) -> None:
        pass

    def _search(self, query: str) -> tuple[str, dict[str, Any]]:
        passages = [self.corpus[number] for number in self.corpus.search(query, self.settings.k)]
        facts = {"results": len(passages), **self._shown(*(passage.title for passage in passages))}
        lines = (Passage(passage.title, _beginning(passage.text, self.settings.snippet)) for passage in passages)
        return "\n".join(map(str, lines)) or NOTHING, facts

    def _read(self, title: str) -> tuple[str, dict[str, Any]]:
        number = self.corpus.find(title)
        if number is None:
            return f"No passage has the title {title[:100]!r}.", {"tool_error": "no such title"}
        passage = self.corpus[number]
        facts = self._shown(passage.title)
        self.seen.add(f"{passage.title}*")
        return str(passage), facts

    def _shown(self, *titles: str) -> dict[str, bool]:
        gold, new = self.task.data.get("gold"), set(titles) - self.seen
        self.seen.update(titles)
        return {} if gold is None else {"found": bool(new & set(gold))}


def _beginning(text: str, characters: int) -> str:
    return text if len(text) <= characters else f"{text[:characters]}..."


@cache
def _of_library(seed: int, entries: int, cache: str) -> Corpus:
    library = Library(seed, entries)
    made = (library.entry(number) for number in range(library.entries))
    return opened((Passage(entry.title, entry.text) for entry in made), f"library-{seed}-{entries}", Path(cache))


@cache
def _of_file(path: str, cache: str) -> Corpus:
    try:
        digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from None
    return opened(_passages(path), f"{Path(path).stem}-{digest}", Path(cache))


def _passages(path: str) -> Iterator[Passage]:
    """Of HotpotQA's questions every paragraph once, as `[title, [sentence, ...]]` or as its Parquet copies have it."""
    records, told = read_records(path), set()
    for place, record in records:
        if not isinstance(record, dict) or not ("context" in record or {"title", "text"} <= record.keys()):
            raise UserError(f'{place}: a corpus has {{"title", "text"}} records, or questions with a "context".')
        context = record.get("context", [[record.get("title"), [record.get("text")]]])
        try:
            pairs = zip(context["title"], context["sentences"], strict=True) if isinstance(context, dict) else context
            for title, sentences in pairs:
                passage = Passage(title, "".join(sentences).strip())
                if passage not in told:
                    told.add(passage)
                    yield passage
        except (KeyError, TypeError, ValueError):
            raise UserError(f"{place}: 'context' is no list of [title, [sentence, ...]].") from None
