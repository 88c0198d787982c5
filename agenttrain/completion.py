"""What --help lists and the shell completes, from file names and YAML alone."""

from __future__ import annotations

from pathlib import Path

import typer

from agenttrain.config import options
from agenttrain.errors import UserError


def listing(command: str, examples: list[str], config_dir: Path | None = None) -> str:
    """Groups with their options (the chosen one starred), recipes, keys and examples, for `--help`."""
    where = options.folders(config_dir)
    lines, held = ["Groups (group=option, * unless you choose):"], options.held(command, where)
    for group, choice in options.chosen(command, where).items():
        if group in held:
            lines.append(f"  {group:<9} {choice}*   (as {held[group]})")
            continue
        default = choice if isinstance(choice, list) else [choice]
        names = [name + "*" * (name in default) for name in options.options(group, where)]
        lines.append(f"  {group:<9} {'  '.join(names)}{'   (a list)' if isinstance(choice, list) else ''}")
    recipes = [recipe for recipe, commands in options.recipes(where).items() if command in commands]
    if recipes:
        lines += ["", "Recipes (conf=recipe):", "  " + "  ".join(recipes)]
    lines += ["", f"Every key with its value: agenttrain {command} --cfg job", "", "Examples:"]
    lines += [f"  agenttrain {command} {example}" for example in examples]
    return "\n".join(lines)


def typed(ctx: typer.Context, incomplete: str) -> list[str]:
    """Completions of one override on the command line.

    bash splits words at "=": `credit=gi` arrives as `credit`, `=` and the incomplete `gi`, and wants `gigpo` back.
    """
    typed = str(" ".join(ctx.params.get("overrides") or []))
    words = typed.replace(" = ", "=").replace(" =", "=").split()
    unfinished = bool(words) and (words[-1].endswith("=") or "=" not in words[-1])
    prefix = words.pop().rstrip("=") + "=" if unfinished else ""
    command = "-".join(ctx.command_path.split()[1:])  # `agenttrain env check` has conf/env-check.yaml
    command = command if command in options.COMMANDS else "sft"  # inspect takes overrides of sft
    try:
        found = complete(command, words, prefix + incomplete, ctx.params.get("config_dir"))
    except UserError:
        return []
    return [candidate.removeprefix(prefix) for candidate in found]


def complete(command: str, words: list[str], incomplete: str, config_dir: Path | None = None) -> list[str]:
    """Candidates for `incomplete` after the overrides `words`: what can stand behind `key=`, else groups and keys."""
    where = options.folders(config_dir)
    groups = options.chosen(command, where)
    for word in words:
        group, _, option = word.partition("=")
        if group in groups and option:
            groups[group] = option.strip("[]").split(",") if isinstance(groups[group], list) else option
    keys = options.keys(command, groups, where)
    names = [*groups, options.RECIPES, *keys]
    key, equals, _ = incomplete.partition("=")
    if not equals:
        found = [f"{name}=" for name in names if name.startswith(incomplete)]
        if len(found) != 1:
            return found
        # More than one candidate keeps the shell from closing the word behind "=".
        key = found[0][:-1]
    else:
        found = []
    if key == options.RECIPES:
        values = [recipe for recipe, commands in options.recipes(where).items() if command in commands]
    elif key in groups:
        opening = "[" if isinstance(groups[key], list) else ""
        kind = options.held(command, where).get(key, key)
        values = [opening + option for option in options.options(kind, where)]
    elif "." in key and (held := options.nested(key.partition(".")[0], where).get(key.rpartition(".")[2])):
        values = options.options(held, where)
    else:
        values = [_plain(keys[key])] if key in keys else []
    return found + [f"{key}={value}" for value in values if f"{key}={value}".startswith(incomplete)]


def _plain(value: object) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
