"""Every test runs offline and with one torch thread: with more, a tiny model is slower and not reproducible."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agenttrain.services.server import Server
from agenttrain.services.trade import trade

os.environ.update(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", TOKENIZERS_PARALLELISM="false")

# A shell starts background jobs with Ctrl-C ignored, and the programs that tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the project keeps in the user's cache goes to a folder of this run."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["XDG_CACHE_HOME"] = str(folder)
    return folder


@pytest.fixture
def server() -> Iterator[Server]:
    """The invented bookshop, over HTTP."""
    with Server(trade("bookshop")) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()
