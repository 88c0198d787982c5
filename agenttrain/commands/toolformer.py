"""The two steps of Toolformer (arXiv 2302.04761) that play no episodes: annotate a corpus, evaluate continuations.

`conf=toolformer` puts them in the place of `generate-trajectories` and `eval`; its `sft` is the ordinary one.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from agenttrain import store
from agenttrain.commands import eval as evaluation
from agenttrain.eval import report
from agenttrain.jsonfile import read_records
from agenttrain.model.loaded import Model
from agenttrain.model.threads import settle_threads
from agenttrain.ranges import Count, Whole
from agenttrain.rollout import stable_seed
from agenttrain.tool.text_tool import TextTool
from agenttrain.toolformer.annotate import Annotator
from agenttrain.toolformer.corpus import Annotated, read_day, read_texts
from agenttrain.toolformer.decode import Continuation, Decoder
from agenttrain.types import Action, Observation, Task, Trajectory, Turn
from agenttrain.watch import progress


def annotate(
    model: Model,
    tools: dict[str, TextTool],
    annotator: Annotator,
    corpus: str,
    out: Path,
    today: str = "2023-01-30",
    batch: Count = 32,
    seed: Whole = 0,
    resume: bool = False,
    threads: Count | None = None,
) -> None:
    """Put calls that help into the texts of `corpus`; leave `annotated.jsonl`, `candidates.jsonl` and `report.md`.

    Args:
        today: the day on which texts without a `date` of their own are read.
        batch: texts that are annotated together.

    Raises:
        UserError: no texts, a tool's file that is missing or malformed, or `out` holds another corpus.
    """
    texts = read_texts(corpus, read_day(today, "today"))
    files = Annotated(out, texts, batch)
    loaded = model.load()
    settle_threads(loaded.model, threads)
    loaded.model.eval()
    with progress("annotating", len(texts) - files.done, "texts") as bar:
        for start in range(files.done, len(texts), batch):
            some = texts[start : start + batch]
            files.add(some, *annotator.annotate(loaded, some, list(tools.values()), stable_seed(seed, start)))
            bar.advance(len(some), texts_with_calls=files.account.annotated)
    rows = list(files.account.facts().items())
    table = "".join(f"| {name} | {figure} |\n" for name, figure in rows)
    (out / "report.md").write_text(f"# {corpus}, annotated by {loaded.name}\n\n| | |\n|---|---|\n{table}")
    report.print_table(("figure", "value"), rows)
    print(f"texts: {files.texts}   candidates: {files.candidates}")


def evaluate(
    model: Model,
    tools: dict[str, TextTool],
    decoder: Decoder,
    questions: str,
    out: Path,
    match: Literal["number", "words"] = "number",
    today: str = "2023-01-30",
    threads: Count | None = None,
) -> None:
    """Continue the text of every `{"text", "answer"}`; leave `trajectories.jsonl`, `eval.json` and `report.md`.

    Args:
        match: `number`: the first number of the continuation is the answer; `words`: the answer is among its first
            five words. What a call holds counts for neither.
        today: the day on which the texts are read.

    Raises:
        UserError: no questions, or a tool's file that is missing or malformed.
    """
    tasks = [
        Task(f"{number}", [{"role": "user", "content": record["text"]}], str(record["answer"]))
        for number, (_, record) in enumerate(read_records(questions, text=str, answer=str))
    ]
    loaded = model.load()
    settle_threads(loaded.model, threads)
    loaded.model.eval()
    day, texts = read_day(today, "today"), [task.messages[0]["content"] for task in tasks]
    about = {"name": loaded.name, "k": decoder.k, "max_tokens": decoder.max_tokens}
    trajectories = []
    with store.Writer(out / "trajectories.jsonl") as writer, progress("evaluation", len(tasks), "texts") as bar:
        for start in range(0, len(tasks), ROWS):
            continued = decoder.write(loaded, texts[start : start + ROWS], list(tools.values()), day)
            for task, continuation in zip(tasks[start : start + ROWS], continued, strict=True):
                trajectories.append(_episode(task, continuation, match, about))
                writer.write(trajectories[-1])
            bar.advance(len(continued))
    evaluation.tell(
        report.evaluate(
            trajectories,
            policy=about,
            env=f"{Path(questions).name}",
            tasks=len(tasks),
            attempts=1,
            task_set=evaluation.task_set(tasks),
        ),
        trajectories,
        out,
    )


ROWS = 256
"""Texts that are continued before the bar moves."""


def _episode(task: Task, continuation: Continuation, match: str, about: dict[str, object]) -> Trajectory:
    """One turn: the continuation, and whether it is right. A call's success is told as a figure, too."""
    said, answer = continuation.said, str(task.answer)
    numbers = re.findall(r"-?\d+(?:\.\d+)?", said)
    first = " ".join(_words(said)[:5])
    right = numbers[:1] == [answer] if match == "number" else f" {' '.join(_words(answer))} " in f" {first} "
    opened = continuation.call is not None
    facts = {"success": right, "call_opened": float(opened), "call_executed": float(continuation.result is not None)}
    action = Action(
        {"role": "assistant", "content": continuation.text}, usage={"completion_tokens": continuation.tokens}
    )
    turn = Turn(action, Observation([], float(right), True, feedback=facts))
    return Trajectory(task, [turn], "done", task.messages, meta={"env": "toolformer", "policy": about})


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
