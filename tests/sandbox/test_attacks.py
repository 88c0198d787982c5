"""The hostile programs and the benign controls of ../shared/attacks, each with the verdict that its file asks for.

They run inside an outer containment (`outer.sh`: another user, own namespaces, capped), so that a hole in ours hurts
nobody; it needs root and bubblewrap.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ATTACKS = ROOT.parent / "shared/attacks"
EXEMPT = {
    "turn": {"nondaemon_thread"},  # at a prompt, a thread may go on when the run is over; closing ends it
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not ATTACKS.is_dir(), reason="no folder ../shared/attacks"),
    pytest.mark.skipif(shutil.which("bwrap") is None, reason="no bubblewrap for the outer containment"),
    pytest.mark.skipif(os.getuid() != 0, reason="the outer containment needs root"),
]


@pytest.mark.parametrize("walls", ["bubblewrap", "landlock"])
@pytest.mark.parametrize("kind", ["program", "turn", "reward"])
def test_every_program_has_its_verdict(kind, walls, tmp_path):
    results = battery("reward" if kind == "reward" else "sandbox", f"battery:{kind}_in_{walls}")
    failed = {name: why for name, (verdict, why) in results.items() if verdict != "PASS"}
    assert len(results) > 30
    assert set(failed) <= EXEMPT.get(kind, set()), failed


def test_actions_of_codeact_gain_nothing_more():
    results = battery("sandbox", "battery:turn_in_codeact")
    failed = {name: why for name, (verdict, why) in results.items() if verdict != "PASS"}
    assert len(results) > 30
    assert set(failed) <= EXEMPT["turn"], failed


def battery(kind, adapter):
    """Name of each program -> its verdict, and why."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{Path(__file__).parent}"}
    line = ["bash", str(ATTACKS / "outer.sh"), kind, adapter]
    done = subprocess.run(line, capture_output=True, text=True, env=environment, cwd=Path(__file__).parent, timeout=600)
    rows = [row.split(None, 3) for row in done.stdout.splitlines() if " PASS " in row or " FAIL " in row]
    assert rows, done.stdout[-2000:] + done.stderr[-2000:] + sys.version
    return {name: (verdict, "".join(why)) for _, name, verdict, *why in rows}
