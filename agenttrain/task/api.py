"""-> Task: what clients of invented services want, or a file of wishes at a service of one's own."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from agenttrain.errors import UserError
from agenttrain.jsonfile import read_records
from agenttrain.ranges import Count, Whole
from agenttrain.services.trade import SEEN, UNSEEN, Trade
from agenttrain.services.wishes import wishes
from agenttrain.types import Message, Task

SYSTEM = "Do what is asked for with the tools, and nothing else. Then finish, with the answer if there is a question."


class Api:
    """Wishes of one split. Which split one belongs to is decided by what it asks and of whom, never by a seed.

    Args:
        split: `train`, `heldout` (other wishes at the same services) or `unseen` (services, and so tools, that no task
            of the other two has); a file has `train` and `heldout`; `all` joins what there is.
        n: number of tasks; None for all there are.
        seed: of the choice among the split's wishes and of their order.
        services: names of the services that are asked; None for all of the split.
        copies: of each service, with other clients and things.
        wishes: a file in place of the invented services, JSON Lines or a JSON array, of `{"wish": text}` with `answer`
            (a text) or `calls` (a list of `{"name", "arguments"}` after which the state is right), or both.
    """

    def __init__(
        self,
        split: Literal["train", "heldout", "unseen", "all"] = "train",
        n: Count | None = None,
        seed: Whole = 0,
        services: Sequence[str] | None = None,
        copies: Count = 8,
        wishes: str | None = None,
    ) -> None:
        if split not in ("train", "heldout", "unseen", "all"):
            raise UserError(f"No split {split!r} in task=api. Choose one of: train, heldout, unseen, all.")
        if split == "unseen" and wishes:
            raise UserError("A file of wishes has no split 'unseen'. Choose one of: train, heldout, all.")
        self.split, self.n, self.seed = split, n, seed
        self.services, self.copies, self.wishes = services, copies, wishes

    def __iter__(self) -> Iterator[Task]:
        """
        Raises:
            UserError: the file is missing or malformed, no service is left, or there are fewer than `n` tasks.
        """
        tasks = list(self._from_file(self.wishes) if self.wishes else self._invented())
        if self.n is not None and self.n > len(tasks):
            raise UserError(f"task=api has {len(tasks)} tasks in split {self.split}, not {self.n}. Lower task.n.")
        return iter(random.Random(f"api/{self.seed}").sample(tasks, len(tasks) if self.n is None else self.n))

    def _invented(self) -> Iterator[Task]:
        for trade in self._trades():
            for rows in range(self.copies):
                for wish in wishes(trade, rows):
                    name = f"api/{trade.name}-{rows}/{wish.text.replace(' ', '_')}"
                    if trade in UNSEEN or self._ours(name):
                        question = {} if wish.answer is None else {"answer": wish.answer}
                        answer = {"calls": [list(call) for call in wish.calls], **question}
                        yield Task(name, _opening(wish.text), answer, {"service": trade.name, "rows": rows})

    def _trades(self) -> list[Trade]:
        of_split = {"unseen": UNSEEN, "all": SEEN + UNSEEN}.get(self.split, SEEN)
        names = [trade.name for trade in of_split]
        for name in self.services or ():
            if name not in names:
                raise UserError(f"Split {self.split} of task=api has no service {name!r}, but: {', '.join(names)}.")
        return [trade for trade in of_split if self.services is None or trade.name in self.services]

    def _from_file(self, path: str) -> Iterator[Task]:
        for number, (place, record) in enumerate(read_records(path, wish=str), start=1):
            answer = {key: record[key] for key in ("answer",) if record.get(key) is not None}
            if "calls" in record:
                answer["calls"] = _calls(record["calls"], place)
            if not answer or not isinstance(answer.get("answer", ""), str):
                raise UserError(f"{place}: a wish needs an answer (a text), or the calls that fulfil it.")
            if self._ours(record["wish"]):
                yield Task(f"wish/{number}", _opening(record["wish"]), answer, {"wish": number})

    def _ours(self, subject: str) -> bool:
        """A fixed fifth is held out, for every seed."""
        heldout = zlib.crc32(subject.encode()) % 5 == 0
        return self.split == "all" or heldout == (self.split == "heldout")


def _calls(given: Any, place: str) -> list[list[Any]]:
    try:
        calls = [[call["name"], call.get("arguments", {})] for call in given]
    except (TypeError, KeyError, AttributeError):
        raise UserError(f"{place}: calls are a list of {{'name': text, 'arguments': object}}.") from None
    return calls


def _opening(wish: str) -> list[Message]:
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": wish}]
