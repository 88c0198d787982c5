"""Train the tokenizer of `model=tiny` and write it to agenttrain/model/tiny_tokenizer.

    python scripts/train_tiny_tokenizer.py

Texts: episodes of the embedded environments, and for general English the documentation strings of Python's own
standard library. The result is committed, so that a checkpoint of one version loads in the next.
"""

import ast
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from agenttrain.env.craft import Craft
from agenttrain.env.hopqa import Hopqa
from agenttrain.policy.craft_expert import CraftExpert
from agenttrain.policy.hopqa_expert import HopqaExpert
from agenttrain.rollout import attempts, rollout
from agenttrain.task.craft import Craft as CraftTasks
from agenttrain.task.hopqa import Hopqa as HopqaTasks

FOLDER = Path(__file__).parent.parent / "agenttrain" / "model" / "tiny_tokenizer"
VOCABULARY = 2048
SPECIAL = ["<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>"]
# The skeleton of a call in few tokens. They are ordinary text: decoding gives the JSON back.
SKELETON = [
    '<tool_call>{"name": "',
    '", "arguments": {"',
    *(f'", "arguments": {{"{argument}": "' for argument in ("item", "query", "answer")),
    '": "',
    '", "',
    '"}}</tool_call>',
    "</tool_call>",
]

TEMPLATE = """\
{%- if tools %}
    {{- '<|system|>' }}
    {%- if messages[0].role == 'system' %}{{- messages[0].content + ' ' }}{%- endif %}
    {{- 'Tools:' }}
    {%- for tool in tools %}
        {%- set function = tool.function if tool.function is defined else tool %}
        {{- ' ' + function.name + '(' + (function.parameters.properties | default({}) | join(', ')) + ')' }}
    {%- endfor %}
    {{- '<|end|>' }}
{%- elif messages[0].role == 'system' %}
    {{- '<|system|>' + messages[0].content + '<|end|>' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'assistant' %}
        {{- '<|assistant|>' }}
        {%- generation %}
            {{- message.content or '' }}
            {%- for call in message.tool_calls or [] %}
                {%- set function = call.function if call.function is defined else call %}
                {{- '<tool_call>{"name": "' + function.name + '", "arguments": ' }}
                {{- function.arguments | tojson if function.arguments is not string else function.arguments }}
                {{- '}</tool_call>' }}
            {%- endfor %}
            {{- '<|end|>' }}
        {%- endgeneration %}
    {%- elif message.role == 'tool' %}
        {{- '<|tool|>' + message.content + '<|end|>' }}
    {%- elif message.role == 'user' %}
        {{- '<|user|>' + message.content + '<|end|>' }}
    {%- elif not loop.first %}
        {{- '<|system|>' + message.content + '<|end|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|assistant|>' }}{%- endif %}
"""

RESPONSE = {
    "defaults": {"role": "assistant"},
    "start_anchor": "<|assistant|>",
    "fields": {
        "tool_calls": {
            "open": "<tool_call>",
            "close_pattern": r"</tool_call>\s*",
            "repeats": True,
            "content": "json",
            "transform": {"type": "function", "function": "{content}"},
        },
        "content": {"close_pattern": r"<\|end\|>\s*", "content": "text"},
    },
}


def main() -> None:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(SKELETON),
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts(), trainer)
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in SKELETON])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<|pad|>", eos_token="<|end|>")
    fast.chat_template = TEMPLATE
    fast.response_template = RESPONSE
    fast.save_pretrained(FOLDER)
    print(f"{len(fast)} tokens -> {FOLDER}", file=sys.stderr)


def texts() -> Iterator[str]:
    """About two fifths environments, three fifths English."""
    worlds = [
        (CraftTasks(n=300), Craft(hints=True), CraftExpert(error=0.2)),
        (HopqaTasks(n=300), Hopqa(), HopqaExpert(thoughts=True)),
    ]
    for tasks, environment, expert in worlds:
        for trajectory in rollout(attempts(tasks), environment, expert):
            for message in trajectory.conversation():
                yield str(message.get("content") or "")
                for call in message.get("tool_calls") or []:
                    yield from (call["function"]["name"], *map(str, call["function"]["arguments"].values()))
    library = Path(sysconfig.get_paths()["stdlib"])
    for file in sorted(library.glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                yield ast.get_docstring(node) or ""


if __name__ == "__main__":
    main()
