"""`agenttrain env serve`: it listens where it says, and Ctrl-C ends it with nothing left."""

import json
import re
import signal
import socket
import subprocess
import sys
from urllib.request import urlopen

from typer.testing import CliRunner
from websockets.sync.client import connect

from agenttrain import cli


def test_it_serves_until_ctrl_c_also_with_an_episode_open():
    command = [sys.executable, "-m", "agenttrain", "env", "serve", "craft", "port=0", "task.n=3"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        try:
            said = server.stdout.readline()
            host, port = re.search(r"env=craft, 3 tasks, on http://([\d.]+):(\d+)", said).groups()
            with urlopen(f"http://{host}:{port}/health", timeout=60) as answer:
                assert json.load(answer) == {"status": "healthy"}
            with connect(f"ws://{host}:{port}/ws") as session:
                session.send('{"type": "reset"}')
                assert '"observation"' in session.recv(timeout=60)
                server.send_signal(signal.SIGINT)
                out, err = server.communicate(timeout=120)
        finally:
            server.kill()
    assert (server.returncode, out, err) == (0, "", "")
    with socket.socket() as again:
        assert again.connect_ex((host, int(port))) != 0


def test_a_port_that_is_taken_is_told():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = CliRunner().invoke(cli.app, ["env", "serve", "craft", f"port={taken.getsockname()[1]}"])
    assert done.exit_code == 2
    assert "Choose another port" in done.stderr
