"""What a command offers: groups, options, recipes and keys, read from file names and YAML alone.

No Hydra in here: `--help` and shell completion must answer at once.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from agenttrain.config.signature import find_module
from agenttrain.errors import UserError

COMMANDS = (
    "generate-trajectories",
    "sft",
    "rl",
    "eval",
    "credit-check",
    "rescore",
    "turn-values",
    "reward-model",
    "dpo",
    "card",
    "env-check",
    "env-serve",
    "reward-audit",
)
"""The commands with a configuration: each has `conf/<command>.yaml`."""
RECIPES = "conf"
"""`conf=fireact` picks the folder `conf/conf/fireact`, which has one file per command."""


def folders(config_dir: Path | None = None) -> list[Path]:
    """Where YAML files come from: our own folder first, then installed packages', then `--config-dir`.

    Raises:
        UserError: a registered folder or `config_dir` does not exist.
    """
    names = ["agenttrain.conf", *(point.value for point in entry_points(group="agenttrain.conf"))]
    found = [(name, find_module(name)) for name in names]
    for name, file in found:
        if file is None:
            raise UserError(f"the configuration package {name!r} (entry point agenttrain.conf) is not installed")
    if config_dir and not config_dir.is_dir():
        raise UserError(f"--config-dir {config_dir}: no such folder")
    return [file.parent for _, file in found if file] + ([config_dir.resolve()] if config_dir else [])


def chosen(command: str, where: list[Path]) -> dict[str, str | list[str]]:
    """Groups of `command` with the option (or, for a group that takes several, options) chosen by default."""
    groups = defaults(command, where) | {group: options(group, where) for group in compared(command, where)}
    for group, option in groups.items():
        if isinstance(option, str) and "${" in option:
            for other, value in groups.items():
                option = option.replace(f"${{{other}}}", str(value))
            groups[group] = option
    return groups


def target(command: str, where: list[Path]) -> str:
    """The function behind `command`, if no recipe puts another there."""
    return _read(where[0] / f"{command}.yaml")["_target_"]


def compared(command: str, where: list[Path]) -> list[str]:
    """Groups (`group: []` in the command's file) that take all their options unless some are chosen, to compare them.

    Each has an entry of its own: `credit.grpo`, `credit.turn`, where elsewhere there is one `credit`.
    """
    return [group for group, option in defaults(command, where).items() if option == []]


def defaults(command: str, where: list[Path]) -> dict[str, str | list[str]]:
    """Group -> option, as the command's file has it: `${env}_heldout` too."""
    return {spelled.partition("@")[2] or spelled: option for spelled, option in _entries(command, where).items()}


def held(command: str, where: list[Path]) -> dict[str, str]:
    """Key of `command` -> the group whose options it takes, for a group that has no options of its own: `heldout` takes
    those of `task` (`task@heldout: ...` in the command's file)."""
    pairs = (spelled.partition("@") for spelled in _entries(command, where))
    return {key: group for group, _, key in pairs if key}


def _entries(command: str, where: list[Path]) -> dict[str, str | list[str]]:
    groups: dict[str, str | list[str]] = {}
    for entry in _read(where[0] / f"{command}.yaml").get("defaults", []):
        if isinstance(entry, dict):
            groups |= {spelled.removeprefix("optional "): option for spelled, option in entry.items()}
    return groups


def is_group(name: str, where: list[Path]) -> bool:
    """True if some folder has options under this name."""
    return bool(options(name, where)) or name == RECIPES


def options(group: str, where: list[Path]) -> list[str]:
    """Names of the options of a group, sorted."""
    return sorted({file.stem for folder in where for file in (folder / group).glob("*.yaml")})


def nested(group: str, where: list[Path]) -> dict[str, str]:
    """Parameter -> group, for options of `group` that hold another option: `/credit@base: grpo` in credit/empg.yaml."""
    return {p: held for option in options(group, where) for p, held in holds(group, option, where).items()}


def holds(group: str, option: str, where: list[Path]) -> dict[str, str]:
    """Parameter -> group, of one option."""
    found: dict[str, str] = {}
    file = option_file(group, option, where)
    for entry in _read(file).get("defaults", []) if file else []:
        for name in entry if isinstance(entry, dict) else {}:
            held, _, parameter = str(name).lstrip("/").partition("@")
            found[parameter] = held
    return found


def recipes(where: list[Path]) -> dict[str, list[str]]:
    """Recipe -> the commands it has a part for."""
    found: dict[str, set[str]] = {}
    for folder in where:
        for file in (folder / RECIPES).glob("*/*.yaml"):
            found.setdefault(file.parent.name, set()).add(file.stem)
    return {recipe: [c for c in COMMANDS if c in found[recipe]] for recipe in sorted(found)}


def option_file(group: str, option: str, where: list[Path]) -> Path | None:
    """The file of an option: the first folder that has it wins, as in Hydra."""
    files = (folder / group / f"{option}.yaml" for folder in where)
    return next((file for file in files if file.is_file()), None)


def keys(command: str, choices: dict[str, str | list[str]], where: list[Path]) -> dict[str, Any]:
    """Dotted keys of `command` under these choices with their defaults, as far as the files alone tell."""
    tree, kinds = _plain(_read(where[0] / f"{command}.yaml")), held(command, where)
    for group, option in choices.items():
        for name in option if isinstance(option, list) else [option]:
            prefix = f"{group}.{name}" if isinstance(option, list) else group
            tree |= {f"{prefix}.{key}": value for key, value in keys_of(kinds.get(group, group), name, where).items()}
    return tree


def keys_of(group: str, option: str, where: list[Path]) -> dict[str, Any]:
    """Dotted keys of an option with their defaults; of an option within it (`base`) its name, too."""
    file = option_file(group, option, where)
    if file is None:
        return {}
    content, found = _read(file), {}
    for parent in content.get("defaults", []):
        if isinstance(parent, str) and parent != "_self_":
            found |= keys_of(group, parent, where)
        for name, held in parent.items() if isinstance(parent, dict) else ():
            other, _, parameter = name.lstrip("/").partition("@")
            own = keys_of(other, held, where)
            found |= {parameter: held} | {f"{parameter}.{key}": value for key, value in own.items()}
    return found | _plain(content)


def _plain(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in tree.items():
        if key in ("defaults", "_target_"):
            continue
        if isinstance(value, dict) and value:
            found |= _plain(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found


@cache
def _read(file: Path) -> dict[str, Any]:
    import yaml  # 50 ms, and `agenttrain --help` needs none of it

    try:
        return yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise UserError(" ".join(str(error).split())) from error
