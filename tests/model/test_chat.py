import json
from copy import deepcopy

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast
from trl.chat_template_utils import (
    has_generation_markers,
    is_chat_template_prefix_preserving,
    is_chat_template_stop_token_trained,
    qwen3_chat_template,
    supports_tool_calling,
)

from agenttrain.errors import UserError
from agenttrain.model.chat import Chat
from agenttrain.model.tiny import TOKENIZER

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "craft",
            "description": "Craft an item.",
            "parameters": {"type": "object", "properties": {"item": {"type": "string"}}, "required": ["item"]},
        },
    }
]
OPENING = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Goal: rope."}]


def call(name="craft", content="", **arguments):
    function = {"name": name, "arguments": arguments}
    return {"role": "assistant", "content": content, "tool_calls": [{"type": "function", "function": function}]}


def tool(content):
    return {"role": "tool", "name": "craft", "content": content}


@pytest.fixture(scope="module")
def tiny():
    return Chat(AutoTokenizer.from_pretrained(TOKENIZER))


@pytest.fixture(scope="module")
def qwen():
    """The tiny tokenizer with Qwen3's special tokens and Qwen3's real chat template, which rewrites history."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(TOKENIZER / "tokenizer.json"), eos_token="<|im_end|>", pad_token="<|pad|>"
    )
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.add_tokens(["<think>", "</think>", "<tool_call>", "</tool_call>"])
    tokenizer.chat_template = qwen3_chat_template
    return Chat(tokenizer)


@pytest.fixture(params=["tiny", "qwen"])
def chat(request):
    return request.getfixturevalue(request.param)


def test_the_tiny_template_passes_all_of_trls_checks(tiny):
    tokenizer = tiny.tokenizer
    assert supports_tool_calling(tokenizer)
    assert is_chat_template_prefix_preserving(tokenizer)
    assert is_chat_template_stop_token_trained(tokenizer)
    assert has_generation_markers(tokenizer.chat_template)


def test_pieces_put_together_are_what_the_whole_template_renders(chat):
    turns = [call(item="rope"), tool("You have: 1 rope."), call(content="Now", item="net"), tool("Done.")]
    pieces = chat.open(OPENING, TOOLS)
    pieces += chat.reply(turns[0]) + chat.extend(turns[1:2]) + chat.reply(turns[2]) + chat.extend(turns[3:])
    whole = chat.tokenizer.apply_chat_template(
        OPENING + turns,
        tools=TOOLS,
        chat_template=chat.template,
        add_generation_prompt=True,
        tokenize=True,
        return_dict=False,
    )
    assert pieces == list(whole)


def test_a_template_that_leaves_the_tools_out_is_refused_where_there_are_some(tiny):
    tokenizer = deepcopy(tiny.tokenizer)
    tokenizer.chat_template = "{% set tools = none %}" + tokenizer.chat_template
    chat = Chat(tokenizer)
    assert chat.open(OPENING, [])
    with pytest.raises(UserError, match="shows no tools: the model would never see 'craft'"):
        chat.open(OPENING, TOOLS)


def test_a_reply_ends_with_the_stop_token_and_says_nothing_of_the_header(chat):
    ids = chat.reply(call(item="rope"))
    assert ids[-1] == chat.stop_id
    assert ids.count(chat.stop_id) == 1
    assert "assistant" not in chat.tokenizer.decode(ids)


@pytest.mark.parametrize(
    "message",
    [
        call(item="rope"),
        call(item='a "quoted" \\ thing\n'),
        call("search", query="Łódź {} }}</b>"),
        {"role": "assistant", "content": "Just words."},
    ],
)
def test_a_reply_parses_back_to_its_message(chat, message):
    parsed = chat.parse(chat.reply(message), TOOLS)
    assert parsed.get("content", "") == message["content"]
    wanted = [c["function"] for c in message.get("tool_calls", [])]
    assert [c["function"] for c in parsed.get("tool_calls", [])] == wanted


@pytest.mark.parametrize(
    "text",
    [
        '<tool_call>{"name": "craft", "arguments": {"item": ',
        '<tool_call>{"name": "craft", "arguments": {"item": "rope"</tool_call>',
        '<tool_call>["craft"]</tool_call>',
        "<tool_call></tool_call>",
        "</tool_call>",
        "",
    ],
)
def test_a_malformed_call_stays_text_and_is_no_call(chat, text):
    ids = chat.tokenizer(text, add_special_tokens=False)["input_ids"] + [chat.stop_id]
    message = chat.parse(ids, TOOLS)
    assert "tool_calls" not in message
    assert message["role"] == "assistant"
    assert isinstance(message["content"], str)
    assert chat.extend([tool("What?")]), "a malformed turn must not break what follows it"


def test_renderings_do_not_depend_on_what_was_rendered_before(chat):
    first = chat.extend([tool("You have: 1 rope.")])
    first.append(7)  # a caller may change what it got
    assert chat.extend([tool("You have: 1 rope.")]) == first[:-1]


def test_a_call_costs_few_tokens_with_the_tiny_tokenizer(tiny):
    assert len(tiny.reply(call(item="plank"))) <= 8
    assert json.loads(tiny.tokenizer.decode(tiny.reply(call(item="plank"))[:-1])[len("<tool_call>") : -12]) == {
        "name": "craft",
        "arguments": {"item": "plank"},
    }


def test_a_tokenizer_without_a_usable_template_is_refused_with_the_reason():
    tokenizer = AutoTokenizer.from_pretrained(TOKENIZER)
    tokenizer.chat_template = None
    with pytest.raises(UserError, match="no chat template"):
        Chat(tokenizer)
    tokenizer = AutoTokenizer.from_pretrained(TOKENIZER)
    # drops everything but the last message: nothing said before can be trusted to stay
    tokenizer.chat_template = "{{ messages[-1].content }}<|end|>{% if add_generation_prompt %}<|assistant|>{% endif %}"
    with pytest.raises(UserError, match=r"rewrites|renders|closes"):
        Chat(tokenizer)
    tokenizer.response_template = None
    with pytest.raises(UserError, match="response_template"):
        Chat(tokenizer)
