import ast
import gc
import sys
import threading
import warnings

import pytest

from agenttrain.syntax import parse, parse_expression


class Finalized:
    """Garbage whose end runs Python, so that threads may change places in the middle of a parse."""

    def __init__(self):
        self.me = self

    def __del__(self):
        sum(range(200))


def test_many_threads_read_programs_and_none_disturbs_another():
    """Without the lock dozens of these raise SystemError on CPython 3.11."""
    source, failed = "f(a=[1, 2, {'x': (3, 4)}], b=g(h(i(j(k(1))))))\n" * 20, []

    def read():
        for _ in range(50):
            Finalized()
            try:
                parse(source)
            except SystemError as error:
                failed.append(error)

    before, often = gc.get_threshold(), sys.getswitchinterval()
    gc.set_threshold(50)
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=read) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        gc.set_threshold(*before)
        sys.setswitchinterval(often)
    assert not failed


def test_a_program_an_expression_and_what_is_neither():
    assert ast.unparse(parse("x = 1\ny = x")) == "x = 1\ny = x"
    assert ast.unparse(parse_expression("f(1)")) == "f(1)"
    for read in (parse, parse_expression):
        with pytest.raises(SyntaxError):
            read("f(")


def test_the_text_of_others_warns_nobody():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parse_expression(r"'\d'")
        parse(r"'\d'")
