"""A composed configuration against the signatures it will call: keys, types, missing values, and who may be called."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agenttrain.config.signature import Signature, find_module, read
from agenttrain.errors import UserError, did_you_mean

MISSING = "???"


def check(config: dict[str, Any], command: str, packages: list[Path], complete: bool = True) -> None:
    """Hold every node with a `_target_` against its signature, without importing anything.

    Args:
        config: resolved, as plain dicts and lists; `_target_` on top is the command's function.
        packages: folders whose code may be called (`Caller.packages`).
        complete: False lets values be missing, as for printing.

    Raises:
        UserError: the first fault, with a suggestion.
    """
    nodes = {path: (node, _signature(node["_target_"], path, packages)) for path, node in _calls(config, "")}
    for path, (node, signature) in nodes.items():
        for key in node:
            if key != "_target_" and key not in signature.parameters and not signature.open:
                raise UserError(_unknown(_join(path, key), command, nodes))
    for path, (node, signature) in nodes.items():
        for name, parameter in signature.parameters.items():
            key, value = _join(path, name), node.get(name, MISSING if parameter.required else None)
            if value == MISSING:
                if complete:
                    raise UserError(f"{key} has no value in {command}. Give one: {key}=<{parameter}>")
            elif name in node and (unchosen := _unchosen(value)):
                raise UserError(f"{key}.{unchosen} has values, but is not chosen: {key}=[{','.join(value)}]")
            elif name in node and not parameter.accepts(value):
                raise UserError(f"{key} must be {parameter}, got {_shown(value)}{_hint(key, value, str(parameter))}")


def _calls(node: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every dict with a `_target_`, with its dotted path, outermost first."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield path, node
        for key, value in node.items():
            yield from _calls(value, _join(path, str(key)))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _calls(value, f"{path}[{index}]")


def _signature(target: Any, path: str, packages: list[Path]) -> Signature:
    """A target is code to run, so it must be defined in a package that the user installed for this or pointed to."""
    where = f"{path}._target_" if path else "_target_"
    if not isinstance(target, str):
        raise UserError(f"{where} must be the dotted name of a class, got {_shown(target)}")
    top = find_module(target.partition(".")[0])
    if top is None or not any(top.is_relative_to(package) for package in packages):
        raise UserError(
            f"{where}={target} is not allowed: a target is a class of agenttrain, of a package with the entry point "
            "agenttrain.conf, or of a module in --config-dir."
        )
    signature = read(target)
    kind = "class" if path else "function"  # only the command itself is a function: a function may do anything
    if signature is None or signature.is_class != bool(path) or signature.name.startswith("_"):
        raise UserError(f"{where}={target}: no such {kind} in the source of {target.partition('.')[0]}")
    return signature


def _unknown(key: str, command: str, nodes: dict[str, tuple[dict[str, Any], Signature]]) -> str:
    known = [_join(path, name) for path, (_, signature) in nodes.items() for name in signature.parameters]
    parent, _, last = key.rpartition(".")
    siblings = [name for name in known if name.rpartition(".")[0] == parent]
    namesakes = [name for name in known if name.rpartition(".")[2] == last]
    hint = did_you_mean(key, siblings) or (f" Did you mean {namesakes[0]}?" if namesakes else did_you_mean(key, known))
    return f"no '{key}' in {command}.{hint}"


def _unchosen(value: Any) -> str | None:
    """Of options that each have a name (`reward.rlvf`), the first that has values and no `_target_`."""
    options = value.values() if isinstance(value, dict) and "_target_" not in value else []
    if not any(isinstance(option, dict) and "_target_" in option for option in options):
        return None
    return next((name for name, option in value.items() if isinstance(option, dict) and "_target_" not in option), None)


def _hint(key: str, value: Any, hint: str) -> str:
    if "str" in hint and isinstance(value, int | float):
        return f". Quote it to keep it text: {key}=\"'{value}'\""
    return ""


def _shown(value: Any) -> str:
    if isinstance(value, dict) and isinstance(value.get("_target_"), str):
        return value["_target_"].rpartition(".")[2]
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else str(key)
