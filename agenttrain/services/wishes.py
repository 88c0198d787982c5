"""Service -> what its clients may want, in words, with the calls that do it; `policy=api_expert` reads the words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from agenttrain.services.trade import Row, State, Trade

Call = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class Wish:
    """A request, the calls that fulfil it, and the answer, if the request is a question."""

    text: str
    calls: tuple[Call, ...] = ()
    answer: str | None = None


def wishes(trade: Trade, seed: int) -> Iterator[Wish]:
    """Every wish at the service that starts with `seed`'s rows, in a fixed order."""
    state = trade.rows(seed)
    things, clients = state[trade.things].values(), state[trade.clients].values()
    for client in clients:
        whose = f"of the {trade.client} {client['name']}"
        yield from _new_deals(trade, state, client)
        own = [deal for deal in state[trade.deals].values() if deal[f"{trade.client}_id"] == client["id"]]
        for deal in own:
            thing = state[trade.things][str(deal[f"{trade.thing}_id"])]
            which = f"the {trade.deal} {whose} for the {trade.thing} {thing['name']}"
            key = {f"{trade.deal}_id": deal["id"]}
            yield Wish(f"Cancel {which}.", ((f"cancel_{trade.deal}", key),))
            for units in sorted({1, 2, 3, deal[trade.units] + thing["stock"]} - {deal[trade.units]}):
                text = f"Change {which} to {units} {trade.units}."
                yield Wish(text, ((f"change_{trade.deal}", key | {trade.units: units}),))
        cancel = tuple((f"cancel_{trade.deal}", {f"{trade.deal}_id": deal["id"]}) for deal in own)
        yield Wish(f"Cancel all {trade.deals} {whose}.", cancel)
        cost = sum(deal[trade.units] * state[trade.things][str(deal[f"{trade.thing}_id"])]["price"] for deal in own)
        yield Wish(f"What do all {trade.deals} {whose} cost?", answer=str(cost))
    for thing in things:
        text = f"How many {trade.units} of the {trade.thing} {thing['name']} are left?"
        yield Wish(text, answer=str(thing["stock"]))


def _new_deals(trade: Trade, state: State, client: Row) -> Iterator[Wish]:
    def wish(what: str, thing: Row, units: int) -> Wish:
        body = {f"{trade.client}_id": client["id"], f"{trade.thing}_id": thing["id"], trade.units: units}
        text = f"Make a new {trade.deal} for the {trade.client} {client['name']}: {units} {trade.units} of {what}."
        return Wish(text, ((f"make_{trade.deal}", body),))

    things = state[trade.things].values()
    for thing in things:
        for units in (1, 2):
            yield wish(f"the {trade.thing} {thing['name']}", thing, units)
    for kind in trade.kinds:
        cheapest = min((t for t in things if t[trade.kind] == kind), key=lambda t: t["price"])
        yield wish(f"the cheapest {trade.thing} with {trade.kind} {kind}", cheapest, 3)
