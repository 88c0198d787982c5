"""Wish -> calls: knows the forms of the invented wishes, and how the tools of invented services are named."""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator
from itertools import pairwise
from typing import Any

from agenttrain.errors import UserError
from agenttrain.policy.scripted import Scripted, call, dice
from agenttrain.ranges import Share
from agenttrain.types import Conversation, Message

_FORMS = {
    "make": r"Make a new (?P<deal>\w+) for the (?P<client>\w+) (?P<who>\w+): (?P<count>\d+) (?P<units>\w+) of the "
    r"(?P<thing>\w+) (?P<what>\w+)\.",
    "make cheapest": r"Make a new (?P<deal>\w+) for the (?P<client>\w+) (?P<who>\w+): (?P<count>\d+) (?P<units>\w+) of "
    r"the cheapest (?P<thing>\w+) with (?P<kind>\w+) (?P<value>\w+)\.",
    "cancel": r"Cancel the (?P<deal>\w+) of the (?P<client>\w+) (?P<who>\w+) for the (?P<thing>\w+) (?P<what>\w+)\.",
    "change": r"Change the (?P<deal>\w+) of the (?P<client>\w+) (?P<who>\w+) for the (?P<thing>\w+) (?P<what>\w+) to "
    r"(?P<count>\d+) (?P<units>\w+)\.",
    "cancel all": r"Cancel all (?P<deal>\w+)s of the (?P<client>\w+) (?P<who>\w+)\.",
    "cost": r"What do all (?P<deal>\w+)s of the (?P<client>\w+) (?P<who>\w+) cost\?",
    "left": r"How many (?P<units>\w+) of the (?P<thing>\w+) (?P<what>\w+) are left\?",
}
Step = tuple[str, dict[str, Any]]
Plan = Generator[Step, Any, str]
"""Gives calls, is sent what the service answered, and returns the answer to finish with."""


class ApiExpert(Scripted):
    """Looks up who and what is meant, does it, and finishes; asks again what failed, and waits where it is told to.

    Args:
        error: probability per turn, 0 to 1, of a look at what is not there or, as often, of giving up.
    """

    calls = frozenset({"finish"})

    def __init__(self, error: Share = 0.0) -> None:
        super().__init__()
        self.error = error

    def act(self, conversation: Conversation) -> Message:
        """
        Raises:
            UserError: the wish is none at an invented service.
        """
        chance = dice(conversation)
        if chance.random() < self.error:
            looks = [name for t in conversation.tools if (name := t["function"]["name"]).startswith("get_")]
            if not looks or chance.random() < 0.5:
                return call(conversation, "finish", answer="I do not know")
            return call(conversation, looks[0], **{looks[0].replace("get_", "") + "_id": 99})
        if pause := re.search(r"Retry-After: (\d+) turn", str(conversation.messages[-1].get("content"))):
            return call(conversation, "wait", turns=int(pause[1]))
        name, arguments = _next(conversation)
        return call(conversation, name, **arguments)


def _next(conversation: Conversation) -> Step:
    """The first step that is not done: the plan is made again, and sent what was answered so far."""
    plan = _plan(next(m["content"] for m in conversation.messages if m["role"] == "user"))
    step = next(plan)
    for done, answer in _done(conversation.messages):
        if done == step:
            try:
                step = plan.send(answer)
            except StopIteration as end:
                return "finish", {"answer": end.value}
    return step


def _done(messages: list[Message]) -> Iterator[tuple[Step, Any]]:
    """Calls that succeeded, with the JSON value that answered them."""
    for asked, told in pairwise(messages):
        if asked["role"] == "assistant" and asked.get("tool_calls") and re.match(r"2\d\d ", str(told["content"])):
            function = asked["tool_calls"][0]["function"]
            yield (function["name"], function["arguments"]), json.loads(told["content"].partition("\n")[2])


def _plan(wish: str) -> Plan:
    found = ((form, re.fullmatch(pattern, wish)) for form, pattern in _FORMS.items())
    form, words = next(((form, match.groupdict()) for form, match in found if match), ("", {}))
    if not form:
        raise UserError(f"policy=api_expert knows only wishes at invented services, not: {wish}")
    if form == "left":
        thing = yield from _named(words["thing"], words["what"])
        return str(thing["stock"])
    client, deal = words["client"], words["deal"]
    owner = yield from _named(client, words["who"])
    if form.startswith("make"):
        name = words["thing"]
        if form == "make":
            thing = yield from _named(name, words["what"])
        else:
            offered = yield f"find_{name}s", {words["kind"]: words["value"]}
            thing = min(offered, key=lambda row: row["price"])
        body = {f"{client}_id": owner["id"], f"{name}_id": thing["id"], words["units"]: int(words["count"])}
        yield f"make_{deal}", body
        return "done"
    own = yield f"find_{deal}s", {f"{client}_id": owner["id"]}
    if form == "cost":
        return str((yield from _cost(own)))
    if form != "cancel all":
        thing = yield from _named(words["thing"], words["what"])
        own = [row for row in own if row[f"{words['thing']}_id"] == thing["id"]]
    for row in own:
        key = {f"{deal}_id": row["id"]}
        if form == "change":
            yield f"change_{deal}", key | {words["units"]: int(words["count"])}
        else:
            yield f"cancel_{deal}", key
    return "done"


def _named(kind: str, name: str) -> Generator[Step, Any, dict[str, Any]]:
    rows = yield f"find_{kind}s", {"name": name}
    return rows[0]


def _cost(deals: list[dict[str, Any]]) -> Generator[Step, Any, int]:
    """A deal's fields are `id`, whose it is, for which thing, how many units, and `status`, in this order."""
    total = 0
    for deal in deals:
        _, _, thing, units, _ = deal
        row = yield f"get_{thing.removesuffix('_id')}", {thing: deal[thing]}
        total += row["price"] * deal[units]
    return total
