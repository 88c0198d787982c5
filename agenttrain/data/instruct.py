"""Instructions with their answers -> Example: the files of Self-Instruct (arXiv 2212.10560) and of Alpaca."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from agenttrain.data.select import Selected, find_fault
from agenttrain.errors import UserError
from agenttrain.jsonfile import read_records
from agenttrain.types import Example


@dataclass(kw_only=True)
class Instruct(Selected):
    """Each instance of a record `{"instruction", "instances": [{"input", "output"}]}`, or `{"instruction", "input",
    "output"}` as its only one, is a conversation: the instruction and, where there is any, the input below it; then the
    answer, which trains. Records say nothing of success: leave `success` at None."""

    def read(self, path: str) -> Iterator[Example | str]:
        for number, (place, record) in enumerate(read_records(path, instruction=str), start=1):
            name = str(record.get("id", number))
            for place_in, instance in enumerate(_instances(place, record)):
                given, answer = _text(place, instance, "input"), _text(place, instance, "output")
                asked = "\n\n".join(filter(None, (record["instruction"].strip(), given.strip())))
                messages = [
                    {"role": "user", "content": asked},
                    {"role": "assistant", "content": answer.strip(), "train": True},
                ]
                yield find_fault(messages) or Example(id=f"{name}#{place_in}", messages=messages, source=place)


def _instances(place: str, record: dict[str, Any]) -> list[dict[str, Any]]:
    instances = record.get("instances", [record])
    if not isinstance(instances, list) or not all(isinstance(instance, dict) for instance in instances):
        raise UserError(f'{place}: expected instances as a list of {{"input": text, "output": text}}.')
    return instances


def _text(place: str, instance: dict[str, Any], name: str) -> str:
    text = instance.get(name, "" if name == "input" else None)
    if not isinstance(text, str):
        raise UserError(f"{place}: '{name}' is missing or no text.")
    return text
