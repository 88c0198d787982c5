"""The walls that hold on this machine, each with one warm sandbox for all tests."""

import pytest

from agenttrain.errors import UserError
from agenttrain.sandbox.interpreter import Interpreter
from agenttrain.sandbox.sandbox import Limits, Sandbox


@pytest.fixture(scope="session", params=["bubblewrap", "landlock"])
def sandbox(request):
    box = Sandbox(request.param, Limits(memory=256, disk=8))
    try:
        box.start_now()
    except UserError as error:
        pytest.skip(f"{request.param} does not hold here: {error}")
    yield box
    box.close()


@pytest.fixture
def interpreter(sandbox):
    opened = Interpreter(sandbox)
    yield opened
    opened.close()
