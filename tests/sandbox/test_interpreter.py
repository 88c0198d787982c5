import os
import threading
import time
from pathlib import Path

import psutil
import pytest

from agenttrain.errors import UserError
from agenttrain.sandbox.interpreter import Interpreter, run_program
from agenttrain.sandbox.sandbox import Sandbox
from agenttrain.types import InfraError


def outputs(interpreter, *runs):
    return [interpreter.run(code, 10).output for code in runs]


def test_names_stay_and_the_last_value_is_shown(interpreter):
    assert outputs(interpreter, "x = 20\nprint('a')", "x + 1", "None", "def f(): return x\nf()") == [
        "a\n",
        "21\n",
        "",
        "20\n",
    ]


def test_an_exception_is_told_with_its_lines_and_leaves_names(interpreter):
    failed = interpreter.run("x = 1\ndef f():\n    return 1 / 0\nf()", 10)
    assert (failed.status, failed.exception, failed.exit_code) == ("error", "ZeroDivisionError", None)
    assert "return 1 / 0" in failed.output
    assert "agenttrain" not in failed.output
    assert interpreter.run("x", 10).output == "1\n"


@pytest.mark.parametrize("code", ["def", "\0", "(" * 100_000, "'\ud800'"])
def test_what_is_no_python_is_an_error(interpreter, code):
    assert interpreter.run(code, 10).status == "error"


def test_output_comes_in_order_from_wherever_it_is_written(interpreter):
    run = "import os, sys\nprint('a')\nprint('b', file=sys.stderr)\nos.write(1, b'c\\n')\nprint('d')"
    assert interpreter.run(run, 10).output == "a\nb\nc\nd\n"


def test_output_is_cut_in_its_middle(sandbox):
    interpreter = Interpreter(sandbox, kept=100)
    result = interpreter.run("print('a' * 1_000_000 + 'z')", 10)
    interpreter.close()
    assert result.output.startswith("a" * 50 + "\n[999,9")
    assert result.output.endswith("az\n")
    assert len(result.output) < 150


def test_a_run_out_of_time_is_ended_and_the_next_begins_anew(interpreter):
    began = time.monotonic()
    late = interpreter.run("x = 1\nprint('here', flush=True)\nwhile True: pass", 0.3)
    assert time.monotonic() - began < 20
    assert (late.status, late.output) == ("timeout", "here\n")
    assert interpreter.run("x", 10).exception == "NameError"


def test_a_run_that_a_busy_machine_keeps_waiting_has_longer_and_is_no_timeout(sandbox, interpreter, load):
    load(waited=0.95, starved=0.95)
    assert interpreter.run("import time; time.sleep(0.7)", 0.5).status == "ok"
    began = time.monotonic()
    with pytest.raises(InfraError, match="busy"):
        interpreter.run("while True: pass", 0.1)
    assert time.monotonic() - began > 0.4, "four times its seconds"
    with pytest.raises(InfraError, match="busy"):
        run_program(sandbox, "while True: pass", 0.1)
    assert interpreter.run("6 * 7", 10).output == "42\n"


def test_a_wait_that_would_not_have_been_without_other_code_does_not_excuse(interpreter, load):
    load(waited=0.95, starved=0.1)
    assert interpreter.run("while True: pass", 0.2).status == "timeout"


@pytest.mark.parametrize(
    ("code", "status", "exit_code"),
    [
        ("import os; os._exit(7)", "error", 7),
        ("exit()", "ok", 0),
        ("raise SystemExit('no')", "error", 1),
        ("import os; os.abort()", "killed", -6),
        ("import os; os.kill(os.getpid(), 9)", "killed", -9),
        ("import os; os.close(3)", "error", 1),
        ("import os; os.write(3, b'x' * 99)", "killed", -9),
    ],
)
def test_the_end_of_an_interpreter_is_told_as_it_was(interpreter, code, status, exit_code):
    result = interpreter.run(code, 0.5)
    assert (result.status, result.exit_code) == (status, exit_code)
    assert interpreter.run("6 * 7", 10).output == "42\n"


def test_memory_is_limited(interpreter):
    assert interpreter.run("x = bytearray(400 << 20)", 10).exception == "MemoryError"


def test_files_are_limited_and_private(sandbox, interpreter):
    assert outputs(interpreter, "open('a', 'w').write('b')", "open('a').read()") == ["1\n", "'b'\n"]
    other = Interpreter(sandbox)
    assert other.run("import os; os.listdir('.')", 10).output == "[]\n"
    other.close()
    big = "for i in range(20):\n    open(str(i), 'wb').write(bytes(1 << 20))\nimport time; time.sleep(3)"
    result = interpreter.run(big, 10)
    assert result.exception == "OSError" or result.status == "killed"


def test_there_is_no_network_and_no_secret(interpreter):
    assert interpreter.run("import socket; socket.socket()", 10).exception == "PermissionError"
    environment = interpreter.run("import os; ' '.join(sorted(os.environ))", 10).output
    assert not {"USER", "PWD", "SSH_AUTH_SOCK"} & set(environment.strip("'\n").split())
    for file in (Path(__file__), Path("/etc/passwd"), Path.home() / ".bashrc"):
        assert interpreter.run(f"open({str(file)!r})", 10).exception in ("PermissionError", "FileNotFoundError")


def test_agenttrain_has_nothing_to_say_within(interpreter):
    assert interpreter.run("import agenttrain.worlds.list_steps", 10).status == "error"
    assert interpreter.run("import yaml", 10).status == "error"
    assert interpreter.run("import csv, sqlite3, zoneinfo, unittest", 10).status == "ok"


def test_seeds_give_the_same_chance(sandbox):
    def draw(seed):
        interpreter = Interpreter(sandbox, seed)
        try:
            return interpreter.run("import random; random.random(), list({'a', 'b', 'c', 'd'})", 10).output
        finally:
            interpreter.close()

    assert draw(1) == draw(1) != draw(2)


def test_closing_ends_a_run_from_another_thread(sandbox):
    interpreter = Interpreter(sandbox)
    results = []
    thread = threading.Thread(target=lambda: results.append(interpreter.run("while True: pass", 30)))
    thread.start()
    time.sleep(0.2)
    interpreter.close()
    thread.join(5)
    assert [result.status for result in results] == ["killed"]
    with pytest.raises(InfraError):
        interpreter.run("1", 1)


def test_a_sandbox_that_is_gone_is_no_failure_of_the_code_and_starts_again():
    box = Sandbox()
    try:
        zygote = box.start_now().process
    except UserError as error:
        pytest.skip(f"no walls hold here: {error}")
    before = descriptors()
    interpreter = Interpreter(box)
    interpreter.run("1", 10)
    zygote.kill()
    zygote.wait()
    with pytest.raises(InfraError):  # noqa: PT012
        for _ in range(100):  # what it forked dies a moment after it
            interpreter.run("1", 10)
            time.sleep(0.02)
    assert interpreter.run("6 * 7", 10).output == "42\n"
    interpreter.close()
    assert descriptors() == before
    box.close()


def test_a_program_reads_its_input_and_exits_as_it_does(sandbox):
    assert run_program(sandbox, "print(sum(map(int, input().split())))", 10, "2 3\n").output == "5\n"
    assert run_program(sandbox, "if __name__ == '__main__': raise SystemExit(3)", 10).exit_code == 3
    failed = run_program(sandbox, "import threading\n1 / 0", 10)
    assert (failed.status, failed.exit_code) == ("error", 1)
    assert failed.output.splitlines()[1:3] == ['  File "<python>", line 2, in <module>', "    1 / 0"]


ESCAPES = {
    "double fork": "import os, time\nif not os.fork():\n    os.setsid()\n    if not os.fork():\n        time.sleep(99)",
    "subprocess": "import subprocess\nsubprocess.Popen(['sleep', '99'], start_new_session=True)",
    "thread": "import threading, time\nthreading.Thread(target=time.sleep, args=(99,)).start()",
}


@pytest.mark.parametrize("code", ESCAPES.values(), ids=ESCAPES)
def test_nothing_is_left_when_it_closes(sandbox, code):
    before = processes(), descriptors()
    interpreter = Interpreter(sandbox)
    interpreter.run(code, 5)
    assert processes() > before[0]
    interpreter.close()
    assert (processes(), descriptors()) == before


def test_processes_are_limited(sandbox, interpreter):
    bomb = """if True:
        import os, time
        children = 0
        try:
            while os.fork():
                children += 1
            time.sleep(99)
        except OSError:
            print(children)
    """
    printed = interpreter.run(bomb, 60).output
    # Landlock allows no process at all, bubblewrap sixteen with those that hold the interpreter.
    assert 0 <= int(printed) < 16


def processes():
    """How many processes stand below this one."""
    return len(psutil.Process().children(recursive=True))


def descriptors():
    return len(os.listdir("/proc/self/fd"))
