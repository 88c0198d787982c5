"""Messages <-> tokens, for one tokenizer and its chat template.

What is trained is what was sampled: history is never rendered again. A conversation's tokens are always

    open(opening messages) + reply | extend(observation) + reply | extend(observation) + reply ...

where a reply is either what a policy sampled or, for recorded text, `reply(message)`. Each piece is rendered on its own
beside a dummy conversation and cut out at the stop token, so appending can never change what stands before.

What a message says is data: the text of a special token in it is encoded as plain text (`agenttrain.model.markup`).
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from agenttrain.errors import UserError
from agenttrain.model.markup import Markup
from agenttrain.types import Message, Tool

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_USER: Message = {"role": "user", "content": "x"}
_PLAIN: Message = {"role": "assistant", "content": "x"}


class Chat:
    """A tokenizer's chat template as token pieces that only ever append.

    Raises:
        UserError: the tokenizer has no fast form or no chat template, or one that rewrites what it rendered before.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        self._adopt_template()
        self.pad_id = self.stop_id if tokenizer.pad_token_id is None else cast(int, tokenizer.pad_token_id)
        # An environment repeats itself: one rendering a text, not one a turn.
        self._extend = lru_cache(maxsize=65536)(self._render_extension)
        self._open = lru_cache(maxsize=4096)(self._render_opening)

    def open(self, messages: list[Message], tools: list[Tool]) -> list[int]:
        """The whole opening prompt, up to where the assistant begins to speak.

        Raises:
            UserError: the template leaves the tools out.
        """
        return list(self._open(json.dumps([messages, tools])))

    def reply(self, message: Message) -> list[int]:
        """An assistant message as the tokens a policy would have sampled for it, the stop token last."""
        message = {key: value for key, value in message.items() if key != "train"}
        header = self._ids([_USER], generate=True)
        whole = self._ids([_USER, message])
        if whole[: len(header)] != header:
            raise UserError("The chat template renders an assistant turn differently from its generation prompt.")
        ids = whole[len(header) :]
        if self.stop_id not in ids:
            raise UserError(f"The chat template does not close an assistant turn with {self.stop!r}.")
        return ids[: _last(ids, self.stop_id) + 1]

    def extend(self, messages: list[Message]) -> list[int]:
        """What follows a reply's stop token: the observation, then the header of the next assistant turn."""
        return list(self._extend(json.dumps(messages)))

    def text(self, text: str) -> list[int]:
        """Plain text outside of any conversation; the text of a special token in it is its characters."""
        return self._markup.encode(cast(str, self._markup.guard({"content": text})["content"]))

    def start(self) -> list[int]:
        """What the tokenizer puts before a plain text: its first special token, or nothing."""
        return list(cast(Any, self.tokenizer("")["input_ids"]))

    def end(self) -> list[int]:
        """What ends a plain text."""
        return [cast(int, self.tokenizer.eos_token_id)]

    def parse(self, ids: list[int], tools: list[Tool]) -> Message:
        """The assistant message that sampled `ids` say. A malformed call stays text in `content`, without `tool_calls`,
        and the environment answers it as malformed."""
        from trl.chat_template_utils import parse_response

        message = parse_response(self.tokenizer, ids, prefix=self._header, tools=cast(Any, tools or None))
        calls = message.get("tool_calls")
        if calls is not None and not all(_well_formed(call) for call in calls):
            return {"role": "assistant", "content": self.tokenizer.decode(ids, skip_special_tokens=True)}
        if not calls:
            message.pop("tool_calls", None)
        return message

    # -- rendering ----------------------------------------------------------------------------------------------------

    def _adopt_template(self) -> None:
        """Take the tokenizer's own template if it only ever appends, else TRL's training form of a known one."""
        from trl.chat_template_utils import add_response_schema, get_training_chat_template

        tokenizer = self.tokenizer
        name = getattr(tokenizer, "name_or_path", "") or "this tokenizer"
        if not tokenizer.chat_template:
            raise UserError(f"{name} has no chat template, so it cannot hold a conversation: use an instruct model.")
        if getattr(tokenizer, "response_template", None) is None:
            try:
                add_response_schema(tokenizer)
            except ValueError as error:
                raise UserError(
                    f"The chat template of {name} is not known to TRL, so its tool calls cannot be read.\n"
                    "Set `response_template` in its tokenizer_config.json (see transformers' chat response parsing)."
                ) from error
        self.template: str | None = None
        self._markup = self._find_markup(name)
        self.stop_id = self._find_stop()
        if not self._appends():
            try:
                self.template = get_training_chat_template(tokenizer)
            except (ValueError, AttributeError):
                self.template = None
            if not self._appends():
                raise UserError(f"The chat template of {name} rewrites earlier turns, so its tokens cannot be trained.")
        self.stop = str(tokenizer.decode([self.stop_id]))
        self.stop_ids = frozenset({self.stop_id, cast(int, tokenizer.eos_token_id)} - {None})
        self._header = self._ids([_USER], generate=True)

    def _find_markup(self, name: str) -> Markup:
        tokenizer: Any = self.tokenizer
        if not tokenizer.is_fast:
            raise UserError(f"{name} has no fast form (tokenizer.json): text and special tokens cannot be kept apart.")
        grammar = f"{tokenizer.chat_template} {tokenizer.response_template}"
        markup = Markup(tokenizer.backend_tokenizer, tokenizer.added_tokens_decoder, grammar)
        rendered = tokenizer.apply_chat_template([_USER, _PLAIN, _USER], tokenize=False)
        if markup.encode(rendered) != tokenizer(rendered, add_special_tokens=False)["input_ids"]:
            raise UserError(f"{name} does not encode as its fast form (tokenizer.json) does.")
        return markup

    def _find_stop(self) -> int:
        """The token that ends an assistant turn: the last special one its rendering brings."""
        before, after = self._ids([_USER], generate=True), self._ids([_USER, _PLAIN])
        special = set(self.tokenizer.all_special_ids) | set(self.tokenizer.added_tokens_decoder)
        found = [token for token in after[len(before) :] if token in special]
        if not found:
            raise UserError("The chat template closes no assistant turn with a special token.")
        return found[-1]

    def _appends(self) -> bool:
        """True if an assistant turn with a call stays as it was when its result is appended."""
        call: dict[str, Any] = {"type": "function", "function": {"name": "f", "arguments": {"a": "b"}}}
        turn: Message = {"role": "assistant", "content": "", "tool_calls": [call]}
        result: Message = {"role": "tool", "name": "f", "content": "y"}
        header, whole = self._ids([_USER], generate=True), self._ids([_USER, turn])
        longer = self._ids([_USER, turn, result, turn])
        upto = _last(whole, self.stop_id) + 1 if self.stop_id in whole else len(whole)
        return whole[: len(header)] == header and longer[:upto] == whole[:upto]

    def _render_opening(self, key: str) -> tuple[int, ...]:
        messages, tools = json.loads(key)
        shown = self._ids(messages, tools=tools or None, generate=True)
        if tools and shown == self._ids(messages, generate=True):
            raise UserError(
                f"The chat template shows no tools: the model would never see {tools[0]['function']['name']!r}.\n"
                "Take a model whose template lists its tools, or give the tokenizer such a chat_template.jinja."
            )
        return tuple(shown)

    def _render_extension(self, key: str) -> tuple[int, ...]:
        messages: list[Message] = json.loads(key)
        # Some templates derive the result's header from the call before it, so the dummy makes the same call.
        names = [message["name"] for message in messages if message.get("role") == "tool" and message.get("name")]
        calls = [{"type": "function", "function": {"name": name, "arguments": {}}} for name in names]
        before: list[Message] = [_USER, {"role": "assistant", "content": "", "tool_calls": calls} if calls else _PLAIN]
        prefix = self._ids(before)
        prefix = prefix[: _last(prefix, self.stop_id) + 1]
        whole = self._ids(before + messages, generate=True)
        if whole[: len(prefix)] != prefix:
            raise UserError("The chat template rewrites an assistant turn when a tool result follows.")
        return tuple(whole[len(prefix) :])

    def _ids(self, messages: list[Message], tools: list[Tool] | None = None, generate: bool = False) -> list[int]:
        rendered = self.tokenizer.apply_chat_template(
            [self._markup.guard(message) for message in messages],
            tools=cast(Any, tools and [self._markup.guard(tool) for tool in tools]),
            chat_template=self.template,
            add_generation_prompt=generate,
            tokenize=False,
        )
        return self._markup.encode(cast(str, rendered))


def _last(ids: list[int], token: int) -> int:
    return len(ids) - 1 - ids[::-1].index(token)


def _well_formed(call: Any) -> bool:
    function = call.get("function") if isinstance(call, dict) else None
    return isinstance(function, dict) and isinstance(function.get("name"), str)
