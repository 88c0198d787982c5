"""What each invented service deals in, and the rows it starts with: the same for equal seeds."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

_NAMES = """Alba Bero Cato Dina Elso Fira Gano Hedi Ilva Jaro Kesa Lumo Mira Nelo Orsa Pavo Quin Rika Sano Tora Ulmo
Vena Wido Xara Yano Zeta Arno Bela Cira Dolo Enzo Fena Goro Hila Inga Joss Kuno Lena Mavo Nora"""

Row = dict[str, Any]
State = dict[str, dict[str, Row]]
"""Collection -> id (digits, as a key of JSON) -> row."""


@dataclass(frozen=True)
class Trade:
    """The words of one service; each has things in stock, clients, and deals of a client about units of a thing."""

    name: str
    thing: str
    kind: str
    """A property of things with few values."""
    kinds: tuple[str, ...]
    client: str
    deal: str
    units: str

    @property
    def things(self) -> str:
        return f"{self.thing}s"

    @property
    def clients(self) -> str:
        return f"{self.client}s"

    @property
    def deals(self) -> str:
        return f"{self.deal}s"

    def rows(self, seed: int, things: int = 8, clients: int = 4, deals: int = 10) -> State:
        """Names and prices differ within a collection, so that "the cheapest" is one; every client has a deal, and no
        client two of one thing."""
        rng = random.Random(f"services/{self.name}/{seed}")
        names = rng.sample(_NAMES.split(), things + clients)
        prices = rng.sample(range(5, 100), things)
        pairs = [(client, rng.randint(1, things)) for client in range(1, clients + 1)]
        while len(pairs) < deals:
            pair = (rng.randint(1, clients), rng.randint(1, things))
            pairs += [pair] if pair not in pairs else []
        rng.shuffle(pairs)
        return {
            self.things: {
                str(n): {
                    "id": n,
                    "name": names[n - 1],
                    self.kind: self.kinds[n % len(self.kinds)],
                    "price": prices[n - 1],
                    "stock": rng.randint(4, 9),
                }
                for n in range(1, things + 1)
            },
            self.clients: {str(n): {"id": n, "name": names[things + n - 1]} for n in range(1, clients + 1)},
            self.deals: {
                str(n): {
                    "id": n,
                    f"{self.client}_id": client,
                    f"{self.thing}_id": thing,
                    self.units: rng.randint(1, 3),
                    "status": "open",
                }
                for n, (client, thing) in enumerate(pairs, start=1)
            },
        }


SEEN = (
    Trade("bookshop", "book", "genre", ("crime", "travel", "poetry"), "customer", "order", "copies"),
    Trade("hotel", "room", "view", ("garden", "street", "lake"), "guest", "booking", "nights"),
    Trade("theatre", "play", "hall", ("large", "small"), "visitor", "ticket", "seats"),
)
UNSEEN = (
    Trade("clinic", "treatment", "ward", ("north", "south"), "patient", "appointment", "hours"),
    Trade("garage", "car", "size", ("small", "medium", "large"), "driver", "rental", "days"),
)
"""Services, and so tools, that no training task has."""


def trade(name: str) -> Trade:
    """
    Raises:
        KeyError: there is no service of this name.
    """
    return {known.name: known for known in (*SEEN, *UNSEEN)}[name]
