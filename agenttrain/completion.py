"""What --help lists and the shell completes, from file names and YAML alone."""

from __future__ import annotations

from pathlib import Path

import typer

from agenttrain import options
from agenttrain.errors import UserError


def listing(command: str, examples: list[str], config_dir: Path | None = None) -> str:
    """Groups with their options (the chosen one starred), recipes, keys and examples, for `--help`."""
    where = options.folders(config_dir)
    lines = ["Groups (group=option, * unless you choose):"]
    for group, choice in options.chosen(command, where).items():
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
    """Completions of one override on the command line."""
    words = list(ctx.params.get("overrides") or [])
    # bash splits words at "=": what it calls the incomplete word starts after it
    prefix = ""
    if incomplete == "=" and words:
        prefix, incomplete = f"{words.pop()}=", ""
    elif len(words) > 1 and words[-1] == "=":
        words.pop()
        prefix = f"{words.pop()}="
    try:
        found = complete(str(ctx.info_name), words, prefix + incomplete, ctx.params.get("config_dir"))
    except UserError:
        return []
    return [candidate.removeprefix(prefix) for candidate in found]


def complete(command: str, words: list[str], incomplete: str, config_dir: Path | None = None) -> list[str]:
    """Candidates for `incomplete` after the overrides `words`: options behind `group=`, else groups and keys."""
    where = options.folders(config_dir)
    groups = options.chosen(command, where)
    key, equals, value = incomplete.partition("=")
    if equals:
        names = options.options(key, where) if key in groups else []
        if key == options.RECIPES:
            names = [recipe for recipe, commands in options.recipes(where).items() if command in commands]
        opening = "[" if isinstance(groups.get(key), list) else ""
        return [f"{key}={opening}{name}" for name in names if f"{opening}{name}".startswith(value)]
    for word in words:
        group, _, option = word.partition("=")
        if group in groups and option:
            groups[group] = option.strip("[]").split(",") if isinstance(groups[group], list) else option
    keys = options.keys(command, groups, where)
    found = [f"{name}=" for name in (*groups, options.RECIPES, *keys) if name.startswith(incomplete)]
    if len(found) == 1:
        # A second candidate keeps the shell from closing the word behind "=", and shows what stands there now.
        name = found[0][:-1]
        found += complete(command, words, found[0], config_dir) or [f"{name}={_plain(keys.get(name))}"]
    return found


def _plain(value: object) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
