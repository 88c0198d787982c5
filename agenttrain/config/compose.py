"""Overrides -> a composed, checked configuration -> typed objects."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.errors import HydraException, MissingConfigException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from agenttrain.config import options
from agenttrain.config.check import MISSING, check
from agenttrain.config.overrides import all_for_hydra, parse, quoted
from agenttrain.config.signature import find_module, read
from agenttrain.errors import UserError

Tree = dict[str, Any]


@dataclass(frozen=True)
class Composed:
    """A configuration that has passed every check."""

    command: str
    values: Tree
    """Resolved; `_target_` on top is the command's function."""
    shown: Tree
    """The same for people and files: what came from an environment variable stays `${oc.env:NAME}`."""
    choices: dict[str, str]
    """Group -> option, and `conf` -> recipe."""

    def yaml(self) -> str:
        """As written to `config.yaml` and printed by `--cfg job`."""
        return OmegaConf.to_yaml(OmegaConf.create(self.shown))

    def call(self) -> partial[Any]:
        """The command's function with its objects made: constructors run, nothing heavy is loaded.

        Raises:
            UserError: a constructor refused its values.
        """
        return partial(_locate(self.values["_target_"]), **_arguments(self.values, ""))


def compose(command: str, overrides: list[str], config_dir: Path | None = None, complete: bool = True) -> Composed:
    """Compose `command` with Hydra overrides and `conf=<recipe>`, and check it.

    Raises:
        UserError: one or two lines on the first thing that is wrong.
    """
    where = options.folders(config_dir)
    lines = all_for_hydra(overrides, command, where)
    lines.append(f"hydra.searchpath=[{','.join(quoted(f'file://{folder}') for folder in where[1:])}]")
    try:
        with initialize_config_dir(str(where[0]), version_base="1.3"):
            config = hydra_compose(command, lines, return_hydra_config=True)
        choices = {k: v for k, v in config.hydra.runtime.choices.items() if not k.startswith("hydra/")}
        OmegaConf.set_struct(config, False)
        del config["hydra"]
        values = cast(Tree, OmegaConf.to_container(config, resolve=True))
        raw = OmegaConf.to_container(config, resolve=False)
    except MissingConfigException as error:
        group, _, option = str(error.missing_cfg_file).rpartition("/")
        raise UserError(
            f"no option '{option}' in group {group}. Choose one: {group}={'|'.join(options.options(group, where))}"
        ) from error
    except YAMLError as error:
        raise UserError(" ".join(str(error).split())) from error
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        if held := re.match(r"Could not override '(\w+)@([\w.]+)'", str(error)):
            raise UserError(f"no '{held[2]}' in {command}: the chosen option of {held[1]} holds no other.") from error
        raise UserError(_first_line(error)) from error
    if config_dir and str(config_dir.resolve()) not in sys.path:
        sys.path.append(str(config_dir.resolve()))
    _leave_out(values, command, overrides, where)
    _leave_incomplete(values, command, overrides, where)
    check(values, command, _packages(where, config_dir), complete)
    return Composed(command, values, _without_secrets(values, raw), _choices(choices, values))


def _leave_out(values: Tree, command: str, overrides: list[str], where: list[Path]) -> None:
    """Where a recipe puts another function behind the command, drop the command's own keys that it does not take.

    Raises:
        UserError: the user gave one of these a value.
    """
    own = options.target(command, where)
    signature = read(values["_target_"]) if values["_target_"] != own else None
    usual = read(own)
    if signature is None or usual is None or signature.open:
        return
    unused = usual.parameters.keys() - signature.parameters.keys()
    for override in parse(overrides):
        if (key := override.key_or_group.partition(".")[0]) in unused:
            raise UserError(f"'{override.input_line}' has no effect: the recipe's {command} takes no {key}.")
    for key in unused:
        values.pop(key, None)


def _leave_incomplete(values: Tree, command: str, overrides: list[str], where: list[Path]) -> None:
    """What another group's option is optional for (`heldout`) and lacks a value is left out, if nobody asked for it."""
    typed = {override.key_or_group.partition(".")[0] for override in parse(overrides)}
    for key in options.held(command, where).keys() - typed:
        if _incomplete(values.get(key)):
            del values[key]


def _incomplete(value: Any) -> bool:
    return value == MISSING or (isinstance(value, dict) and any(map(_incomplete, value.values())))


def _packages(where: list[Path], config_dir: Path | None) -> list[Path]:
    """Folders whose code a configuration may call: our package, registered ones, and `--config-dir`."""
    ours = find_module("agenttrain")
    registered = [find_module(point.value.partition(".")[0]) for point in options.entry_points(group="agenttrain.conf")]
    folders = [file.parent for file in (ours, *registered) if file]
    return folders + ([config_dir.resolve()] if config_dir else [])


def _choices(choices: dict[str, Any], values: Tree) -> dict[str, str]:
    """Hydra's own record, in the order of the composed file, with lists and the recipe as a user writes them."""
    recipes = [key.partition("/")[2] for key in choices if key.startswith(f"{options.RECIPES}/")]
    found = {options.RECIPES: ",".join(recipes)} if recipes else {}
    for key, value in values.items():
        if key in choices:
            found[key] = str(choices[key])
        elif isinstance(value, dict) and "_target_" not in value:
            found[key] = f"[{','.join(value)}]"
    return found


def _without_secrets(value: Any, raw: Any) -> Any:
    """Resolved, except where a value came from the environment: a key must not end up in a run's folder."""
    hidden = {str(v) for v, text in _leaves(value, raw) if "${oc.env:" in str(text) and v not in (None, "")}

    def shown(value: Any, raw: Any) -> Any:
        if isinstance(value, dict) and isinstance(raw, dict):
            return {key: shown(value[key], raw[key]) for key in value}
        if isinstance(value, list) and isinstance(raw, list):
            return [shown(*pair) for pair in zip(value, raw, strict=True)]
        return raw if "${" in str(raw) and any(secret in str(value) for secret in hidden) else value

    return shown(value, raw)


def _leaves(value: Any, raw: Any) -> list[tuple[Any, Any]]:
    if isinstance(value, dict) and isinstance(raw, dict):
        return [leaf for key in value for leaf in _leaves(value[key], raw[key])]
    if isinstance(value, list) and isinstance(raw, list):
        return [leaf for pair in zip(value, raw, strict=True) for leaf in _leaves(*pair)]
    return [(value, raw)]


def _build(value: Any, path: str) -> Any:
    """A value of the configuration as the object it stands for."""
    if isinstance(value, list):
        return [_build(element, f"{path}[{index}]") for index, element in enumerate(value)]
    if not isinstance(value, dict):
        return value
    arguments = _arguments(value, path)
    if "_target_" not in value:
        return arguments
    try:
        return _locate(value["_target_"])(**arguments)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error


def _arguments(node: Tree, path: str) -> Tree:
    signature = read(node["_target_"]) if "_target_" in node else None
    parameters = signature.parameters if signature else {}
    built = {key: _build(value, f"{path}.{key}".lstrip(".")) for key, value in node.items() if key != "_target_"}
    paths = [name for name, parameter in parameters.items() if str(parameter) in ("Path", "Path | None")]
    return {key: Path(value) if key in paths and value is not None else value for key, value in built.items()}


def _locate(target: str) -> Any:
    signature = read(target)
    assert signature is not None, "a checked target"
    return getattr(import_module(signature.module), signature.name)


def _first_line(error: Exception) -> str:
    line = str(error).strip().partition("\n")[0].rpartition("while resolving interpolation: ")[2].strip('"')
    key = getattr(error, "full_key", None)
    return f"{key}: {line}" if key else line
