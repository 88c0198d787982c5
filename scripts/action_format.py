"""How often a model's next action has a valid form, on the held-out records of a run of `agenttrain sft`.

    python scripts/action_format.py runs/fireact/sft --records 60
    python scripts/action_format.py runs/fireact/sft --skip 60 --temperature 0.7 --top-p 0.9

Each trained turn of a record is asked for anew, with what came before it as it was recorded: one action, of likeliest
tokens or sampled. It is valid if it calls a tool of the record with arguments that fit. One that is not is asked for
again, sampled, up to five times as in FireAct's code (arXiv 2310.05915). Two lines: valid at the first try, and in the
end. Choose how to sample on some records, and report on the others (`--skip`).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import yaml

from agenttrain.data.fireact import Fireact
from agenttrain.env.tools import Call, read_call
from agenttrain.eval.statistics import success_rate
from agenttrain.model.pretrained import Pretrained
from agenttrain.policy.local import Local
from agenttrain.trainer.heldout import split
from agenttrain.trainer.tokens import Tokens
from agenttrain.types import Conversation, Example, Policy


def heldout(run: Path) -> list[Example]:
    """The records that the run kept out of its training."""
    config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    settings = {key: value for key, value in config["data"].items() if key != "_target_"}
    rows = [(example, Tokens([], [], [])) for example in Fireact(**settings)]
    # A little less than the run's share: it may have dropped records too long for it before it split them.
    _, kept_out = split(rows, 0.9 * config["algo"]["heldout"], config["seed"])
    return [example for example, _ in kept_out]


def asked(example: Example, max_tokens: int) -> Iterator[Conversation]:
    """A conversation that ends before each trained turn."""
    for place, message in enumerate(example.messages):
        if message.get("train"):
            before = [{k: v for k, v in m.items() if k != "train"} for m in example.messages[:place]]
            yield Conversation(example.id, before, example.tools, 0, max_tokens=max_tokens)


def tried(policy: Policy, turns: list[Conversation]) -> list[bool]:
    """Whether the policy's action at each of `turns` is valid.

    Raises:
        Exception: the policy's own, where it cannot act.
    """
    for conversation in turns:
        policy.submit(conversation)
    valid: dict[Conversation, bool] = {}
    while len(valid) < len(turns):
        for conversation, action in policy.poll(1.0):
            if isinstance(action, Exception):
                raise action
            fits = isinstance(read_call(action.message, conversation.tools), Call)
            valid[conversation] = fits and action.finish == "stop"
            policy.release(conversation)
    return [valid[conversation] for conversation in turns]


def tried_again(policy: Policy, turns: list[Conversation], valid: list[bool], times: int) -> list[bool]:
    """`valid` after each turn without a valid action was asked for again, up to so many times, each with its seed."""
    valid = list(valid)
    for seed in range(1, times + 1):
        again = [place for place, fits in enumerate(valid) if not fits]
        for place, fits in zip(
            again, tried(policy, [replace(turns[place], seed=seed) for place in again]), strict=True
        ):
            valid[place] = fits
    return valid


def told(turns: list[Conversation], valid: list[bool]) -> str:
    """`103 of 117 actions are valid, 88.0%`, and the mean over records with its 95 % interval."""
    records: dict[str, list[bool]] = {}
    for conversation, fits in zip(turns, valid, strict=True):
        records.setdefault(conversation.id, []).append(fits)
    rate = success_rate(records)
    total = f"{sum(valid)} of {len(valid)} actions are valid, {sum(valid) / len(valid):.1%}"
    return f"{total}; mean over {len(records)} records {rate.value:.1%} ({rate.low:.1%} to {rate.high:.1%})"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("run", type=Path, help="folder of a run of sft with data=fireact")
    parser.add_argument("--skip", type=int, default=0, help="held-out records passed over, from the first")
    parser.add_argument("--records", type=int, default=None, help="held-out records then asked about; all without it")
    parser.add_argument("--temperature", type=float, default=0.0, help="of the first try; 0: likeliest tokens")
    parser.add_argument("--top-p", type=float, default=1.0, help="of all tries: from the likeliest tokens of this mass")
    parser.add_argument("--max-tokens", type=int, default=256, help="most tokens of an action")
    parser.add_argument("--ask-again", type=int, default=5, help="most times that an invalid action is asked for again")
    parser.add_argument("--again", type=float, default=0.7, help="temperature of the tries after the first")
    args = parser.parse_args()
    loaded = Pretrained(str(args.run / "model")).load()
    policy = Local(args.temperature, args.top_p, context=2048)
    policy.attach(loaded.model, loaded.chat, loaded.name)
    last = None if args.records is None else args.skip + args.records
    examples = heldout(args.run)[args.skip : last]
    turns = [conversation for example in examples for conversation in asked(example, args.max_tokens)]
    if not turns:
        parser.error(f"{args.run} held out no record after the first {args.skip}.")
    valid = tried(policy, turns)
    print(f"first try: {told(turns, valid)}")
    policy.temperature = args.again
    valid = tried_again(policy, turns, valid, args.ask_again)
    print(f"asked again up to {args.ask_again} times: {told(turns, valid)}")


if __name__ == "__main__":
    main()
