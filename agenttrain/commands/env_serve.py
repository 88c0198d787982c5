"""`agenttrain env serve`: an environment for others, by OpenEnv's protocol, until Ctrl-C."""

from __future__ import annotations

import socket
from contextlib import suppress

from agenttrain.errors import UserError
from agenttrain.ranges import Count, Positive, Whole
from agenttrain.types import Environment, Tasks


def env_serve(
    env: Environment,
    task: Tasks,
    host: str = "127.0.0.1",
    port: Whole = 8000,
    sessions: Count = 64,
    seconds: Positive = 30.0,
) -> None:
    """Serve the episodes of `env` at the tasks of `task`; port 0 takes any that is free.

    Raises:
        UserError: the port is taken, there is no task, or starlette, uvicorn or websockets are missing.
    """
    try:
        import uvicorn
        import websockets  # noqa: F401, uvicorn's

        from agenttrain.serving import Served
    except ImportError as error:
        raise UserError(f"env serve needs {error.name}: pip install 'agenttrain[serve]'.") from None
    tasks = list(task)
    if not tasks:
        raise UserError("nothing to serve: the task set is empty")
    name = type(env).__name__.lower()
    app = Served(name, env, tasks, sessions, seconds).app()
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
            listening.listen(2048)
        except OSError as error:
            raise UserError(f"Cannot listen on {host}:{port} ({error.strerror}). Choose another port=...") from None
        where = f"http://{host}:{listening.getsockname()[1]}"
        print(f"env={name}, {len(tasks)} tasks, on {where} (OpenEnv's protocol); Ctrl-C ends it", flush=True)
        config = uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=5)
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listening])
