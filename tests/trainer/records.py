"""Records to label: a search, what it found, an answer, and a closing line that must never train."""

from agenttrain.trainer.tokens import IGNORED, label_example
from agenttrain.types import Example

SEARCH = {
    "type": "function",
    "function": {
        "name": "search",
        "description": "Search.",
        "parameters": {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
    },
}


def call(query, train=True):
    function = {"name": "search", "arguments": {"query": query}}
    return {
        "role": "assistant",
        "content": "Look.",
        "tool_calls": [{"type": "function", "id": "c", "function": function}],
        "train": train,
    }


def episode(observation="A river in Peru.", first=True, second=True):
    return Example(
        "e",
        [
            {"role": "system", "content": "Answer."},
            {"role": "user", "content": "What is the Urubamba?"},
            call("Urubamba", first),
            {"role": "tool", "name": "search", "content": observation},
            {"role": "assistant", "content": "A river.", "train": second},
            {"role": "user", "content": "Observation: Episode finished, reward = True"},
        ],
        tools=[SEARCH],
    )


def recorded(example, chat, also=()):
    """The same record as a policy with this tokenizer would have left it; tokens at `also` are marked too."""
    tokens = label_example(example, chat)
    mask = [label != IGNORED or place in also for place, label in enumerate(tokens.labels)]
    return Example("r", example.messages, example.tools, ids=tokens.ids, mask=mask)
