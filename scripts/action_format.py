"""How often a model's next action has a valid form, on the held-out records of a run of `agenttrain sft`.

    python scripts/action_format.py runs/fireact/sft --records 60

Each trained turn of a record is asked for anew, with what came before it as it was recorded: likeliest tokens, one
action. It is valid if it calls a tool of the record with arguments that fit. One line: valid, asked, the share.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import yaml

from agenttrain.data.fireact import Fireact
from agenttrain.env.tools import Call, read_call
from agenttrain.eval.statistics import success_rate
from agenttrain.model.pretrained import Pretrained
from agenttrain.policy.local import Local
from agenttrain.trainer.heldout import split
from agenttrain.trainer.tokens import Tokens
from agenttrain.types import Conversation, Example


def heldout(run: Path) -> list[Example]:
    """The records that the run kept out of its training."""
    config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    settings = {key: value for key, value in config["data"].items() if key != "_target_"}
    rows = [(example, Tokens([number], [number], [0])) for number, example in enumerate(Fireact(**settings))]
    # A little less than the run's share: it may have dropped records too long for it before it split them.
    _, kept_out = split(rows, 0.9 * config["algo"]["heldout"], config["seed"])
    return [rows[tokens.ids[0]][0] for tokens in kept_out]


def asked(example: Example, max_tokens: int) -> Iterator[Conversation]:
    """A conversation that ends before each trained turn."""
    for place, message in enumerate(example.messages):
        if message.get("train"):
            before = [{k: v for k, v in m.items() if k != "train"} for m in example.messages[:place]]
            yield Conversation(example.id, before, example.tools, 0, max_tokens=max_tokens)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("run", type=Path, help="folder of a run of sft with data=fireact")
    parser.add_argument("--records", type=int, default=60, help="held-out records asked about, from the first")
    parser.add_argument("--max-tokens", type=int, default=256, help="most tokens of an action")
    args = parser.parse_args()
    loaded = Pretrained(str(args.run / "model")).load()
    policy = Local(temperature=0.0, context=2048)
    policy.attach(loaded.model, loaded.chat, loaded.name)
    examples = heldout(args.run)[: args.records]
    turns = [conversation for example in examples for conversation in asked(example, args.max_tokens)]
    for conversation in turns:
        policy.submit(conversation)
    valid: dict[str, list[bool]] = {}
    left = len(turns)
    while left:
        for conversation, action in policy.poll(1.0):
            if isinstance(action, Exception):
                raise action
            fits = action.finish == "stop" and isinstance(read_call(action.message, conversation.tools), Call)
            valid.setdefault(conversation.id, []).append(fits)
            policy.release(conversation)
            left -= 1
    count = sum(map(sum, valid.values()))
    rate = success_rate(valid)
    print(f"{count} of {len(turns)} actions are valid, {count / len(turns):.1%};", end=" ")
    print(f"mean over {len(valid)} records {rate.value:.1%} ({rate.low:.1%} to {rate.high:.1%})")


if __name__ == "__main__":
    main()
