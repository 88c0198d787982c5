"""`agenttrain inspect`: what `sft` would train, token by token, and whether every mask is right."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from agenttrain import store
from agenttrain.config.compose import compose
from agenttrain.errors import UserError
from agenttrain.terminal import visible
from agenttrain.trainer.masks import find_fault, label_all, retokenized
from agenttrain.trainer.tokens import IGNORED, Tokens, label_example
from agenttrain.types import Example, Trajectory

if TYPE_CHECKING:
    from rich.console import Console

    from agenttrain.model.chat import Chat

STYLES = {"loss": "bold green", "no loss": "yellow", "shown": "dim"}
"""Of tokens with loss, sampled ones without, and those the model is only shown."""
MARKS = {"loss": ("[[", "]]"), "no loss": ("((", "))"), "shown": ("", "")}
"""Around them where there is no terminal."""


def inspect(
    path: Path,
    data: str | None = None,
    model: str | None = None,
    n: int = 3,
    overrides: Sequence[str] = (),
    config_dir: Path | None = None,
    as_json: bool = False,
) -> int:
    """Show the first `n` records of a data file, trajectory file or run folder, and check the masks of all.

    Args:
        data: option of the group `data` that reads the file; None for trajectories.
        model: whose tokens: `tiny`, a folder or a name on the hub; None for the run's own model, or else `tiny`.
        overrides: further overrides of `sft`, such as `algo.max_length=512`.
        config_dir: a folder with options and recipes of one's own.
        as_json: print one object with the counts, or the fault, in place of the records.

    Returns:
        1 if training on this would stop with a fault, else 0.

    Raises:
        UserError: no such file, or it cannot be read.
    """
    from rich.console import Console

    file = path / "trajectories.jsonl" if path.is_dir() else path
    settings = _settings_of_sft(path)
    chosen = [*settings, *overrides] if settings else _choose(file, data, overrides)
    options = compose("sft", chosen, config_dir).call().keywords
    algo, source = options["algo"], options["data"]
    examples = list(source)
    chat = _chat(model or (str(path / "model") if (path / "model").is_dir() else "tiny"))
    trajectories = dict(store.numbered(file)) if "data=trajectories" in chosen and not settings else {}
    console = Console(soft_wrap=True, highlight=False, markup=False, quiet=as_json)
    _legend(console)
    for example in examples[:n]:
        number = example.source.rpartition(":")[2]
        trajectory = trajectories.get(int(number)) if number.isdigit() else None
        _show(console, example, label_example(example, chat, algo.max_length, algo.overlong), chat, trajectory)
    try:
        labelled, account = label_all(examples, chat, algo.max_length, algo.overlong)
    except UserError as fault:
        console.print(f"Fault: {fault}", style="bold red")
        if as_json:
            print(json.dumps({"fault": str(fault)}))
        return 1
    read = source.report
    why_dropped = dict((read.dropped + account.dropped).most_common())
    dropped = "".join(f", {count} dropped ({why})" for why, count in why_dropped.items())
    console.print(
        f"\nAll masks are right. {read.records} records: {account.kept} kept, {account.truncated} of them truncated"
        f"{dropped}; {account.tokens} tokens, {account.trained} with loss."
    )
    recorded = [(example, tokens) for example, tokens in labelled if example.ids is not None]
    if other := sum(retokenized(example, tokens, chat) for example, tokens in recorded):
        console.print(f"{other} turns were sampled in other tokens than their text would get; they train as sampled.")
    if as_json:
        counts = {name: getattr(account, name) for name in ("kept", "truncated", "tokens", "trained")}
        print(
            json.dumps({"fault": None, "records": read.records, **counts, "retokenized": other, "dropped": why_dropped})
        )
    return 0


def _settings_of_sft(folder: Path) -> list[str]:
    """The overrides with which a run of `sft` chose and cut its records; none if `folder` is no such run."""
    import yaml

    file = folder / "config.yaml"
    config = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else {}
    if "data" not in config:
        return []
    option = config["data"]["_target_"].split(".")[-2]
    chosen = {f"data.{key}": value for key, value in config["data"].items() if key != "_target_"}
    chosen |= {f"algo.{key}": config["algo"][key] for key in ("max_length", "overlong")}
    return [f"data={option}", *(f"{key}={json.dumps(value)}" for key, value in chosen.items())]


def _choose(file: Path, data: str | None, overrides: Sequence[str]) -> list[str]:
    """Overrides of `sft` that read `file`."""
    named = any(override.startswith(("data=", "conf=")) for override in overrides)
    if data is None and not named:
        if not _holds_trajectories(file):
            raise UserError(f"{file} holds no trajectories. Say what it is: --data chat, fireact or sharegpt.")
        data = "trajectories"
    chosen = [f"data={data}"] if data else []
    # Of a run, failed episodes are worth a look too.
    chosen += ["data.success=null"] if data == "trajectories" else []
    quoted = str(file).replace("'", "\\'")
    return [*chosen, *overrides, f"data.path='{quoted}'"]


def _holds_trajectories(file: Path) -> bool:
    try:
        with file.open(encoding="utf-8") as lines:
            record = json.loads(lines.readline())
    except OSError as error:
        raise UserError(f"Cannot read {file}: {error.strerror}.") from None
    except ValueError:
        return False
    return isinstance(record, dict) and record.get("schema") == store.SCHEMA


def _chat(model: str) -> Chat:
    """The chat of a model whose weights are not needed."""
    from transformers import AutoTokenizer

    from agenttrain.model.chat import Chat
    from agenttrain.model.tiny import TOKENIZER

    try:
        return Chat(AutoTokenizer.from_pretrained(TOKENIZER if model == "tiny" else model))
    except (OSError, ValueError) as error:
        raise UserError(f"--model {model}: no tokenizer there ({str(error).strip().splitlines()[0]}).") from None


def _show(console: Console, example: Example, tokens: Tokens, chat: Chat, trajectory: Trajectory | None) -> None:
    cut = f", {tokens.lost} cut off" if tokens.lost else ""
    outcome = {True: ", succeeded", False: ", failed", None: ""}[example.success]
    counts = f"{len(tokens.ids)} tokens, {tokens.trained} with loss{cut}{outcome}"
    console.print(f"\n=== {visible(example.source or example.id)}: {counts}", style="bold")
    for turn, kind, ids in _segments(tokens):
        console.print(f"--- turn {turn}{_values(trajectory, turn)}" if turn >= 0 else "--- shown", style="blue")
        left, right = ("", "") if console.is_terminal else MARKS[kind]
        console.print(f"{left}{visible(str(chat.tokenizer.decode(ids)))}{right}", style=STYLES[kind])
    if fault := find_fault(example, tokens, chat):
        console.print(f"Fault: {fault}", style="bold red")


def _segments(tokens: Tokens) -> Iterator[tuple[int, str, list[int]]]:
    """Neighbouring tokens of one turn and kind: (turn or -1, kind, ids)."""

    def key(row: tuple[int, int, int]) -> tuple[int, str]:
        _, label, turn = row
        return turn, "loss" if label != IGNORED else "shown" if turn < 0 else "no loss"

    for (turn, kind), rows in groupby(zip(tokens.ids, tokens.labels, tokens.turn, strict=True), key):
        yield turn, kind, [token for token, _, _ in rows]


def _values(trajectory: Trajectory | None, turn: int) -> str:
    """Scores and advantage of a turn, where there are any."""
    if trajectory is None:
        return ""
    place = turn - sum(message["role"] == "assistant" for message in trajectory.messages)
    scores = trajectory.scores | {"advantage": trajectory.meta.get("advantages") or []}
    return "".join(f", {name} {values[place]:.3g}" for name, values in scores.items() if 0 <= place < len(values))


def _legend(console: Console) -> None:
    for kind, style in STYLES.items():
        left, right = ("", "") if console.is_terminal else MARKS[kind]
        console.print(f"{left}{kind}{right} ", style=style, end="")
    console.print()
