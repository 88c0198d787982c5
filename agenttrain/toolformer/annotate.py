"""Texts -> candidates -> the same texts with the calls that are kept: Toolformer (arXiv 2302.04761), section 2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Literal

from agenttrain.errors import UserError
from agenttrain.ranges import Count, Positive
from agenttrain.tool.text_tool import TextTool
from agenttrain.toolformer import calls
from agenttrain.toolformer.filtering import Candidate, judge, keep_one_per_place, merged, positions

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from agenttrain.model.loaded import Loaded


@dataclass(frozen=True)
class Text:
    """One text of the corpus."""

    number: int
    text: str
    today: date
    """The day on which it is read."""


@dataclass(frozen=True)
class Annotator:
    """How calls are sampled and scored.

    Args:
        placement: where a call stands while it is scored: before the whole text (`prefix`, the paper's) or at its own
            place (`inline`, for a model that has seen calls within texts).
        prompted: sample after the tool's few-shot prompt; False for a model that has seen calls and needs none.
        temperature: of sampling calls.
        max_tokens: most tokens of a call.
        max_length: tokens of a text in which positions are looked for.
    """

    placement: Literal["prefix", "inline"] = "prefix"
    prompted: bool = True
    temperature: Positive = 1.0
    max_tokens: Count = 64
    max_length: Count = 1024

    def annotate(
        self, loaded: Loaded, texts: Sequence[Text], tools: Sequence[TextTool], seed: int
    ) -> tuple[list[str], list[Candidate]]:
        """Each text with its kept calls, and every candidate in the order of texts, tools and positions.

        What is sampled depends on `seed` and on all of `texts`, which share their batches.

        Raises:
            UserError: the opening of a call is more than one token, or the tokenizer does not give a text back.
        """
        import torch

        generator = torch.Generator(loaded.model.device).manual_seed(seed)
        read = [_Read(loaded, text, self.max_length) for text in texts]
        found = [candidate for tool in tools for candidate in self._of_one_tool(loaded, read, tool, generator)]
        found.sort(key=lambda candidate: candidate.text)
        annotated = []
        for text in texts:
            kept = keep_one_per_place([c for c in found if c.text == text.number])
            annotated.append(merged(text.text, [(c.at, _written(c, c.result)) for c in kept]))
        return annotated, found

    def _of_one_tool(
        self, loaded: Loaded, texts: Sequence[_Read], tool: TextTool, generator: Generator
    ) -> list[Candidate]:
        """Its sampled calls, executed and judged."""
        sampled = self._sample(loaded, texts, tool, generator)
        seen: set[tuple[int, int, str]] = set()
        for text, candidate in sampled:
            _execute(candidate, tool, text.text.today, seen)
        scored = [(text, candidate) for text, candidate in sampled if candidate.reason is None]
        self._score(loaded, scored)
        for _, candidate in scored:
            judge(candidate, tool.tau_f)
        return [candidate for _, candidate in sampled]

    def _sample(
        self, loaded: Loaded, texts: Sequence[_Read], tool: TextTool, generator: Generator
    ) -> list[tuple[_Read, Candidate]]:
        """`m` calls at each of the likeliest positions, as the model writes them."""
        from agenttrain.toolformer.reading import chances, write

        prompts = [self._prompt(loaded, tool, text) for text in texts]
        rows = [(prompt, text.ids) for prompt, text in zip(prompts, texts, strict=True)]
        opening = opening_token(loaded)
        sampled: list[tuple[_Read, Candidate]] = []
        contexts: list[list[int]] = []
        for prompt, text, chance in zip(prompts, texts, chances(loaded.model, rows, opening), strict=True):
            chance = [p if at is not None else 0.0 for p, at in zip(chance, text.characters[1:], strict=True)]
            for position in positions(chance, tool.tau_s, tool.k):
                at = text.characters[position] or 0
                for _ in range(tool.m):
                    candidate = Candidate(text.text.number, tool.name, position, at, chance[position - 1], "")
                    sampled.append((text, candidate))
                    contexts.append([*prompt, *text.ids[:position], opening])

        def pick(logits: Tensor) -> Tensor:
            return (logits / self.temperature).softmax(-1).multinomial(1, generator=generator)[:, 0]

        def over(ids: list[int]) -> bool:
            return calls.ended(str(loaded.tokenizer.decode(ids))) or ids[-1] == loaded.tokenizer.eos_token_id

        for start in range(0, len(contexts), ROWS):
            ids = write(loaded.model, contexts[start : start + ROWS], pick, over, self.max_tokens)
            for (_, candidate), written in zip(sampled[start : start + ROWS], ids, strict=True):
                candidate.call = str(loaded.tokenizer.decode(written))
        return sampled

    def _prompt(self, loaded: Loaded, tool: TextTool, text: _Read) -> list[int]:
        prompt = loaded.chat.text(calls.prompt(tool, text.text.text)) if self.prompted else []
        return loaded.chat.start() + prompt

    def _score(self, loaded: Loaded, sampled: Sequence[tuple[_Read, Candidate]]) -> None:
        """Fill in the three losses; a row that several candidates share is computed once."""
        from agenttrain.toolformer.reading import weighted_losses

        rows = [
            self._row(loaded, text, candidate.position, call)
            for text, candidate in sampled
            for call in ("", _written(candidate), _written(candidate, candidate.result))
        ]
        unique = list(dict.fromkeys(rows))
        losses = dict(zip(unique, weighted_losses(loaded.model, unique), strict=True))
        for number, (_, candidate) in enumerate(sampled):
            losses_of_it = (losses[row] for row in rows[3 * number : 3 * number + 3])
            candidate.loss_empty, candidate.loss_call, candidate.loss_result = losses_of_it

    def _row(self, loaded: Loaded, text: _Read, position: int, call: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """(context, following) of L_i(z), z being the call's text."""
        before, z = text.ids[:position], loaded.chat.text(call) if call else []
        context = [*z, *before] if self.placement == "prefix" else [*before, *z]
        return (*loaded.chat.start(), *context), tuple(text.ids[position : position + 5])


ROWS = 256
"""Calls that are sampled at once."""


class _Read:
    """A text as tokens, and where each of them begins.

    Raises:
        UserError: the tokenizer does not give the text back.
    """

    def __init__(self, loaded: Loaded, text: Text, longest: int) -> None:
        self.text = text
        self.ids = loaded.chat.text(text.text)[:longest]
        """Of the text alone."""
        self.characters: list[int | None] = []
        """Where each token begins; None within a character."""
        at = settled = 0
        for place in range(len(self.ids)):
            piece = str(loaded.tokenizer.decode(self.ids[settled:place]))
            whole = text.text.startswith(piece, at)
            if whole:
                at, settled = at + len(piece), place
            self.characters.append(at if whole else None)
        rest = str(loaded.tokenizer.decode(self.ids[settled:]))
        if len(self.ids) < longest and text.text[at:] != rest:
            raise UserError(f"the tokenizer of {loaded.name} does not give a text back: {text.text[:60]!r}")


def opening_token(loaded: Loaded) -> int:
    """The one token that opens a call.

    Raises:
        UserError: it is more than one.
    """
    ids = loaded.chat.text(calls.OPENING)
    if len(ids) != 1:
        raise UserError(f"{loaded.name} writes {calls.OPENING!r}, which opens a call, with {len(ids)} tokens, not one.")
    return ids[0]


def _written(candidate: Candidate, result: str | None = None) -> str:
    name, argument = calls.read(candidate.call) or ("", "")
    return calls.written(name, argument, result)


def _execute(candidate: Candidate, tool: TextTool, today: date, seen: set[tuple[int, int, str]]) -> None:
    """Run the call and note its result, or why there is none."""
    call = calls.read(candidate.call)
    if call is None or call[0] != tool.name:
        candidate.reason = "not in form" if call is None else "another tool"
        return
    key = candidate.text, candidate.position, call[1]
    candidate.result = tool.run(call[1], today)
    if candidate.result is None:
        candidate.reason = "no result"
    elif key in seen:
        candidate.reason = "duplicate"
    seen.add(key)
