"""Rendered messages -> tokens, in which only the chat template, and never what a message says, makes a special token.

A tool result, a page or a task may contain the text `<|im_end|>`. Whoever wrote it could end the turn it stands in, and
speak as the user or the system, if that text became the token. So the tokenizer is copied with its special tokens under
secret names: rendered text gets the secret names where the template wrote a token, and keeps the characters where a
message did. Text without special tokens is encoded exactly as the tokenizer encodes it.
"""

from __future__ import annotations

import json
import re
import secrets
from itertools import groupby
from typing import Any

from tokenizers import AddedToken, Tokenizer

from agenttrain.types import Message

_TAG = re.compile(r"<[^<>\s]+>")


class Markup:
    """The tokens of one chat's grammar: special ones, `<|...|>`, and tags that the chat template or its parser uses.

    Other added tokens are words (some tokenizers have `<b>` or runs of blanks), and stay so wherever they stand.

    Args:
        tokenizer: of the model, its fast form.
        added: the tokens that it has beside its vocabulary, by id.
        grammar: text of the chat template and of the response template.
    """

    def __init__(self, tokenizer: Tokenizer, added: dict[int, AddedToken], grammar: str) -> None:
        special = {token.content for token in added.values() if token.special}
        tags = {token.content for token in added.values() if _is_tag(token.content, grammar)}
        nonce = secrets.token_hex(8)
        self._names = {text: f"{nonce}x{number}x" for number, text in enumerate(sorted(special | tags))}
        self._mark = f"{nonce}xx"
        self._special, self._all = _any_of(special), _any_of(special | tags)
        self._tokenizer = _renamed(tokenizer, self._names)

    def guard(self, message: Message) -> Message:
        """The message with a mark in whatever would read as markup, for the template to render.

        An assistant's own words may hold tags (`<think>`, a call that it wrote as text), which it says as tokens; but
        no special token.
        """
        pattern = self._special if message.get("role") == "assistant" else self._all
        return self._marked(message, pattern)

    def encode(self, rendered: str) -> list[int]:
        """Tokens of what the template made of guarded messages."""
        text = self._all.sub(lambda found: self._names[found[0]], rendered).replace(self._mark, "")
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def _marked(self, value: Any, pattern: re.Pattern[str]) -> Any:
        if isinstance(value, str):
            return pattern.sub(lambda found: found[0][0] + self._mark + found[0][1:], value)
        if isinstance(value, dict):
            return {self._marked(key, pattern): self._marked(item, pattern) for key, item in value.items()}
        return [self._marked(item, pattern) for item in value] if isinstance(value, list) else value


def _is_tag(text: str, grammar: str) -> bool:
    return text.startswith("<|") or any(tag in grammar for tag in _TAG.findall(text))


def _any_of(texts: set[str]) -> re.Pattern[str]:
    """Finds the longest of `texts` at each place; grouped by first character, as some tokenizers have thousands."""
    groups = groupby(sorted(texts), key=lambda text: text[0])
    longest = {first: sorted((re.escape(text[1:]) for text in group), key=len, reverse=True) for first, group in groups}
    branches = [f"{re.escape(first)}(?:{'|'.join(rest)})" for first, rest in longest.items()]
    return re.compile("|".join(branches) or "(?!)")


def _renamed(tokenizer: Tokenizer, names: dict[str, str]) -> Tokenizer:
    """The same tokenizer, in which a text of `names` is made of its characters and its name is the token."""
    state = json.loads(tokenizer.to_str())
    state |= {"truncation": None, "padding": None}
    for token in state["added_tokens"]:
        token["content"] = names.get(token["content"], token["content"])
    model = state["model"]
    if isinstance(model["vocab"], dict):
        model["vocab"] = {names.get(piece, piece): number for piece, number in model["vocab"].items()}
    else:
        model["vocab"] = [[names.get(piece, piece), score] for piece, score in model["vocab"]]
    if "merges" in model:  # those that would put a special token together from its characters
        pairs = [tuple(pair.split(" ")) if isinstance(pair, str) else tuple(pair) for pair in model["merges"]]
        model["merges"] = [pair for pair in pairs if names.keys().isdisjoint({*pair, "".join(pair)})]
    if model.get("unk_token") in names:
        model["unk_token"] = names[model["unk_token"]]
    return Tokenizer.from_str(json.dumps(state))
