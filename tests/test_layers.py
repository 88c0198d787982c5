"""Who may import whom: rooms of the flow are siblings, heavy libraries stay in the rooms that compute."""

import ast
import re
import subprocess
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "agenttrain"

WORDS = {"types", "errors", "ranges"}
ROOMS = {"task", "env", "policy", "reward", "credit", "data", "process", "bench"}
ALLOWED = {
    # the words that everybody shares
    "types": set(),
    "errors": set(),
    "ranges": set(),
    "terminal": set(),
    # single files that several rooms stand on
    "jsonfile": {"errors"},
    "services": set(),
    "bm25": {*WORDS, "jsonfile"},
    "worlds": {*WORDS, "bm25"},
    # where code of a model runs; what is inside it has nothing else of ours to import
    "sandbox": WORDS,
    # real parts that an environment stands on
    "pages": {*WORDS, "worlds"},
    "sql": WORDS,
    "tau": {"syntax"},
    "syntax": set(),
    "backend": {*WORDS, "services", "tau", "terminal"},
    "watch": set(),
    "overlap": set(),
    "groups": set(),
    "trajectory_record": {"types"},
    "store": {*WORDS, "trajectory_record"},
    "seen": {"types", "trajectory_record"},
    "gorilla": {*WORDS, "syntax", "jsonfile", "bm25", "store"},
    # the flow: none of these knows another
    "task": {*WORDS, "syntax", "jsonfile", "worlds", "services", "gorilla"},
    "env": {
        *WORDS,
        "syntax",
        "jsonfile",
        "bm25",
        "gorilla",
        "worlds",
        "services",
        "sandbox",
        "pages",
        "sql",
        "backend",
        "terminal",
    },
    "policy": {*WORDS, "gorilla", "worlds", "store"},
    "tool": {*WORDS, "jsonfile", "bm25"},
    "toolformer": {*WORDS, "jsonfile", "tool", "model"},
    # reward functions that a model wrote
    "card": {*WORDS, "sandbox", "syntax", "transcript"},
    "reward": {*WORDS, "model", "card", "sandbox", "transcript"},
    "transcript": WORDS,
    "credit": WORDS,
    "data": {*WORDS, "jsonfile", "store", "trajectory_record", "gorilla"},
    "rollout": WORDS,
    "combine": WORDS,
    "preferences": WORDS,
    "labels": {*WORDS, "store", "trajectory_record"},
    "votes": {*WORDS, "labels", "preferences"},
    "continued": WORDS,
    "play": {*WORDS, "rollout", "store", "trajectory_record", "watch"},
    "model": WORDS,
    "trainer": {*WORDS, "overlap", "groups", "combine", "rollout", "model", "watch", "preferences"},
    "eval": {*WORDS, "terminal", "trajectory_record"},
    "report": {*WORDS, "store", "eval", "terminal"},
    "canaries": {*WORDS, "policy", "promises"},
    "promises": {*WORDS, "rollout", "policy"},
    "serving": WORDS,
    "inspect_log": {*WORDS, "eval"},
    "machine": {*WORDS, "pages", "sandbox"},
    # strategies of credit where the truth is known
    "process": WORDS,
    "bench": {*WORDS, "process"},
    # the front door, which knows the commands by name only
    "config": {"errors"},
    "run_folder": {"errors"},
    "sweep": {"errors", "config", "run_folder"},
    "completion": {"errors", "config"},
    "cli": {"errors", "terminal", "completion", "config", "run_folder", "sweep", "commands"},
    "__main__": {"cli"},
    # the pipelines, in words
    "commands": {
        *WORDS,
        *ROOMS,
        "card",
        "sandbox",
        "combine",
        "preferences",
        "continued",
        "terminal",
        "rollout",
        "play",
        "store",
        "trajectory_record",
        "watch",
        "model",
        "trainer",
        "eval",
        "report",
        "promises",
        "canaries",
        "serving",
        "machine",
        "inspect_log",
        "seen",
        "labels",
        "votes",
        "overlap",
        "groups",
        "jsonfile",
        "tool",
        "toolformer",
    },
}
HEAVY = {"torch", "trl", "transformers", "peft", "accelerate"}
COMPUTES = re.compile(
    r"(model|trainer)/.*|toolformer/(annotate|reading)\.py"
    r"|policy/(local|engine|attention|cache|cast|sampling|vllm\w*|weights)\.py"
    r"|env/callables\.py|commands/inspect\.py|machine\.py"
)
"""The last three read a schema, a tokenizer and what there is to compute on, inside a function."""
CONFIGURES = re.compile(r"config/(compose|overrides)\.py")


def modules():
    return sorted(PACKAGE.rglob("*.py"))


def name_of(file):
    return str(file.relative_to(PACKAGE))


def imported(file):
    """Full names of what a module imports, anywhere in it but under TYPE_CHECKING."""
    tree = ast.parse(file.read_text())
    typing_only = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in {file}"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room_of(file):
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def rooms_imported(file):
    return {name.split(".")[1] for name in imported(file) if name.startswith("agenttrain.")} - {room_of(file)}


@pytest.mark.parametrize("file", modules(), ids=name_of)
def test_a_room_imports_only_what_it_may(file):
    if file == PACKAGE / "__init__.py":
        assert not list(imported(file))
        return
    composes = {"config"} if name_of(file) == "commands/inspect.py" else set()  # it reads a file as `sft` would
    assert rooms_imported(file) <= ALLOWED[room_of(file)] | composes


def test_there_are_no_import_cycles():
    graph = {}
    for file in modules():
        graph.setdefault(room_of(file), set()).update(rooms_imported(file))
    TopologicalSorter(graph).prepare()  # raises CycleError


@pytest.mark.parametrize("file", modules(), ids=name_of)
def test_heavy_libraries_stay_where_something_is_computed(file):
    tops = {name.split(".")[0] for name in imported(file)}
    assert COMPUTES.fullmatch(name_of(file)) or not tops & HEAVY
    assert CONFIGURES.fullmatch(name_of(file)) or not tops & {"hydra", "omegaconf"}


def test_no_file_names_a_folder_of_one_machine():
    """A path below a home or a scratch folder works for its author alone."""
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True).stdout.split("\0")
    if not any(files):
        pytest.skip("no git checkout: the files to look at are unknown")
    private = re.compile(r"(?<![\w.~-])/(work|home|Users|tmp|root|mnt)/\w")
    for name in filter(None, files):
        file = ROOT / name
        if not file.is_file() or file == Path(__file__) or file.stat().st_size > 1_000_000:
            continue
        found = private.search(file.read_text(encoding="utf-8", errors="ignore"))
        assert not found, f"{name}: {found[0]}"
