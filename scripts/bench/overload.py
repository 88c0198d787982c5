"""Verdicts of env=code while other processes want the cores: right programs, and those that hang by their own doing.

    timeout 300 python scripts/bench/overload.py                  # 24 burners, 16 gradings at once
    timeout 300 python scripts/bench/overload.py --burners 0      # the same on a machine that is left alone

Each kind of program is graded by itself, with burners that are started for it and killed after it. `masked` are
gradings that end in an InfraError: tried again by a rollout, then left out of training, never counted as a failure.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

from report import table

from agenttrain.sandbox.grader import Tests, grade
from agenttrain.sandbox.sandbox import Sandbox
from agenttrain.types import InfraError

TESTS: Tests = {"calls": [{"function": "f", "arguments": [n], "expected": n} for n in range(3)]}
PROGRAMS = {  # work is that of one test, in time on a core
    "right": "def f(n): return n",
    "right, 0.2 s of work": "import time\ndef f(n):\n    while time.process_time() < 0.2: pass\n    return n",
    "right, 0.5 s of work": "import time\ndef f(n):\n    while time.process_time() < 0.5: pass\n    return n",
    "endless loop": "def f(n):\n    while True: pass",
    "sleeps": "import time\ndef f(n): time.sleep(99)",
    "waits for a lock": "import threading\nlock = threading.Lock()\ndef f(n):\n    for _ in range(2): lock.acquire()",
    "naps without end": "import time\ndef f(n):\n    while True: time.sleep(1e-6)",
    "yields without end": "import os\ndef f(n):\n    while True: os.sched_yield()",
    "twelve threads": """def f(n):
    import threading
    def spin():
        while True: sum(range(10**6))
    for _ in range(12): threading.Thread(target=spin).start()
    spin()""",
    "twelve processes": """import os
def f(n):
    for _ in range(12):
        if not os.fork(): break
    while True: pass""",
    "short children": """def f(n):
    import os, signal
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        for _ in range(8):
            if not os.fork():
                sum(range(10**6))
                os._exit(0)
        sum(range(10**6))""",
}
Outcome = Literal["passed", "failed", "masked"]


def judge(sandbox: Sandbox, code: str, seconds: float, total: float) -> Outcome:
    try:
        return "passed" if grade(sandbox, code, TESTS, seconds, total).success else "failed"
    except InfraError as error:
        print(error, file=sys.stderr)
        return "masked"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--burners", type=int, default=24)
    parser.add_argument("--gradings", type=int, default=16, help="at once")
    parser.add_argument("--seconds", type=float, default=5.0, help="env.seconds")
    parser.add_argument("--total", type=float, default=20.0, help="env.grading")
    parser.add_argument("--walls", choices=["auto", "bubblewrap", "landlock"], default="auto")
    parser.add_argument("--programs", nargs="*", choices=list(PROGRAMS), default=list(PROGRAMS), metavar="NAME")
    options = parser.parse_args()
    sandbox = Sandbox(options.walls)
    sandbox.start_now()
    rows = []
    for name in options.programs:
        burn = [sys.executable, "-c", "while True: pass"]
        # a session each: where the kernel shares the cores among sessions, one of all would count as one
        burners = [subprocess.Popen(burn, start_new_session=True) for _ in range(options.burners)]
        try:
            time.sleep(1.0)
            began = time.monotonic()
            with ThreadPoolExecutor(options.gradings) as pool:
                job = judge, sandbox, PROGRAMS[name], options.seconds, options.total
                counts = Counter(done.result() for done in [pool.submit(*job) for _ in range(options.gradings)])
            took = time.monotonic() - began
        finally:
            for burner in burners:
                burner.kill()
                burner.wait()
        rows.append([name, *(str(counts[outcome]) for outcome in ("passed", "failed", "masked")), f"{took:.1f}"])
        print(rows[-1], file=sys.stderr)
    sandbox.close()
    print(table(["program", "passed", "failed", "masked", "seconds"], rows))
    print(f"\n{sandbox.walls}, load {os.getloadavg()[0]:.0f}, {os.cpu_count()} cores.")


if __name__ == "__main__":
    main()
