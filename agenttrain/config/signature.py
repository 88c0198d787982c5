"""What a `_target_` accepts, read from its source: so a configuration is checked before torch is ever imported."""

from __future__ import annotations

import ast
import operator
import re
import sys
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Parameter:
    """One parameter of a constructor or function."""

    name: str
    hint: ast.expr | None
    required: bool
    module: str
    """Where the names in `hint` are looked up."""

    def __str__(self) -> str:
        hint = _Written(self.module).visit(deepcopy(self.hint)) if self.hint else ast.Name("Any")
        text = ast.unparse(hint).replace("'", "")
        text = re.sub(r"Literal\[([^]]*)\]", lambda options: options[1].replace(", ", " | "), text)
        return re.sub(r"Annotated\[(\w+), ([^]]*)\]", lambda m: f"{m[1]} {m[2].replace(', ', ' and ')}", text)

    def accepts(self, value: Any) -> bool:
        """Whether a value of a configuration (a dict with `_target_` stands for an object) fits the annotation."""
        return _fits(value, self.hint, self.module)


@dataclass(frozen=True)
class Signature:
    """The parameters of a class or function, and where it is defined."""

    parameters: dict[str, Parameter]
    open: bool
    """It takes any further keyword."""
    module: str
    name: str
    is_class: bool


def find_module(name: str) -> Path | None:
    """The file of a module, found without importing it or the packages around it (where their layout allows)."""
    top, *rest = name.split(".")
    try:
        spec = sys.modules[top].__spec__ if top in sys.modules else find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None or not rest:
        return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None
    for place in spec.submodule_search_locations or []:
        stem = Path(place, *rest)
        for file in (stem / "__init__.py", stem.with_name(stem.name + ".py")):
            if file.is_file():
                return file
    if rest == ["conf"]:  # an editable install may keep a package's folder elsewhere; only its finder knows
        spec = find_spec(name)
        return Path(spec.origin) if spec and spec.origin else None
    return None


def read(target: str) -> Signature | None:
    """The signature behind `package.module.Name`, or None where the source defines no such class or function.

    Nothing that a module merely imports from another package counts: `agenttrain.cli.os.system` is not ours.
    """
    module, _, name = target.rpartition(".")
    if not module or find_module(module) is None:
        return None
    place, node = _define(module, name, within=target.partition(".")[0])
    match node:
        case ast.FunctionDef():
            return Signature(*_arguments(node, place), place, node.name, is_class=False)
        case ast.ClassDef():
            return Signature(*_constructor(node, place), place, node.name, is_class=True)
    return None


@cache
def _names(module: str) -> dict[str, ast.stmt]:
    """What a module binds at its top level (under `if` and `try` too): classes, functions, imports, assignments."""
    file = find_module(module)
    found: dict[str, ast.stmt] = {}
    for node in _top_level(ast.parse(file.read_text(encoding="utf-8")).body if file else []):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                found[name] = node
            case ast.ImportFrom(names=names):
                found |= {alias.asname or alias.name: node for alias in names}
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                found[name] = node
    return found


def _top_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        if isinstance(node, ast.If | ast.Try):
            yield from _top_level(node.body)
        else:
            yield node


def _define(module: str, name: str, within: str | None = None) -> tuple[str, ast.stmt | None]:
    """The module and statement that define `name`, through re-exports (only inside the package `within`, if given)."""
    node = _names(module).get(name)
    if not isinstance(node, ast.ImportFrom):
        return module, node
    source = node.module or ""
    if node.level:
        file = find_module(module)
        up = node.level - (file is not None and file.name == "__init__.py")
        source = ".".join([*module.split(".")[: len(module.split(".")) - up], *([source] if source else [])])
    if within and source.partition(".")[0] != within:
        return module, None
    original = next(alias.name for alias in node.names if (alias.asname or alias.name) == name)
    return _define(source, original, within)


def _arguments(function: ast.FunctionDef, module: str, skip: int = 0) -> tuple[dict[str, Parameter], bool]:
    spec = function.args
    plain = [*spec.posonlyargs, *spec.args]
    defaults: list[ast.expr | None] = [None] * (len(plain) - len(spec.defaults)) + list(spec.defaults)
    pairs = list(zip(plain, defaults, strict=True))[skip:]
    pairs += zip(spec.kwonlyargs, spec.kw_defaults, strict=True)
    parameters = {a.arg: Parameter(a.arg, a.annotation, default is None, module) for a, default in pairs}
    return parameters, spec.kwarg is not None


def _constructor(cls: ast.ClassDef, module: str) -> tuple[dict[str, Parameter], bool]:
    """Of `__init__`, of the fields of a dataclass, or of the nearest base that has either."""
    for node in cls.body:
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            return _arguments(node, module, skip=1)
    inherited: dict[str, Parameter] = {}
    opened = False
    for base in reversed(cls.bases):
        place, node = _define(module, base.id) if isinstance(base, ast.Name) else (module, None)
        if isinstance(node, ast.ClassDef):
            parameters, is_open = _constructor(node, place)
            inherited, opened = inherited | parameters, opened or is_open
    if not any("dataclass" in ast.unparse(decorator) for decorator in cls.decorator_list):
        return inherited, opened
    fields = {field.name: field for node in cls.body if (field := _field(node, module))}
    return inherited | fields, opened


def _field(node: ast.stmt, module: str) -> Parameter | None:
    if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)):
        return None
    options = {}
    if isinstance(node.value, ast.Call) and ast.unparse(node.value.func).endswith("field"):
        options = {keyword.arg: ast.unparse(keyword.value) for keyword in node.value.keywords}
        required = not {"default", "default_factory"} & options.keys()
    else:
        required = node.value is None
    if "ClassVar" in ast.unparse(node.annotation) or options.get("init") == "False":
        return None
    return Parameter(node.target.id, node.annotation, required, module)


class _Written(ast.NodeTransformer):
    """An annotation with its aliases written out: `Count | None` as `Annotated[int, '>= 1'] | None`."""

    def __init__(self, module: str) -> None:
        self.module = module

    def visit_Name(self, node: ast.Name) -> ast.expr:
        place, found = _define(self.module, node.id)
        if isinstance(found, ast.Assign) and isinstance(found.value, ast.Subscript | ast.BinOp):
            return _Written(place).visit(deepcopy(found.value))
        return node


_SCALARS: dict[str, tuple[type, ...]] = {
    "int": (int,), "float": (int, float), "str": (str,), "bool": (bool,), "Path": (str,),
    "list": (list,), "tuple": (list,), "dict": (dict,), "None": (type(None),),
}  # fmt: skip
_LISTS = {"list", "tuple", "set", "frozenset", "Sequence", "Iterable", "Collection"}
_ABSTRACT = {"Sequence", "Iterable", "Collection", "Mapping"}
"""What an object of any class may be too, not only a list or dict of the YAML."""


def _fits(value: Any, hint: ast.expr | None, module: str) -> bool:
    match hint:
        case ast.Constant(value=None):
            return value is None
        case ast.Constant(value=str(text)):
            return _fits(value, ast.parse(text, mode="eval").body, module)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _fits(value, left, module) or _fits(value, right, module)
        case ast.Subscript(value=head, slice=inside):
            items = inside.elts if isinstance(inside, ast.Tuple) else [inside]
            return _fits_generic(value, ast.unparse(head).rpartition(".")[2], items, module)
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return _fits_name(value, name, module)
    return True


def _fits_generic(value: Any, head: str, items: list[ast.expr], module: str) -> bool:
    if head == "Literal":
        return any(value == option and type(value) is type(option) for option in map(ast.literal_eval, items))
    if head == "Annotated":
        return _fits(value, items[0], module) and all(_within(value, ast.literal_eval(item)) for item in items[1:])
    if head in ("Optional", "Union"):
        return (head == "Optional" and value is None) or any(_fits(value, item, module) for item in items)
    if head in _ABSTRACT and isinstance(value, dict) and "_target_" in value:
        return True
    if head in _LISTS:
        return isinstance(value, list) and all(_fits(element, items[0], module) for element in value)
    if head in ("dict", "Mapping"):
        return isinstance(value, dict) and "_target_" not in value and all(
            _fits(key, items[0], module) and _fits(element, items[1], module) for key, element in value.items()
        )  # fmt: skip
    return True


_COMPARE = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}


def _within(value: float, bound: str) -> bool:
    """Whether a number keeps a bound like `>= 1`."""
    compare, limit = bound.split()
    return _COMPARE[compare](value, float(limit))


def _fits_name(value: Any, name: str, module: str) -> bool:
    if name == "Any":  # a class in the source of typing
        return True
    if name in _SCALARS:
        is_object = isinstance(value, dict) and "_target_" in value
        # bool is an int in Python, and no number to a reader of the YAML
        return isinstance(value, _SCALARS[name]) and not is_object and (name == "bool" or not isinstance(value, bool))
    place, node = _define(module, name)
    match node:
        case ast.ClassDef():
            return isinstance(value, dict) and _is_a(value.get("_target_"), place, node)
        case ast.Assign(value=alias) | ast.AnnAssign(value=ast.expr() as alias):
            return _fits(value, alias, place)
    return True


def _is_a(target: Any, module: str, cls: ast.ClassDef) -> bool:
    """Whether a target makes a `cls`. A protocol, or a function as target, cannot be judged from the source."""
    if not isinstance(target, str):
        return False
    place, node = _define(*target.rpartition(".")[::2])
    if not isinstance(node, ast.ClassDef) or any("Protocol" in ast.unparse(base) for base in cls.bases):
        return True
    bases = [_define(place, base.id) for base in node.bases if isinstance(base, ast.Name)]
    return (place, node.name) == (module, cls.name) or any(
        isinstance(base, ast.ClassDef) and _is_a(f"{where}.{base.name}", module, cls) for where, base in bases
    )
