"""Data -> HTML: the pages of the site of `env=web`, plain and without scripts; `site.py` says when each is shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from urllib.parse import urlencode

from agenttrain.worlds.shop import Field, Product

_STYLE = """body { font: 16px sans-serif; margin: 1em } nav a { margin-right: 1em } header { margin-bottom: 1em }
td { padding: .2em 1em .2em 0 } fieldset { border: 0; padding: 0 }"""


def page(body: str, in_cart: int) -> str:
    """`body` below what every page has on top: four links and the search."""
    links = {"/": "Home", "/cart": f"Cart ({in_cart})", "/forms": "Forms", "/help": "Help"}
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Shop</title><link rel="icon" href="data:,">'
        f"<style>{_STYLE}</style></head><body><header><nav>{' '.join(link(*entry) for entry in links.items())}</nav>"
        '<form action="/search" autocomplete="off"><input name="q" aria-label="Search for"> <button>Search</button>'
        f"</form></header><main>{body}</main></body></html>"
    )


def link(address: str, text: str) -> str:
    """To a page of the site."""
    return f'<a href="{escape(address)}">{escape(text)}</a>'


def links(title: str, entries: Mapping[str, str]) -> str:
    """A heading, and below it a list of address -> text."""
    return f"<h1>{escape(title)}</h1>{_list(link(*entry) for entry in entries.items())}"


def results(query: str, page: int, shown: Mapping[int, Product], found: int, more: bool, table: bool) -> str:
    """Products by number, with a link to the next page if there is `more`."""
    named = [(link(f"/goods/{number}", product.name), f"${product.price}") for number, product in shown.items()]
    if table:
        rows = "".join(f"<tr><td>{name}</td><td>{price}</td></tr>" for name, price in named)
        listed = f"<table>{rows}</table>"
    else:
        listed = _list(f"{name} {price}" for name, price in named)
    following = link(f"/search?{urlencode({'q': query, 'page': page + 1})}", "Next page")
    return f"<h1>{found} results</h1>{listed * bool(named)}" + f"<p>{following}</p>" * more


def product(shown: Product) -> str:
    """Name, traits and price."""
    return f"<h1>{shown.name}</h1><p>{', '.join(shown.traits)}</p><p>${shown.price}</p>"


def cart(lines: Iterable[str]) -> str:
    """What is in the cart, each with a button that takes it out."""
    removal = '<form action="/remove/{}" method="post"><button>Remove</button></form>'
    listed = _list(f"<p>{escape(line)}</p>{removal.format(number)}" for number, line in enumerate(lines))
    return f"<h1>Your cart</h1>{listed}<p>{link('/checkout', 'Check out')}</p>"


def article(title: str, *paragraphs: str) -> str:
    """A heading and texts."""
    return f"<h1>{escape(title)}</h1>" + "".join(f"<p>{escape(text)}</p>" for text in paragraphs)


def form(action: str, fields: Iterable[Field], button: str, missing: str, values: Mapping[str, str]) -> str:
    """A form filled in with `values`, and above it what is `missing`."""
    told = f"<p>Missing: {escape(missing)}</p>" * bool(missing)
    inner = "".join(_FIELDS[field.kind](field, values.get(field.label, "")) for field in fields)
    return (
        f'{told}<form action="{action}" method="post" autocomplete="off">{inner}<p><button>{button}</button></p></form>'
    )


def _list(entries: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{entry}</li>' for entry in entries)}</ul>"


def _input(field: Field, value: str) -> str:
    kind = "date" if field.kind == "date" else "text"
    return f'<p><label>{field.label} <input type="{kind}" name="{field.label}" value="{escape(value)}"></label></p>'


def _area(field: Field, value: str) -> str:
    return f'<p><label>{field.label} <textarea name="{field.label}">{escape(value)}</textarea></label></p>'


def _check(field: Field, value: str) -> str:
    checked = " checked" * bool(value)
    return f'<p><label><input type="checkbox" name="{field.label}" value="yes"{checked}> {field.label}</label></p>'


def _select(field: Field, value: str) -> str:
    options = "".join(f"<option{' selected' * (choice == value)}>{choice}</option>" for choice in ("-", *field.choices))
    return f'<p><label>{field.label} <select name="{field.label}">{options}</select></label></p>'


def _radio(field: Field, value: str) -> str:
    buttons = "".join(
        f'<p><label><input type="radio" name="{field.label}" value="{choice}"{" checked" * (choice == value)}>'
        f" {choice}</label></p>"
        for choice in field.choices
    )
    return f"<fieldset><legend>{field.label}</legend>{buttons}</fieldset>"


_FIELDS = {"text": _input, "date": _input, "area": _area, "check": _check, "select": _select, "radio": _radio}
