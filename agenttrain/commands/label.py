"""`agenttrain label`: stored trajectories -> a person's answers about them, for reward-model."""

from __future__ import annotations

import json
import random
import shutil
import sys
from collections.abc import Container, Iterator
from itertools import combinations, zip_longest
from pathlib import Path

from agenttrain import store
from agenttrain.errors import UserError
from agenttrain.labels import SKIPPED, Ask, Labels, Question
from agenttrain.preferences import usable
from agenttrain.terminal import visible
from agenttrain.types import Message, Trajectory, Turn

KEYS: dict[Ask, dict[str, str | int]] = {
    "pairs": {"1": "first", "2": "second", "=": "equal"},
    "ratings": {str(mark): mark for mark in range(1, 6)},
    "turns": {"+": "good", "0": "neutral", "-": "bad"},
}
HELP = {
    "pairs": "which is better? 1, 2, or = for neither",
    "ratings": "how good? 1 (bad) to 5",
    "turns": "this turn? + good, 0 neither, - bad",
}
NOTHING = {
    "pairs": "no task has two played episodes",
    "mixed": "no task has both a success and a failure",
    "ratings": "there is no played episode",
    "turns": "there is no played episode",
}
MORE = "Play each task several times: agenttrain generate-trajectories attempts=4"
NARROW = 100
"""Columns of a terminal below which two episodes stand one below the other."""


def label(
    path: Path,
    out: Path | None = None,
    ask: Ask = "pairs",
    most: int = 4,
    mixed: bool = False,
    seed: int = 0,
    as_json: bool = False,
) -> None:
    """Show what has no answer yet, and append each answer to the file as it is given; ends when all is answered, at
    `q`, or at the end of the input.

    Args:
        path: a trajectory file, or the folder of a run.
        out: the file of answers; None for `labels.jsonl` beside the trajectories.
        most: pairs of one task, or trajectories of one where each is asked about.
        mixed: of pairs, ask only about those of which one succeeded.
        seed: of the order, and of which of two stands first.
        as_json: print counts as one JSON object at the end, and the questions to stderr.

    Raises:
        UserError: no trajectories, nothing to ask about, or a file that holds something else.
    """
    if mixed and ask != "pairs":
        raise UserError(f"--mixed chooses pairs, and --ask {ask} shows one episode at a time: leave one of them out.")
    file = path / "trajectories.jsonl" if path.is_dir() else path
    labels = Labels(out or file.parent / "labels.jsonl")
    every = list(questions(usable(store.read(file)), ask, most, mixed, seed))
    if not every:
        raise UserError(f"Nothing to ask: {NOTHING['mixed' if mixed else ask]} in {file}.\n{MORE}")
    said = Terminal(sys.stderr if as_json else sys.stdout)
    _ask_all(every, labels, said)
    answered = sum(question.key in labels.answers for question in every)
    if as_json:
        print(json.dumps({"answered": answered, "questions": len(every), "labels": str(labels.path)}))
    else:
        print(f"\n{answered} of {len(every)} answered: {labels.path}")


def questions(played: list[Trajectory], ask: Ask, most: int, mixed: bool, seed: int) -> Iterator[Question]:
    """In an order of chance, one of each task before the second of any."""
    rng = random.Random(f"label/{seed}")
    tasks: dict[str, list[Trajectory]] = {}
    for trajectory in played:
        tasks.setdefault(trajectory.task.id, []).append(trajectory)
    rows: list[list[list[Question]]] = []
    for attempts in rng.sample(list(tasks.values()), len(tasks)):
        if ask == "pairs":
            pairs = [pair for pair in combinations(attempts, 2) if not mixed or pair[0].success != pair[1].success]
            drawn = rng.sample(pairs, min(most, len(pairs)))
            rows.append([[Question(ask, tuple(rng.sample(pair, 2)))] for pair in drawn])
        else:
            drawn = rng.sample(attempts, min(most, len(attempts)))
            rows.append([_about(trajectory, ask) for trajectory in drawn])
    for row in zip_longest(*rows, fillvalue=[]):
        yield from (question for together in row for question in together)


def _about(trajectory: Trajectory, ask: Ask) -> list[Question]:
    if ask == "ratings":
        return [Question(ask, (trajectory,))]
    return [Question(ask, (trajectory,), turn) for turn in range(len(trajectory.turns))]


def _ask_all(every: list[Question], labels: Labels, said: Terminal) -> None:
    place, back = 0, False
    while 0 <= place < len(every):
        question = every[place]
        if question.key in labels.answers and not back:
            place += 1
            continue
        back = False
        said.show(question, f"{place + 1} of {len(every)}, task {visible(question.shown[0].task.id)}")
        keys = KEYS[question.ask]
        answer = said.read(f"{HELP[question.ask]}; s skip, b back, q quit > ", {*keys, "s", "b", "q"})
        if answer in (None, "q"):
            return
        if answer == "b":
            place, back = max(place - 1, 0), True
            continue
        labels.write(question, SKIPPED if answer == "s" else keys[str(answer)])
        place += 1


class Terminal:
    """A person, or a program in the place of one: lines in, text out."""

    def __init__(self, out: object) -> None:
        from rich.console import Console

        columns = shutil.get_terminal_size().columns
        self.console = Console(file=out, highlight=False, markup=False, emoji=False, width=columns)  # type: ignore[arg-type]

    def show(self, question: Question, title: str) -> None:
        """The episodes, beside each other where there is room; nothing in them steers the terminal."""
        from rich.table import Table
        from rich.text import Text

        self.console.rule(Text(title))
        openings = ["\n".join(_opening(trajectory)) for trajectory in question.shown]
        if len({*openings}) == 1:  # what both began with is read once
            self.console.print(Text(openings[0]))
            openings = [""] * len(openings)
        told = ["\n".join(_turns(trajectory, question.turn)) for trajectory in question.shown]
        parts = [Text("\n".join(filter(None, both))) for both in zip(openings, told, strict=True)]
        if len(parts) == 2 and self.console.width >= NARROW:
            table = Table("1", "2", expand=True, show_lines=True)
            table.add_row(*parts)
            self.console.print(table)
            return
        for number, part in enumerate(parts, start=1):
            if len(parts) > 1:
                self.console.rule(str(number))
            self.console.print(part)

    def read(self, prompt: str, words: Container[str]) -> str | None:
        """The next line that is one of the words; None at the end of the input or at Ctrl-C."""
        while True:
            self.console.print(prompt, end="")
            try:
                line = sys.stdin.readline()
            except KeyboardInterrupt:
                return None
            if not line:
                return None
            if (word := line.strip().lower()) in words:
                return word
            self.console.print(f"{visible(word)!r} is no answer.")


def _opening(trajectory: Trajectory) -> Iterator[str]:
    for message in trajectory.messages:
        yield from _message(message)


def _turns(trajectory: Trajectory, last: int | None) -> Iterator[str]:
    """All of an episode's, or as far as turn `last` and what answered it."""
    for number, turn in enumerate(trajectory.turns if last is None else trajectory.turns[: last + 1]):
        yield f"{'>> ' if number == last else ''}Turn {number + 1}"
        yield from _turn(turn)


def _turn(turn: Turn) -> Iterator[str]:
    yield from _message(turn.action.message)
    for call in turn.action.message.get("tool_calls") or []:
        made = call.get("function") or {}
        yield visible(f"  {made.get('name')} {json.dumps(made.get('arguments'), ensure_ascii=False)}")
    for message in turn.observation.messages:
        yield from _message(message)


def _message(message: Message) -> Iterator[str]:
    if text := str(message.get("content") or ""):
        yield visible(f"  {message['role']}: {text}").replace("\n", "\n    ")
