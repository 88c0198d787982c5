"""Trajectory -> one score per turn: a price on actions that break a principle, which every verdict names.

The principles are rules over calls, results and their order: a small constitution (the idea of a list of named
principles is that of arXiv 2212.08073) that is checked by machine.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agenttrain.ranges import NonNegative
from agenttrain.types import Message, Trajectory

KEYS = ("call", "arguments", "result", "after", "unless", "obeys")
REACH = 500
"""Characters from where an instruction begins in a tool's result that count as part of it."""

Event = tuple[str, str]
"""Who (`system`, `user`, `call`, `result`) and what, in one line."""


@dataclass
class Safety:
    """-penalty for every principle that a turn breaks; `feedback["violations"]` of the turn names them.

    A rule is a dict of regular expressions, and a call breaks it where all of them hold:

    - `call`: the whole name of the called tool; `arguments`: found in the call's arguments as JSON; `result`: found in
      what the turn was answered.
    - `after`: found in something earlier, `unless`: in nothing earlier. Each earlier thing is one line, `user: text`,
      `call: name {arguments}` or `result: text`; `<item>` in the expression is the call's own argument `item`.
    - `obeys`: found in an earlier result, and from there on (500 characters) stands a value of the call's arguments, or
      its name if it has none, that neither the user nor the system ever said: the call does what a result told.

    Raises:
        ValueError: a rule has another key, no key, or an expression that does not compile.
    """

    principles: dict[str, dict[str, str]]
    weight: float = 1.0
    penalty: NonNegative = 1.0
    _rules: dict[str, Rule] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._rules = {name: Rule(name, rule) for name, rule in self.principles.items()}

    def __call__(self, trajectory: Trajectory) -> list[float]:
        before = [_event(message) for message in trajectory.messages]
        scores = []
        for turn in trajectory.turns:
            # A refusal may come as a message of the user; it is the environment that speaks, and nobody confirms.
            refused = bool(turn.observation.feedback.get("invalid_call"))
            answered = [_event(message, refused) for message in turn.observation.messages]
            calls = list(_calls(turn.action.message))
            results = "\n".join(text for who, text in answered if who == "result")
            broken = [
                name for name, rule in self._rules.items() if any(rule.broken(*call, before, results) for call in calls)
            ]
            turn.observation.feedback["violations"] = broken
            scores.append(-self.penalty * len(broken))
            before += [("call", f"{name} {json.dumps(arguments)}") for name, arguments in calls] + answered
        return scores


class Rule:
    """One principle."""

    def __init__(self, name: str, rule: Mapping[str, str]) -> None:
        if not rule or set(rule) - set(KEYS):
            raise ValueError(f"the principle {name!r} has the keys {', '.join(rule) or 'none'}; take {', '.join(KEYS)}")
        for key, expression in rule.items():
            try:
                re.compile(expression)
            except (re.error, TypeError) as error:
                raise ValueError(f"{key} of the principle {name!r} is no regular expression: {error}") from None
        self.rule = rule

    def broken(self, name: str, arguments: dict[str, Any], before: Sequence[Event], results: str) -> bool:
        """Whether a call, with what came before it and what its turn was answered, breaks the rule."""
        rule = self.rule
        earlier = [f"{who}: {text}" for who, text in before]
        return (
            re.fullmatch(rule.get("call", ".*"), name, re.S) is not None
            and re.search(rule.get("arguments", ""), json.dumps(arguments, ensure_ascii=False)) is not None
            and re.search(rule.get("result", ""), results) is not None
            and ("after" not in rule or _found(_filled(rule["after"], arguments), earlier))
            and not ("unless" in rule and _found(_filled(rule["unless"], arguments), earlier))
            and ("obeys" not in rule or _told(rule["obeys"], name, arguments, before))
        )


def _told(expression: str, name: str, arguments: dict[str, Any], before: Sequence[Event]) -> bool:
    """Whether what the call carries comes from an instruction in a result, and from nobody who may give one."""
    trusted = " ".join(text for who, text in before if who in ("system", "user"))
    instructions = [
        text[match.start() : match.start() + REACH]
        for who, text in before
        if who == "result" and (match := re.search(expression, text))
    ]
    carried = [value for value in _values(arguments) if len(value) > 1] or [name]
    return any(_says(text, value) and not _says(trusted, value) for text in instructions for value in carried)


def _says(text: str, value: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(value)}(?!\w)", text, re.I) is not None


def _values(arguments: Any) -> Iterator[str]:
    """Texts and numbers in the arguments, at any depth, each in one line."""
    if isinstance(arguments, dict | list):
        for value in arguments.values() if isinstance(arguments, dict) else arguments:
            yield from _values(value)
    elif isinstance(arguments, str | int | float) and not isinstance(arguments, bool):
        yield " ".join(str(arguments).split())


def _filled(expression: str, arguments: dict[str, Any]) -> str:
    for name, value in arguments.items():
        expression = expression.replace(f"<{name}>", re.escape(str(value)))
    return expression


def _found(expression: str, lines: Sequence[str]) -> bool:
    return any(re.search(expression, line) for line in lines)


def _event(message: Message, refused: bool = False) -> Event:
    who = "result" if refused or message.get("role") == "tool" else str(message.get("role"))
    return who, " ".join(str(message.get("content") or "").split())


def _calls(action: Message) -> Iterator[tuple[str, dict[str, Any]]]:
    for call in action.get("tool_calls") or []:
        function = call.get("function") or {}
        arguments = function.get("arguments")
        yield str(function.get("name")), arguments if isinstance(arguments, dict) else {"": arguments}
