"""Request -> answer and a new state: what an invented service does, without a network."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from agenttrain.services.trade import Row, State, Trade

Answer = tuple[int, Any]
"""Status and the JSON value of the body."""


class Service:
    """One copy of a service; requests are served one after the other.

    Args:
        seed: of the rows that it starts with.
    """

    def __init__(self, trade: Trade, seed: int) -> None:
        self.trade = trade
        self.state: State = trade.rows(seed)

    def request(self, method: str, target: str, body: Any = None) -> Answer:
        """Serve `method` on `target` (path and query, quoted). Never raises: what is wrong is an answer of 4xx."""
        url = urlsplit(target)
        query = {key: values[-1] for key, values in parse_qs(url.query).items()}
        collection, *key = [unquote(part) for part in url.path.strip("/").split("/")]
        if collection not in self.state or len(key) > 1:
            return _fault(404, "no such path")
        if not key:
            return self._collection(method, collection, query, body)
        row = self.state[collection].get(key[0])
        if row is None:
            return _fault(404, f"no {collection[:-1]} {key[0]}")
        if method == "GET":
            return 200, row
        if collection == self.trade.deals and method == "PATCH":
            return self._change(row, body)
        if collection == self.trade.deals and method == "DELETE":
            return self._cancel(row)
        return _fault(405, f"{method} is not allowed here")

    def _collection(self, method: str, collection: str, query: dict[str, str], body: Any) -> Answer:
        if method == "POST" and collection == self.trade.deals:
            return self._make(body)
        if method != "GET":
            return _fault(405, f"{method} is not allowed here")
        rows = self.state[collection].values()
        return 200, [row for row in rows if all(str(row.get(key)) == value for key, value in query.items())]

    def _make(self, body: Any) -> Answer:
        trade = self.trade
        owner, thing = f"{trade.client}_id", f"{trade.thing}_id"
        if fault := _misfit(body, owner, thing, trade.units):
            return fault
        for collection, key in ((trade.clients, owner), (trade.things, thing)):
            if str(body[key]) not in self.state[collection]:
                return _fault(404, f"no {collection[:-1]} {body[key]}")
        if fault := self._take(body[thing], body[trade.units]):
            return fault
        deals = self.state[trade.deals]
        number = max(map(int, deals), default=0) + 1
        deals[str(number)] = {
            "id": number,
            owner: body[owner],
            thing: body[thing],
            trade.units: body[trade.units],
            "status": "open",
        }
        return 201, deals[str(number)]

    def _change(self, deal: Row, body: Any) -> Answer:
        units = self.trade.units
        if fault := _misfit(body, units) or self._closed(deal):
            return fault
        if fault := self._take(deal[f"{self.trade.thing}_id"], body[units] - deal[units]):
            return fault
        deal[units] = body[units]
        return 200, deal

    def _cancel(self, deal: Row) -> Answer:
        if fault := self._closed(deal):
            return fault
        self._take(deal[f"{self.trade.thing}_id"], -deal[self.trade.units])
        deal["status"] = "cancelled"
        return 200, deal

    def _take(self, thing: int, units: int) -> Answer | None:
        row = self.state[self.trade.things][str(thing)]
        if units > row["stock"]:
            return _fault(409, f"only {row['stock']} {self.trade.units} left")
        row["stock"] -= units
        return None

    def _closed(self, deal: Row) -> Answer | None:
        return None if deal["status"] == "open" else _fault(409, f"{self.trade.deal} {deal['id']} is {deal['status']}")


def read_body(text: str) -> Any:
    """The JSON value of a body; None for an empty one or one that is no JSON, which no operation takes."""
    try:
        return json.loads(text) if text else None
    except ValueError:
        return None


def _misfit(body: Any, *fields: str) -> Answer | None:
    if not isinstance(body, dict) or set(body) != set(fields):
        return _fault(422, f"the body must be an object of {', '.join(fields)}")
    for field in fields:
        if type(body[field]) is not int or body[field] < 1:
            return _fault(422, f"{field} must be an integer from 1")
    return None


def _fault(status: int, message: str) -> Answer:
    return status, {"error": re.sub(r"\s+", " ", message)[:200]}
