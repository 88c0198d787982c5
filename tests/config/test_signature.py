"""Signatures are read from source; what Python itself says of the same code must agree."""

import ast
import sys
from textwrap import dedent

import pytest

from agenttrain.config.signature import Parameter, read


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Write a package of one name per test; nothing in it can be imported."""
    name = f"written_{tmp_path.name}"
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("raise RuntimeError('imported')\n")
    monkeypatch.syspath_prepend(tmp_path)

    def write(**modules):
        for module, source in modules.items():
            (tmp_path / name / f"{module}.py").write_text(dedent(source))
        return name

    yield write
    assert name not in sys.modules


def test_parameters_of_a_constructor(written):
    name = written(a="class A:\n    def __init__(self, x: int, y: str = 'b', *, z: float | None = None): ...\n")
    signature = read(f"{name}.a.A")
    assert {p.name: (str(p), p.required) for p in signature.parameters.values()} == {
        "x": ("int", True),
        "y": ("str", False),
        "z": ("float | None", False),
    }
    assert not signature.open
    assert signature.is_class


def test_fields_of_a_dataclass_that_inherits_from_another_module(written):
    name = written(
        base="""
            from dataclasses import dataclass
            @dataclass
            class Base:
                first: int
                hidden: int = field(init=False, default=1)
                count: ClassVar[int] = 0
        """,
        child="""
            from .base import Base
            @dataclass(frozen=True)
            class Child(Base):
                more: list[int] = field(default_factory=list)
        """,
    )
    parameters = read(f"{name}.child.Child").parameters
    assert {name: p.required for name, p in parameters.items()} == {"first": True, "more": False}


def test_a_constructor_is_inherited_and_may_take_any_keyword(written):
    name = written(a="class A:\n    def __init__(self, x, **rest): ...\nclass B(A):\n    pass\n")
    signature = read(f"{name}.a.B")
    assert list(signature.parameters) == ["x"]
    assert signature.open


def test_a_re_export_is_followed_inside_the_package_only(written):
    name = written(a="from .b import B\nfrom os import system\nimport os\n", b="class B:\n    pass\n")
    assert read(f"{name}.a.B").module == f"{name}.b"
    assert read(f"{name}.a.system") is None
    assert read(f"{name}.a.os") is None
    assert read(f"{name}.a.os.system") is None
    assert read(f"{name}.a.C") is None
    assert read(f"{name}.no.B") is None


FITS = [
    ("int", 1, True),
    ("int", True, False),
    ("int", 1.0, False),
    ("int", "1", False),
    ("float", 1, True),
    ("float", False, False),
    ("bool", True, True),
    ("bool", 1, False),
    ("str", "a", True),
    ("str", None, False),
    ("str | None", None, True),
    ("Optional[str]", None, True),
    ("Optional[str]", 1, False),
    ("Union[int, str]", "a", True),
    ("Path", "a/b", True),
    ("Any", {"a": 1}, True),
    ("Literal['a', 'b']", "b", True),
    ("Literal['a', 'b']", "c", False),
    ("Literal[4, 8] | None", 4, True),
    ("Literal[False, 'bfd']", 0, False),
    ("list[int]", [1, 2], True),
    ("list[int]", [1, "a"], False),
    ("list[int]", 1, False),
    ("Sequence[str]", [], True),
    ("Iterable[Thing]", {"_target_": "x.Y"}, True),
    ("list[int]", {"_target_": "x.Y"}, False),
    ("dict[str, float]", {"a": 1}, True),
    ("dict[str, float]", {"a": "b"}, False),
    ("dict[str, Any]", {"_target_": "x.Y"}, False),
    ("'int | None'", None, True),
    ("NotDefinedAnywhere", 1, True),
    ("Annotated[int, '>= 1']", 1, True),
    ("Annotated[int, '>= 1']", 0, False),
    ("Annotated[int, '>= 1'] | None", None, True),
    ("Annotated[float, '> 0', '< 1']", 0, False),
    ("Annotated[float, '> 0', '< 1']", 1, False),
    ("Annotated[float, '> 0', '<= 1']", 1, True),
    ("Annotated[float, '>= 0']", float("nan"), False),
    ("Annotated[float, '>= 0']", "a", False),
]


@pytest.mark.parametrize(("hint", "value", "fits"), FITS)
def test_what_fits_an_annotation(hint, value, fits):
    parameter = Parameter("x", ast.parse(hint, mode="eval").body, True, "agenttrain.types")
    assert parameter.accepts(value) is fits


def test_an_alias_and_a_class_are_looked_up_where_they_are_defined(written):
    name = written(
        a="""
            from .b import Size, Tool
            class Other: ...
            class Saw(Tool): ...
            class A:
                def __init__(self, size: Size, tool: Tool | None = None): ...
        """,
        b="from typing import Literal\nSize = Literal['s', 'm']\nclass Tool: ...\n",
    )
    size, tool = read(f"{name}.a.A").parameters.values()
    assert size.accepts("m")
    assert not size.accepts("l")
    assert tool.accepts(None)
    assert tool.accepts({"_target_": f"{name}.a.Saw"})
    assert not tool.accepts({"_target_": f"{name}.a.Other"})
    assert not tool.accepts({"blade": 3})
    assert not tool.accepts("saw")


def test_an_annotation_is_told_with_its_aliases_written_out():
    algo = read("agenttrain.trainer.sft.Sft").parameters
    assert str(algo["max_steps"]) == "int >= 1 | None"
    assert str(algo["heldout"]) == "float >= 0 and <= 1"
    assert str(algo["overlong"]) == "turn | cut"


def test_a_protocol_accepts_any_object():
    credit = read("agenttrain.commands.rl.rl").parameters["credit"]
    assert credit.accepts({"_target_": "agenttrain.credit.grpo.Grpo"})
    assert not credit.accepts("grpo")


def test_an_annotation_is_shown_as_a_user_writes_values():
    (parameter,) = [Parameter("x", ast.parse("Literal['a', 'b'] | None", mode="eval").body, True, "agenttrain.types")]
    assert str(parameter) == "a | b | None"
