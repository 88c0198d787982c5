"""Request -> response: the site of `env=web` as one visitor has it. The reader asks it directly, a browser over
loopback."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urlsplit

from agenttrain.pages import html
from agenttrain.worlds.shop import CHECKOUT, Field, Product, Shop

PER_PAGE = 5
"""Search results on a page."""
MANY = 20
"""Products that a cart holds."""


@dataclass(frozen=True)
class Response:
    """`status` 200 or 404 with a page, or 303 with the address to go to."""

    status: int
    html: str = ""
    location: str = ""


@dataclass(frozen=True)
class Line:
    """A product in the cart, with the options chosen."""

    product: Product
    options: Mapping[str, str]


@dataclass
class Site:
    """What one visitor sees and has done."""

    shop: Shop
    cart: list[Line] = field(default_factory=list)
    draft: dict[str, str] = field(default_factory=dict)
    """What was sent and refused: shown again, once."""
    order: dict[str, str] | None = None
    """The fields of the checkout, once the order is placed."""
    sent: tuple[str, dict[str, str]] | None = None
    """Name of a form and what was sent with it."""
    status: int = 0
    """Of the last page."""
    shown: int = 0
    """Pages so far."""

    def request(self, method: str, address: str, fields: Mapping[str, str] | None = None) -> Response:
        """Answer a `GET` or `POST` of a path with its query; a POST is always answered with 303, so that every page has
        an address at which it can be seen again."""
        parts = urlsplit(address)
        name, _, rest = parts.path.strip("/").partition("/")
        if method == "POST":
            return Response(303, location=self._post(name, rest, fields or {}))
        body = self._get(name, rest, dict(parse_qsl(parts.query)))
        self.draft = {}
        self.status, self.shown = (404 if body is None else 200), self.shown + 1
        return Response(self.status, html.page(body or html.article("There is no such page"), len(self.cart)))

    def _get(self, name: str, rest: str, query: Mapping[str, str]) -> str | None:
        """The page's body; None if there is no such page."""
        kinds, forms, missing = self.shop.codes, self.shop.range.forms, query.get("missing", "")
        found: dict[str, Callable[[], str | None]] = {
            "": lambda: html.links("Our goods", {f"/search?q={kind}": kind for kind in kinds}),
            "search": lambda: self._search(query.get("q", ""), max(1, _number(query.get("page", "")) or 1)),
            "goods": lambda: self._product(rest, missing),
            "cart": self._cart,
            "checkout": lambda: html.article("Check out") + self._form("/order", _CHECKOUT, "Place order", missing),
            "forms": lambda: html.links("Forms", {f"/forms/{name}": name for name in forms}),
            "help": lambda: html.links("Help", {f"/help/{kind}": f"Service for a {kind}" for kind in kinds}),
            "done": lambda: html.article("Thank you"),
        }
        if name == "forms" and rest in forms:
            return html.article(f"The {rest} form") + self._form(f"/forms/{rest}", forms[rest], "Send", missing)
        if name == "help" and rest in kinds:
            return html.article(f"Service for a {rest}", "We mend what we sell.", f"Service code: {kinds[rest]}")
        return found[name]() if name in found and (name == "goods" or not rest) else None

    def _post(self, name: str, rest: str, fields: Mapping[str, str]) -> str:
        """Take what was sent, and say where to go: on, or back to a page that names what is missing."""
        product, forms = self._numbered(rest), self.shop.range.forms
        if name == "cart" and product:
            options = _choices(product, "select")
            if _missing(options, fields):
                return self._back(f"/goods/{rest}", options, fields)
            if len(self.cart) < MANY:
                self.cart.append(Line(product, _known(options, fields)))
        elif name == "remove" and (number := _number(rest)) is not None:
            del self.cart[number : number + 1]
        elif name == "order" and self.cart:
            if _missing(_CHECKOUT, fields):
                return self._back("/checkout", _CHECKOUT, fields)
            self.order = _known(_CHECKOUT, fields)
            return "/done"
        elif name == "forms" and rest in forms:
            if _missing(forms[rest], fields):
                return self._back(f"/forms/{rest}", forms[rest], fields)
            self.sent = rest, _known(forms[rest], fields)
            return "/done"
        return "/cart"

    def _back(self, address: str, wanted: Sequence[Field], fields: Mapping[str, str]) -> str:
        self.draft = dict(fields)
        return f"{address}?{urlencode({'missing': ', '.join(_missing(wanted, fields))})}"

    def _search(self, text: str, page: int) -> str:
        """Products by the number of words of `text` in their names."""
        words = set(text.lower().split())
        scored = [(-len(words & set(p.name.lower().split())), n) for n, p in enumerate(self.shop.products)]
        found = [number for score, number in sorted(scored) if score]
        shown = {number: self.shop.products[number] for number in found[PER_PAGE * (page - 1) : PER_PAGE * page]}
        return html.results(text, page, shown, len(found), len(found) > PER_PAGE * page, self.shop.range.tables)

    def _product(self, rest: str, missing: str) -> str | None:
        product = self._numbered(rest)
        if product is None:
            return None
        options = _choices(product, "radio" if self.shop.range.tables else "select")
        return html.product(product) + self._form(f"/cart/{rest}", options, "Add to cart", missing)

    def _cart(self) -> str:
        if not self.cart:
            return html.article("Your cart is empty")
        return html.cart(", ".join((line.product.name, *line.options.values())) for line in self.cart)

    def _form(self, action: str, fields: Sequence[Field], button: str, missing: str) -> str:
        return html.form(action, fields, button, missing, self.draft)

    def _numbered(self, rest: str) -> Product | None:
        number = _number(rest)
        return self.shop.products[number] if number is not None and number < len(self.shop.products) else None


_CHECKOUT = (Field("Name", "text"), *(Field(label, "radio", values) for label, values in CHECKOUT.items()))


def _choices(product: Product, kind: str) -> tuple[Field, ...]:
    return tuple(Field(label, kind, values) for label, values in product.options.items())


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) < 5 else None


def _missing(fields: Sequence[Field], given: Mapping[str, str]) -> list[str]:
    """Labels of what is not filled in, or is no choice of its field."""

    def filled(field: Field) -> bool:
        value = given.get(field.label, "").strip()
        return field.kind == "check" or (value in field.choices if field.choices else bool(value))

    return [field.label for field in fields if not filled(field)]


def _known(fields: Sequence[Field], given: Mapping[str, str]) -> dict[str, str]:
    """Label -> value of every field; of a `check` yes or no."""
    return {
        field.label: ("yes" if field.label in given else "no") if field.kind == "check" else given[field.label].strip()
        for field in fields
    }
