"""Site -> verdict: what of a goal a visitor has reached, in parts (orders as in WebShop, arXiv 2207.01206)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from agenttrain.pages.site import Line, Site
from agenttrain.pages.tab import Tab
from agenttrain.worlds.shop import Goal


class Errand:
    """One goal at one visitor's site: a `Place`. Whatever order is placed or form sent first ends it.

    Args:
        open_tab: gives a tab of the site.
    """

    one_page = False

    def __init__(self, goal: Goal, site: Site, open_tab: Callable[[Site], Tab]) -> None:
        self.goal, self.site, self.open_tab = goal, site, open_tab

    @property
    def pages(self) -> int:
        return self.site.shown

    @property
    def status(self) -> int:
        return self.site.status

    @property
    def key(self) -> str:
        """The cart."""
        return json.dumps([asdict(line) for line in self.site.cart])

    def tab(self) -> Tab:
        tab = self.open_tab(self.site)
        try:
            tab.open("/")
        except BaseException:
            tab.close()
            raise
        return tab

    def opening(self, tab: Tab) -> str:
        return ""

    def verdict(self, tab: Tab) -> dict[str, Any]:
        """An order's score is r_type * (traits + options + price + fields that are right) / (all of them) of the best
        product, over the number of products. A form's is the share of right fields; of another form it is 0.
        """
        if self.site.order is not None:
            return _of_order(self.goal, self.site.cart, self.site.order)
        if self.site.sent is not None:
            form, fields = self.site.sent
            hit = form == self.goal.subject
            score = hit * _share(self.goal.fields, fields)
            return {"success": score == 1.0, "score": score, "form": hit}
        return {}


def _of_order(goal: Goal, cart: list[Line], fields: Mapping[str, str]) -> dict[str, Any]:
    if not goal.price:
        return {"success": False, "score": 0.0, "form": False}
    bought = [_of_product(goal, line) | {"fields": _share(goal.fields, fields)} for line in cart]
    weights = {"traits": len(goal.traits), "options": len(goal.options), "price": 1, "fields": len(goal.fields)}
    scores = [
        parts["type"] * sum(parts[part] * weight for part, weight in weights.items()) / sum(weights.values())
        for parts in bought
    ]
    best = max(range(len(cart)), key=lambda place: scores[place])
    score = scores[best] / len(cart)
    return {"success": score == 1.0, "score": score, **bought[best], "products": len(cart)}


def _of_product(goal: Goal, line: Line) -> dict[str, float]:
    """Share of what was asked for, by part."""
    return {
        "type": float(line.product.kind == goal.subject),
        "traits": sum(trait in line.product.traits for trait in goal.traits) / len(goal.traits),
        "options": _share(goal.options, line.options),
        "price": float(line.product.price <= goal.price),
    }


def _share(wanted: Mapping[str, str], given: Mapping[str, str]) -> float:
    return sum(given.get(label) == value for label, value in wanted.items()) / len(wanted)
