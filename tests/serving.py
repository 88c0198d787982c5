"""An environment served in a thread of the test's own process, on a port that is handed over."""

import socket
import threading
import time
from contextlib import contextmanager

import uvicorn

from agenttrain.serving import Served


@contextmanager
def served(name, env, tasks, sessions=8, seconds=20.0):
    """Yields the address."""
    app = Served(name, env, list(tasks), sessions, seconds).app()
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", timeout_graceful_shutdown=2))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=30)
            assert not thread.is_alive()
