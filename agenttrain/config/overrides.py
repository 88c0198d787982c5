"""What a user types -> what Hydra takes: groups, recipes and values, each refused early with a suggestion."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import HydraException

from agenttrain.config import options
from agenttrain.errors import UserError, did_you_mean

SEVERAL = "several"
"""Option of a group that takes one and holds several: `env=[craft,sql]`."""


def parse(overrides: list[str]) -> list[Override]:
    """Read overrides in Hydra's grammar.

    Raises:
        UserError: a text that is none, with how to write it.
    """
    parser, parsed = OverridesParser.create(), []
    for text in overrides:
        if "=" not in text and not text.startswith("~"):
            raise UserError(f"cannot read '{text}': an override is key=value or group=option")
        try:
            parsed.append(parser.parse_override(text))
        except HydraException as error:
            key, _, value = text.partition("=")
            raise UserError(f"cannot read '{text}'. Quote the value: \"{key}='{value}'\"") from error
    return parsed


def quoted(text: str) -> str:
    """A text of any characters as a value in Hydra's grammar."""
    # A backslash means itself there, unless a quote follows.
    return "'" + re.sub(r"(\\*)('|$)", lambda run: run[1] * 2 + ("\\'" if run[2] else ""), text) + "'"


def all_for_hydra(overrides: list[str], command: str, where: list[Path]) -> list[str]:
    """What was typed as Hydra takes it, and the groups that are compared whole because nobody chose among them.

    Raises:
        UserError: the first override that is wrong.
    """
    parsed = parse(overrides)
    untouched = set(options.compared(command, where)) - {override.key_or_group for override in parsed}
    lines = [line for group in sorted(untouched) for line in _entries(group, options.options(group, where))]
    typed = [line for override in parsed for line in _for_hydra(override, command, where)]
    return lines + _following(parsed, command, where) + typed


def _following(parsed: list[Override], command: str, where: list[Path]) -> list[str]:
    """Where a group's default goes by another group (`task: ${env}_heldout`) whose option holds others, what goes by
    these: `env=perturbed env.base=sql` plays the tasks of sql, `env=[sql,api]` those of both."""
    lines, typed, held = [], _typed(parsed), options.held(command, where)
    for group, default in options.defaults(command, where).items():
        led_by = re.search(r"\$\{(\w+)\}", str(default))
        if not led_by or group in typed or led_by[1] not in typed:
            continue
        chosen = typed[led_by[1]]
        if isinstance(chosen, list):
            names = {str(name): str(default).replace(led_by[0], str(name)) for name in chosen}
            if group not in held or {*names.values()} <= {*options.options(held[group], where)}:  # these are optional
                lines += _together(group, names, held, where)
        elif (inner := innermost(led_by[1], parsed, where)) != chosen:
            lines.append(f"{_spelled(group, held)}={str(default).replace(led_by[0], inner)}")
    return lines


def _spelled(group: str, held: dict[str, str]) -> str:
    """As Hydra names it: `task@heldout` where `heldout` takes the options of `task`."""
    return f"{held[group]}@{group}" if group in held else group


def _typed(parsed: list[Override]) -> dict[str, Any]:
    return {override.key_or_group: override.value() for override in parsed}


def innermost(group: str, parsed: list[Override], where: list[Path]) -> str:
    """The option of `group`, which is among the overrides, or the one that it holds of its own kind."""
    typed = _typed(parsed)
    option, key = str(typed[group]), group
    while parameter := next((p for p, held in options.holds(group, option, where).items() if held == group), None):
        key = f"{key}.{parameter}"
        option = str(typed.get(key, options.keys_of(group, option, where)[parameter]))
    return option


def _together(group: str, names: dict[str, str], held: dict[str, str], where: list[Path]) -> list[str]:
    """Several options of a group that takes one: `group=several`, which holds each under its name.

    Raises:
        UserError: the group has no such option, or lacks one of those.
    """
    kind = held.get(group, group)
    known = options.options(kind, where)
    if SEVERAL not in known:
        raise UserError(f"group {group} takes one option, for example {group}={known[0]}")
    for option in names.values():
        _check_option(option, kind, where)
    chosen = [f"+{kind}@{group}.of.{name}={option}" for name, option in names.items()]
    return [f"{_spelled(group, held)}={SEVERAL}", *chosen]


def _for_hydra(override: Override, command: str, where: list[Path]) -> list[str]:
    """A group as it is, a recipe as `+conf/<recipe>=<command>`, a value with `++`.

    With `++` any key is merged, and a misspelt one meets the same check as a misspelt key of a recipe.
    """
    text, key = override.input_line or "", override.key_or_group
    if override.is_sweep_override():
        raise UserError(f"'{text}' is a sweep: add --multirun, or quote a comma that belongs to the value")
    if key.split("/")[0].split(".")[0] == "hydra":
        raise UserError(f"'{text}': Hydra's own settings have no effect here")
    if key == options.RECIPES:
        recipe = str(override.value())
        _check_recipe(recipe, command, where)
        return [f"+{options.RECIPES}/{recipe}={command}"]
    if options.is_group(key, where) or key in options.held(command, where):
        return _check_group(override, command, where)
    group, _, parameter = key.partition(".")[0], *key.rpartition(".")[1:]
    option = override.value()
    if "." in key and isinstance(option, str) and parameter in (held := options.nested(group, where)):
        _check_option(option, held[parameter], where)
        return [f"{held[parameter]}@{key}={option}"]
    return ["++" + text if override.type == OverrideType.CHANGE else text]


def _check_recipe(recipe: str, command: str, where: list[Path]) -> None:
    recipes = options.recipes(where)
    if recipe not in recipes:
        raise UserError(
            f"no recipe '{recipe}'.{did_you_mean(recipe, recipes)} There are: {', '.join(recipes) or 'none yet'}"
        )
    if command not in recipes[recipe]:
        raise UserError(f"recipe '{recipe}' has no part for {command}. It has: {', '.join(recipes[recipe])}")


def _check_group(override: Override, command: str, where: list[Path]) -> list[str]:
    group, value = override.key_or_group, override.value()
    groups, held = options.chosen(command, where), options.held(command, where)
    known = options.options(held.get(group, group), where)
    if group not in groups and override.type == OverrideType.CHANGE:
        raise UserError(f"no group '{group}' in {command}.{did_you_mean(group, groups)} It has: {', '.join(groups)}")
    if override.type == OverrideType.DEL:
        return [override.input_line or ""]
    if isinstance(value, list) and value and isinstance(groups.get(group), str):
        return _together(group, {str(name): str(name) for name in value}, held, where)
    names = [str(option) for option in (value if isinstance(value, list) else [value])]
    if not names:
        raise UserError(f"{group}=[] chooses nothing. It has: {', '.join(known)}")
    for name in names:
        _check_option(name, held.get(group, group), where)
    if group in options.compared(command, where):
        return _entries(group, names)
    key = _spelled(group, held) if group in held else (override.input_line or "").partition("=")[0]
    return [f"{key}=[{','.join(names)}]" if isinstance(groups.get(group), list) else f"{key}={names[0]}"]


def _check_option(name: str, group: str, where: list[Path]) -> None:
    known = options.options(group, where)
    if name not in known:
        hint = did_you_mean(name, known)
        raise UserError(f"no option '{name}' in group {group}.{hint} It has: {', '.join(known)}")


def _entries(group: str, names: list[str]) -> list[str]:
    """Each option under its own name, where Hydra would merge them all into one."""
    return [f"+{group}@{group}.{name}={name}" for name in names]
