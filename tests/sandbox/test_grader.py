import time

import pytest

from agenttrain.sandbox.grader import grade, same
from agenttrain.types import InfraError

ADD = {
    "calls": [
        {"function": "add", "arguments": [1, 2], "expected": 3},
        {"function": "add", "arguments": [[1], [2]], "expected": [1, 2]},
    ]
}
RIGHT = "def add(a, b): return a + b"


def verdict(sandbox, code, tests=ADD, seconds=2.0, total=10.0):
    result = grade(sandbox, code, tests, seconds, total)
    return result.passed, result.faults


def test_values_decide(sandbox):
    assert verdict(sandbox, RIGHT) == ([True, True], [])
    assert verdict(sandbox, "def add(a, b): return 3") == ([True, False], [])


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("print('passed'); def", "SyntaxError"),
        ("import os; os._exit(0)", "killed"),
        ("raise SystemExit(0)", "SystemExit"),
        ("def add(a, b): raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("def add(a, b): return object()", "TypeError"),
        ("sub = 1", "KeyError"),
        ("def add(a, b): return 'x' * (9 << 20)", "ValueError"),
        ("def add(a, b):\n    x = []\n    for _ in range(10**5): x = [x]\n    return x", "TypeError"),
        ("def add(a, b):\n    import os\n    os.write(3, b'\\0\\0\\0\\x0c{\"value\": 3}')\n    os._exit(0)", "killed"),
    ],
)
def test_what_returns_no_value_has_failed(sandbox, code, fault):
    passed, faults = verdict(sandbox, code)
    assert passed[1] is False
    assert fault in faults or faults == []


def test_what_a_value_says_of_itself_does_not_count(sandbox):
    liar = """
class Liar(list):
    def __eq__(self, other): return True
    def __len__(self): return 2
class Spoof:
    __class__ = list
    def __eq__(self, other): return True
def add(a, b): return Liar() if isinstance(a, list) else Spoof()
"""
    assert verdict(sandbox, liar)[0] == [False, False]


def test_each_test_has_a_fresh_process(sandbox):
    counts = "n = 0\ndef add(a, b):\n    global n\n    n += 1\n    return n"
    tests = {"calls": [{"function": "add", "arguments": [0, 0], "expected": 1}] * 2}
    assert verdict(sandbox, counts, tests)[0] == [True, True]


def test_time_is_bounded_for_each_test_and_for_all(sandbox):
    began = time.monotonic()
    assert verdict(sandbox, "while True: pass", seconds=0.2) == ([False, False], ["timeout"])
    assert verdict(sandbox, "while True: pass", {"calls": ADD["calls"] * 9}, seconds=9, total=1.5)[0] == [False] * 18
    assert time.monotonic() - began < 80, "eighteen tests of 9 s take 162"


PROGRAM = {"programs": [{"stdin": "", "stdout": "1"}]}
SOURCE = {"functions": ["add"], "sources": ["assert add(1, 2) == 3"]}
HANGS = "while True: pass\ndef add(a, b): return a + b"


@pytest.mark.parametrize("tests", [ADD, PROGRAM, SOURCE], ids=["calls", "programs", "sources"])
def test_what_a_busy_machine_kept_from_running_has_not_failed(sandbox, load, tests):
    load(waited=0.95, starved=0.95)
    with pytest.raises(InfraError, match="busy"):
        grade(sandbox, HANGS, tests, seconds=5, total=0.5)


@pytest.mark.parametrize("tests", [ADD, PROGRAM, SOURCE], ids=["calls", "programs", "sources"])
def test_a_load_that_other_code_in_the_sandbox_makes_is_no_excuse(sandbox, load, tests, caplog):
    load(waited=0.7, starved=0.0)
    passed, faults = verdict(sandbox, HANGS, tests, seconds=5, total=1.5)
    assert (set(passed), faults) == ({False}, ["timeout"])
    assert "rollout.concurrency" in caplog.text


def test_time_that_it_waited_for_a_core_is_not_the_codes(sandbox, load):
    slow = "import time\ndef add(a, b):\n    time.sleep(0.6)\n    return a + b"
    assert verdict(sandbox, slow, seconds=0.4, total=10) == ([False, False], ["timeout"])
    load(waited=0.95, starved=0.0)
    assert verdict(sandbox, slow, seconds=0.4, total=10) == ([True, True], [])


SOURCES = {
    "functions": ["double", "fail"],
    "setup": "import math\nfrom solution import double as twice",
    "sources": [
        "assert double(2) == 4",
        "assert twice((1, 2)) == (1, 2, 1, 2)",
        "assert math.isclose(double(0.1), 0.2)",
        "try:\n    fail()\nexcept ValueError: pass\nelse: raise AssertionError",
    ],
}
DOUBLE = "def double(x): return x * 2\ndef fail(): raise ValueError"


def test_tests_in_python_call_across_the_wall(sandbox):
    assert verdict(sandbox, DOUBLE, SOURCES)[0] == [True] * 4
    assert verdict(sandbox, "def double(x): return x + x\ndef fail(): pass", SOURCES)[0] == [True, True, True, False]
    assert verdict(sandbox, "import os; os._exit(0)", SOURCES)[0] == [False] * 4


def test_code_cannot_reach_the_tests_in_python(sandbox):
    snoop = """
import gc, sys, builtins
builtins.AssertionError = Exception
def assert_all(*_): return True
math = isclose = assert_all
def double(x):
    for thing in gc.get_objects():
        if isinstance(thing, str) and 'twice((1, 2))' in thing: return 4
def fail(): raise ValueError
"""
    assert verdict(sandbox, snoop, SOURCES)[0] == [False, False, False, True]


def test_programs_are_compared_by_what_they_print_and_must_exit_with_zero(sandbox):
    tests = {"programs": [{"stdin": "1 2\n", "stdout": "3\n"}, {"stdin": "0 5\n", "stdout": "5"}]}
    right = "a, b = map(int, input().split())\nprint(a + b)"
    assert verdict(sandbox, right, tests) == ([True, True], [])
    assert verdict(sandbox, right + "\nraise SystemExit(1)", tests) == ([False, False], ["error"])
    assert verdict(sandbox, "print(3)\nprint(5)", tests)[0] == [False, False]


def test_code_too_long_is_a_fault_and_no_crash(sandbox):
    assert verdict(sandbox, "#" * (5 << 20)) == ([False], ["too long"])


def test_true_is_not_one_and_floats_are_close():
    assert same(1, 1.0)
    assert same([0.1 + 0.2], [0.3])
    assert same({"a": (1, {2})}, {"a": (1, {2})})
    for given, expected in [(True, 1), (1, True), ([1], (1,)), ("1", 1), (float("inf"), 3), (10**400, 0.5), (None, 0)]:
        assert not same(given, expected)
        assert not same(expected, given)
