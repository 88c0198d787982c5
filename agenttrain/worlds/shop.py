"""What task/web asks for and env/web serves: an invented shop with forms and help pages, the same for equal seeds."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache

PER_KIND = 8
"""Products of each kind."""
ORDERS, SENT = 4, 40
"""Goals for each product and for each form."""
CODE = "Service code"
"""The field whose value the help pages tell."""
CHECKOUT = {"Delivery": ("standard", "express")}

_FIRST, _LAST = ("Ada", "Ben", "Cora", "Dan", "Ella", "Finn"), ("Arno", "Brook", "Elm", "Frost")
_MAKERS = ("Alba", "Bero", "Cato", "Dina", "Elso", "Fira", "Gano", "Hedi")
_REMARKS = ("Thank you.", "Please call me.", "It came late.", "The colour is wrong.", "I like it.")


@dataclass(frozen=True)
class Kind:
    """A kind of goods: each product of it has three of the traits and offers two or more values of each option."""

    name: str
    traits: tuple[str, ...]
    options: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Field:
    """A field of a form. `kind`: text, area, date, check, select or radio; the last two have `choices`."""

    label: str
    kind: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Range:
    """What a shop sells, which forms it has, and how its pages look."""

    kinds: tuple[Kind, ...]
    forms: Mapping[str, tuple[Field, ...]]
    tables: bool = False
    """Search results stand in a table and options are radio buttons; else a list and select boxes."""


_NAME, _DATE, _CODE = Field("Name", "text"), Field("Date", "date"), Field(CODE, "text")
SEEN = Range(
    (
        Kind("kettle", ("cordless", "quiet", "steel", "fast", "compact"), {"Color": ("red", "black", "white")}),
        Kind(
            "jacket",
            ("warm", "light", "hooded", "lined"),
            {"Size": ("S", "M", "L"), "Color": ("blue", "green", "grey")},
        ),
        Kind("lamp", ("dimmable", "foldable", "bright", "wooden"), {"Plug": ("type A", "type C", "type G")}),
        Kind("backpack", ("padded", "roomy", "light", "recycled"), {"Volume": ("15 l", "20 l", "30 l")}),
    ),
    {
        "contact": (
            _NAME,
            Field("Topic", "select", ("delivery", "refund", "product", "other")),
            Field("Message", "area"),
            Field("Send me a copy", "check"),
        ),
        "booking": (
            _NAME,
            _DATE,
            Field("Time", "radio", ("morning", "noon", "evening")),
            Field("Guests", "select", ("1", "2", "3", "4")),
            Field("By the window", "check"),
        ),
        "repair": (_NAME, Field("Product", "select", ("kettle", "jacket", "lamp", "backpack")), _CODE),
    },
)
UNSEEN = Range(
    (
        Kind("tent", ("windproof", "airy", "tall", "light"), {"Sleeps": ("two", "three", "four")}),
        Kind(
            "violin", ("handmade", "mellow", "old", "loud"), {"Strings": ("gut", "steel"), "Case": ("oval", "oblong")}
        ),
    ),
    {
        "survey": (
            Field("Age", "radio", ("under 30", "30 to 60", "over 60")),
            Field("I would come again", "check"),
            Field("Remarks", "area"),
            Field("Visits a year", "select", ("one", "a few", "many")),
        ),
        "collection": (Field("Product", "radio", ("tent", "violin")), _CODE, _DATE, _NAME),
    },
    tables=True,
)
"""Goods, forms and page layouts that no training task has."""


@dataclass(frozen=True)
class Product:
    """Something to buy, for `price` in whole dollars."""

    kind: str
    maker: str
    traits: tuple[str, ...]
    """The first stands in its name, the others on its page only."""
    price: int
    options: Mapping[str, tuple[str, ...]]

    @property
    def name(self) -> str:
        return f"{self.maker} {self.traits[0]} {self.kind}"


@dataclass(frozen=True)
class Goal:
    """A form to send, or, where `price` is not 0, an order to place."""

    subject: str
    """Name of the form, or kind of goods."""
    fields: Mapping[str, str]
    """Label -> value, of the form or of the checkout; of a `check`: yes or no."""
    traits: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    price: int = 0
    """Most that the product may cost."""

    @property
    def sentence(self) -> str:
        """The goal in words, without a code that is to be looked up; `policy=web_expert` reads it."""
        fields = "; ".join(f"{label}: {value}" for label, value in self.fields.items() if label != CODE)
        if not self.price:
            hint = f" The {CODE} stands in the help pages." if CODE in self.fields else ""
            return f"Fill in the {self.subject} form. {fields}.{hint}"
        traits, options = " and ".join(self.traits), "; ".join(f"{k}: {v}" for k, v in self.options.items())
        return f"Buy a {self.subject} that is {traits}, for at most ${self.price}. {options}; {fields}."


@dataclass(frozen=True)
class Shop:
    """One shop: `products` by number, `codes` by kind of goods."""

    range: Range
    products: tuple[Product, ...]
    codes: Mapping[str, str]


@cache
def shop(seed: int, unseen: bool = False) -> Shop:
    """The shop of `seed`, with the goods and forms that training sees, or with the others."""
    rng, offered = random.Random(f"shop/{seed}"), UNSEEN if unseen else SEEN
    products = []
    for kind in offered.kinds:
        for maker in rng.sample(_MAKERS, PER_KIND):
            traits = tuple(rng.sample(kind.traits, 3))
            options = {label: _all_but_one(rng, values) for label, values in kind.options.items()}
            products.append(Product(kind.name, maker, traits, rng.randint(10, 99), options))
    codes = {kind.name: f"{kind.name[0].upper()}{rng.randint(1000, 9999)}" for kind in offered.kinds}
    return Shop(offered, tuple(products), codes)


def goals(shop: Shop, seed: int) -> Iterator[Goal]:
    """Orders that some product fulfils, and forms; drawn from `seed`, in a fixed order."""
    rng = random.Random(f"goals/{seed}")
    for product in shop.products:
        for _ in range(ORDERS):
            yield Goal(
                product.kind,
                {"Name": _person(rng)} | {label: rng.choice(values) for label, values in CHECKOUT.items()},
                tuple(rng.sample(product.traits, 2)),
                {label: rng.choice(values) for label, values in product.options.items()},
                5 * -(-product.price // 5),
            )
    for form, fields in shop.range.forms.items():
        for _ in range(SENT):
            values = {field.label: _value(rng, field) for field in fields}
            if CODE in values:
                values[CODE] = shop.codes[values["Product"]]
            yield Goal(form, values)


def _all_but_one(rng: random.Random, values: tuple[str, ...]) -> tuple[str, ...]:
    """Two values or more, in their order."""
    kept = rng.sample(values, max(2, len(values) - 1))
    return tuple(value for value in values if value in kept)


def _person(rng: random.Random) -> str:
    return f"{rng.choice(_FIRST)} {rng.choice(_LAST)}"


def _value(rng: random.Random, field: Field) -> str:
    drawn = {
        "text": lambda: _person(rng),
        "area": lambda: rng.choice(_REMARKS),
        "date": lambda: f"2031-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}",
        "check": lambda: rng.choice(("yes", "no")),
    }
    return drawn[field.kind]() if field.kind in drawn else rng.choice(field.choices)
