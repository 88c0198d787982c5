"""The walls that hold on this machine, each with one warm sandbox for all tests."""

import time

import pytest

from agenttrain.errors import UserError
from agenttrain.sandbox.interpreter import Interpreter
from agenttrain.sandbox.sandbox import Limits, Sandbox


@pytest.fixture(autouse=True)
def load(monkeypatch):
    """How busy the machine seems: `load(0.9, 0.5)` keeps code waiting 90 % of its time, 50 % even if it were alone.

    Unless it is called the machine seems idle, so that a test's verdict does not hang on who else uses it.
    """

    def pretend(waited, starved):
        since = {}

        def answer(_, number, anew=False):
            now = time.monotonic()
            if anew:
                since[number] = now
            return waited * (now - since[number]), starved * (now - since[number]), now

        monkeypatch.setattr(Sandbox, "waited", answer)

    pretend(0.0, 0.0)
    return pretend


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
