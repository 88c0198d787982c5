"""An option is a class, a YAML and a test file of the same name, and the YAML says exactly what the class accepts."""

import ast
import inspect
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from agenttrain.config import options
from agenttrain.config.check import check
from agenttrain.config.signature import read

ROOT = Path(__file__).parent.parent
CONF = options.folders()[0]
FILES = sorted(f for f in CONF.glob("*/*.yaml"))
ROOM = {"algo": "trainer"}
"""Groups whose room has another name."""
VERB = {
    "task": "__iter__",
    "env": "episode",
    "policy": "poll",
    "reward": "__call__",
    "credit": "__call__",
    "data": "__iter__",
    "model": "load",
    "trainer": "train",
    "process": "mdp",
    "tool": "run",
}
"""What a class of a room can do if it is an option there."""


def content(file):
    return yaml.safe_load(file.read_text())


def name_of(file):
    return f"{file.parent.name}/{file.stem}"


def parents(file):
    names = [entry for entry in content(file).get("defaults", []) if isinstance(entry, str) and entry != "_self_"]
    return [file.with_name(f"{name}.yaml") for name in names]


def whole(file):
    """What an option says, and what it takes over from another; what goes by a group that may lack is null."""
    taken = {}
    for parent in parents(file):
        taken |= whole(parent)
    return taken | OmegaConf.to_container(OmegaConf.create(content(file)), resolve=True)


CLASSES = [file for file in FILES if "_target_" in content(file)]
PRESETS = [file for file in FILES if file not in CLASSES]


@pytest.mark.parametrize("file", CLASSES, ids=name_of)
def test_an_option_is_the_class_of_the_same_name(file):
    room, option = ROOM.get(file.parent.name, file.parent.name), file.stem
    place, _, name = content(file)["_target_"].rpartition(".")
    assert place in (f"agenttrain.{room}.{option}", f"agenttrain.{room}")
    assert name == "".join(word.capitalize() for word in option.split("_"))
    tests = ROOT / "tests"
    assert (tests / room / f"test_{option}.py").is_file() or (tests / f"test_{room}.py").is_file()


@pytest.mark.parametrize("file", CLASSES, ids=name_of)
def test_its_file_lists_every_parameter_with_its_default(file):
    for node in nodes(whole(file)):
        signature = read(node["_target_"])
        keys = [key for key in node if key not in ("_target_", "defaults")]
        held = [
            name.partition("@")[2] for entry in node.get("defaults", []) if isinstance(entry, dict) for name in entry
        ]
        assert sorted(keys + held) == sorted(signature.parameters)
        accepted = inspect.signature(getattr(import_module(signature.module), signature.name)).parameters
        for key in keys:
            default = accepted[key].default
            if default is None and node[key] in ({}, []):
                continue  # a mutable default is written None in Python
            if default is not inspect.Parameter.empty and isinstance(default, bool | int | float | str | None):
                assert node[key] == default, f"{key} is {node[key]} in the YAML, {default} in the class"


def nodes(value):
    if isinstance(value, dict):
        yield from [value] * ("_target_" in value)
        for element in value.values():
            yield from nodes(element)


@pytest.mark.parametrize("file", CLASSES, ids=name_of)
def test_its_values_have_the_types_that_the_class_declares(file):
    node = {key: value for key, value in whole(file).items() if key != "defaults"}
    check({"option": node}, "test", [ROOT / "agenttrain"], complete=False)


@pytest.mark.parametrize("file", PRESETS, ids=name_of)
def test_a_preset_changes_values_of_an_option_that_exists(file):
    assert parents(file)
    assert all(parent.is_file() for parent in parents(file))


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_a_file_explains_itself(file):
    """YAML comments are the user's reference: a sentence on top, a comment for every value that is no object."""
    lines = file.read_text().splitlines()
    first = next(line for line in lines if not line.startswith("# @package"))
    assert first.startswith("# "), "the first line says what the option is"
    values = [
        line for line in lines if ":" in line and not line.lstrip().startswith(("#", "-", "_target_", "defaults"))
    ]
    bare = [line.strip() for line in values if "#" not in line and not line.rstrip().endswith(":")]
    assert not bare or file in PRESETS, f"no comment: {bare}"


def test_every_class_that_can_do_what_an_option_does_can_be_chosen():
    chosen = {content(file)["_target_"] for file in CLASSES}
    for room, verb in VERB.items():
        for file in sorted((ROOT / "agenttrain" / room).glob("*.py")):
            for node in ast.parse(file.read_text()).body:
                if not isinstance(node, ast.ClassDef) or node.name.startswith("_") or is_abstract(node):
                    continue
                if any(isinstance(member, ast.FunctionDef) and member.name == verb for member in node.body):
                    assert f"agenttrain.{room}.{file.stem}.{node.name}" in chosen, f"no YAML for {node.name} of {file}"


def is_abstract(node):
    return any(ast.unparse(base) in ("ABC", "Protocol") for base in node.bases)


@pytest.mark.parametrize("command", options.COMMANDS)
def test_the_keys_of_a_command_are_the_parameters_of_its_function(command):
    tree = content(CONF / f"{command}.yaml")
    groups = options.chosen(command, [CONF])
    keys = {*groups, *(key for key in tree if key not in ("defaults", "_target_"))}
    assert keys == set(read(tree["_target_"]).parameters)
    assert tree["_target_"].split(".")[-1] == command.replace("-", "_")
