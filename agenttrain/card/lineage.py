"""A coder, a judge -> version after version until one is accepted; each is kept with what it was written for."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from agenttrain.card.coder import Coder
from agenttrain.card.judge import Judge, Verdict
from agenttrain.errors import UserError
from agenttrain.types import Message

BETTER = "Write a better version: the whole function in one block of ```python."


@dataclass
class Version:
    """One reply of the coder."""

    name: str
    parent: str | None
    """The function that it was shown with what was found of it, if any."""
    asked: list[Message]
    reply: str
    source: str | None
    """The function in the reply; None where it has none."""


@dataclass
class Parent:
    """The function to improve on, and what the coder is told of it."""

    name: str
    source: str
    feedback: str

    def asked(self) -> list[Message]:
        """As if the coder had written it."""
        return [
            {"role": "assistant", "content": f"```python\n{self.source.rstrip()}\n```"},
            {"role": "user", "content": f"{self.feedback}\n\n{BETTER}"},
        ]


@dataclass
class Lineage:
    """`<folder>/version_1.json` with all that is known of a version and `version_1.py` with its source, and so on; what
    stands there is not asked for again."""

    folder: Path

    def written(self, coder: Coder, judge: Judge, rounds: int, parent: Parent | None) -> Iterator[tuple[Verdict, str]]:
        """At most `rounds` versions, each with its source and verdict; the first that is accepted is the last.

        Raises:
            InfraError: the coder's server or the sandbox failed; what was written before is kept.
            UserError: the server refuses; the folder has versions that something else was asked for.
        """
        order = coder.order(judge)
        for number in range(1, rounds + 1):
            name = f"version_{number}.py"
            asked = order + (parent.asked() if parent else [])
            version = self._known(name, asked)
            if version is None:
                reply, source = coder.write(asked, number)
                version = Version(name, parent.name if parent else None, asked, reply, source)
                self._keep(version)
            if version.source is None:
                verdict = Verdict(name, False, None, False, "is missing: no reply had a function in a block of code")
            else:
                verdict = judge(name, version.source)
            yield replace(verdict, parent=version.parent), version.source or ""
            if verdict.accepted:
                return
            if version.source is not None:
                parent = Parent(name, version.source, coder.feedback(verdict, judge))

    def _known(self, name: str, asked: list[Message]) -> Version | None:
        file = (self.folder / name).with_suffix(".json")
        if not file.is_file():
            return None
        version = Version(**json.loads(file.read_text(encoding="utf-8")))
        if version.asked != asked:
            raise UserError(
                f"{file} was asked for with other trajectories, functions or settings. Take those, or another out=..."
            )
        return version

    def _keep(self, version: Version) -> None:
        """The whole record takes its name in one step: a kill leaves none or all of it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / version.name
        if version.source is not None:
            file.write_text(version.source, encoding="utf-8")
        part = file.with_suffix(".part")
        with part.open("w", encoding="utf-8") as to:
            json.dump(asdict(version), to, indent=1)
            to.flush()
            os.fsync(to.fileno())
        part.replace(file.with_suffix(".json"))
