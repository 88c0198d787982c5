"""Files of requests and the APIs that they ask for -> Pair: what self-instruct left, or APIBench (arXiv 2305.15334)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agenttrain import store
from agenttrain.errors import UserError
from agenttrain.gorilla.documents import Document, fault_of
from agenttrain.jsonfile import read_records

_INSTRUCTION = re.compile(
    r"Instruction['\"]?\s*:\s*(.*?)(?=,?\s*(?:\n|#+\s*Output|['\"]?Output['\"]?\s*:|<<<)|$)", re.S
)


@dataclass(frozen=True)
class Pair:
    """A request, and the document of the API that it asks for."""

    id: str
    request: str
    document: Document


def read_pairs(path: str) -> Iterator[Pair | str]:
    """Every record in order: a pair, or why it is none. The file is a trajectory file of `env=self_instruct`, or
    APIBench's, whose records have `code` and `api_data`.

    Raises:
        UserError: no such file, or one of another form.
    """
    if _is_trajectories(path):
        yield from _from_trajectories(path)
        return
    for number, (place, record) in enumerate(read_records(path), start=1):
        data = record.get("api_data") if isinstance(record, dict) else None
        if not isinstance(data, dict) or not isinstance(record.get("code"), str):
            raise UserError(
                f'{place}: expected a trajectory of env=self_instruct, or APIBench\'s {{"code", "api_data"}}.'
            )
        told = _INSTRUCTION.search(record["code"])
        request, name = told[1].strip(" \n'\"") if told else "", f"{Path(path).stem}/{number}"
        yield fault_of(data) or (Pair(name, request, Document(name, data)) if request else "no request")


def _from_trajectories(path: str) -> Iterator[Pair | str]:
    for number, trajectory in store.numbered(path):
        document: Any = trajectory.task.data.get("document")
        if not isinstance(document, dict):
            raise UserError(f"{path}:{number}: an episode of another environment than env=self_instruct.")
        if not trajectory.success:
            yield "no request was accepted"
        else:
            request = trajectory.turns[-1].action.message["content"].strip()
            yield Pair(f"{trajectory.task.id}#{trajectory.attempt}", request, Document(trajectory.task.id, document))


def _is_trajectories(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return "schema" in json.loads(file.readline())
    except (OSError, ValueError, TypeError):
        return False  # the other reader says what is wrong
