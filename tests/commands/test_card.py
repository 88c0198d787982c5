import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from typer.testing import CliRunner

from agenttrain import cli, store
from agenttrain.commands.card import card
from agenttrain.errors import UserError
from agenttrain.reward.card import Card
from agenttrain.sandbox.sandbox import Sandbox
from agenttrain.types import Action, Observation, Task, Trajectory, Turn

OPENING = 'def reward(trajectory: dict) -> list[float]:\n    turns = trajectory["turns"]\n'
GOOD = {
    "opened": '    return [float("open" in str(turn["observation"])) for turn in turns]',
    "errors": '    return [-1.0 if turn["tool_error"] else 0.0 for turn in turns]',
    "last": '    return [0.0] * (len(turns) - 1) + [1.0 - bool(turns[-1]["tool_error"])]',
    "asked": '    said = turns[-1]["action"]["content"]\n    return [0.0] * (len(turns) - 1) + [float("key" in said)]',
}
BAD = {
    "long": ("    return [1.0] * len(turns)", "goes by the number of turns (correlation 1.00)"),
    "constant": ("    return [0.0] * (len(turns) - 1) + [1.0]", "every trajectory gets the same, 1"),
    "inverted": ('    return [1.0 if turn["tool_error"] else 0.0 for turn in turns]', "probability 0.00"),
    "nan": ('    return [float("nan")] * len(turns)', "not finite"),
    "files": ('    return [float(len(open("answers").read()))] * len(turns)', "uses open, line 3"),
}


@pytest.fixture(scope="module", autouse=True)
def _walls():
    try:
        Sandbox().start_now()
    except UserError as error:
        pytest.skip(f"no walls hold here: {error}")


def episode(number: int, success: bool) -> Trajectory:
    """A door: a success turns the key, a failure pushes, for longer each time."""
    said, facts = ("turn the key", {}) if success else ("push", {"tool_error": "stuck"})
    last = Turn(
        Action({"role": "assistant", "content": said}),
        Observation(
            [{"role": "tool", "content": "open" if success else "stuck"}], feedback={"success": success, **facts}
        ),
    )
    look = Turn(Action({"role": "assistant", "content": "look"}), Observation([{"role": "tool", "content": "a door"}]))
    turns = [look, last] if success else [look] * (2 + number) + [last]
    return Trajectory(Task(f"t{number}", [{"role": "user", "content": "go"}]), turns, "done")


def stored(folder, outcomes=(True, False, True, False)):
    for number, success in enumerate(outcomes):
        store.append(folder / "run" / "trajectories.jsonl", episode(number, success))
    return folder / "run"


def written(folder, bodies):
    (folder / "candidates").mkdir()
    for name, body in bodies.items():
        (folder / "candidates" / f"{name}.py").write_text(OPENING + body + "\n")
    return folder / "candidates"


def test_of_nine_the_five_bad_ones_are_rejected_each_for_its_reason(tmp_path):
    candidates = written(tmp_path, GOOD | {name: body for name, (body, _) in BAD.items()})
    card(stored(tmp_path), candidates, tmp_path / "out", seconds=20.0)
    figures = json.loads((tmp_path / "out/figures.json").read_text())
    rows = {row["name"].removesuffix(".py"): row for row in figures["candidates"]}
    assert {name for name, row in rows.items() if row["accepted"]} == set(GOOD)
    assert {name: reason in rows[name]["why"] for name, (_, reason) in BAD.items()} == dict.fromkeys(BAD, True)
    assert {name for name, row in rows.items() if not row["sound"]} == {"nan", "files"}
    assert (figures["successes"], figures["failures"], figures["chosen"]) == (2, 2, "asked.py")
    assert (tmp_path / "out/reward.py").read_bytes() == (candidates / "asked.py").read_bytes()
    assert "| long.py | passed | 0.0% | 100.0% |  | rejected |" in (tmp_path / "out/report.md").read_text()


def test_none_that_passes_is_status_1_and_no_reward(tmp_path):
    words = [f"path={stored(tmp_path)}", f"candidates={written(tmp_path, {'loop': '    while True: pass'})}"]
    result = CliRunner().invoke(cli.app, ["card", *words, f"out={tmp_path / 'out'}", "seconds=0.2"])
    assert result.exit_code not in (0, 2)
    assert "none of 1 candidates passes" in str(result.exception) + result.output
    assert not (tmp_path / "out/reward.py").exists()
    assert "longer than 0.2 s" in (tmp_path / "out/report.md").read_text()


def test_one_kind_of_outcome_decides_nothing(tmp_path):
    run, candidates = stored(tmp_path, [True, True]), written(tmp_path, {"errors": GOOD["errors"]})
    card(run, candidates, tmp_path / "open", seconds=20.0)
    assert (tmp_path / "open/reward.py").exists()
    assert "undecided: there are only successes" in (tmp_path / "open/report.md").read_text()
    with pytest.raises(SystemExit):
        card(run, candidates, tmp_path / "closed", cold_start="closed", seconds=20.0)
    assert not (tmp_path / "closed/reward.py").exists()


def test_the_statistic_and_the_rule_are_options(tmp_path):
    """A price on each step is the return's affair: its mean per step is the same for all."""
    run, candidates = stored(tmp_path), written(tmp_path, {"steps": "    return [-1.0] * len(turns)"})
    card(run, candidates, tmp_path / "sum", rule="pair_accuracy", seconds=20.0)
    with pytest.raises(SystemExit):
        card(run, candidates, tmp_path / "mean", rule="pair_accuracy", statistic="mean_step", seconds=20.0)


def test_an_empty_folder_is_the_users_fault(tmp_path):
    with pytest.raises(UserError, match=r"has no \*\.py"):
        card(stored(tmp_path), tmp_path, tmp_path / "out")


def test_of_equals_it_is_the_one_that_tells_failures_apart(tmp_path):
    sparse = "    return [0.0] * (len(turns) - 1) + [1.0 - bool(turns[-1]['tool_error'])]"
    bodies = {"a_flat": sparse, "b_dense": sparse.replace("[0.0] *", "[0.1] *")}
    card(stored(tmp_path, (True, False, True, False, False)), written(tmp_path, bodies), tmp_path / "out", seconds=20.0)
    figures = json.loads((tmp_path / "out/figures.json").read_text())
    assert [(row["share"], row["apart"]) for row in figures["candidates"]] == [(1.0, 0.0), (1.0, 1.0)]
    assert figures["chosen"] == "b_dense.py"


def test_of_equals_it_is_not_the_one_that_pays_for_ending_early(tmp_path):
    kept = "    return [0.1] * (len(turns) - 1) + [1.0 - bool(turns[-1]['tool_error'])]"
    bodies = {"a_taken_back": kept.replace("bool(", "1.2 * bool("), "b_kept": kept}
    card(stored(tmp_path, (True, False, True, False, False)), written(tmp_path, bodies), tmp_path / "out", seconds=20.0)
    figures = json.loads((tmp_path / "out/figures.json").read_text())
    rows = figures["candidates"]
    assert [(row["accepted"], row["share"], row["apart"]) for row in rows] == [(True, 1.0, 1.0)] * 2
    assert rows[0]["stopping"] == pytest.approx(0.2 / (1.1 - (0.1 + 0.3 + 0.4) / 3))
    assert "who stops at the best turn of a failure gains" in rows[0]["why"]
    assert (rows[1]["stopping"], figures["chosen"]) == (0.0, "b_kept.py")


def test_a_part_is_drawn_and_told_and_what_is_too_large_is_no_candidates_fault(tmp_path):
    run = stored(tmp_path, (True, False, False, False, False))
    vast = episode(9, False)
    vast.messages = [{"role": "user", "content": "x" * (5 << 20)}]
    store.append(run / "trajectories.jsonl", vast)
    candidates = written(tmp_path, {"opened": GOOD["opened"]})
    card(run, candidates, tmp_path / "out", seconds=20.0, trajectories=3)
    report = (tmp_path / "out/report.md").read_text()
    assert "1 successes and 2 failures of the 6 trajectories" in report
    assert "drawn by seed=0. 1 are too large for the sandbox, and left out." in report
    assert (tmp_path / "out/reward.py").exists()


@contextmanager
def coding(*replies):
    """A server of chat completions that gives these, then is out of order; yields its requests and its address."""
    asked, left = [], list(replies)

    class Served(BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["messages"])
            self.send_response(200 if left else 400)
            self.end_headers()
            message = {"role": "assistant", "content": left.pop(0) if left else ""}
            self.wfile.write(json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Served)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield asked, f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()


def replied(body):
    return f"Let me see.\n```python\n{OPENING}{body}\n```\n"


def test_a_coder_at_a_server_is_told_what_was_found_until_it_writes_one_that_passes(tmp_path):
    run = stored(tmp_path)
    with coding(replied(BAD["files"][0]), replied(BAD["long"][0]), replied(GOOD["errors"])) as (asked, url):
        words = [f"path={run}", f"out={tmp_path / 'out'}", "coder.model=m", f"coder.url={url}", "seconds=20"]
        result = CliRunner().invoke(cli.app, ["card", *words])
    assert result.exit_code == 0, result.output
    assert len(asked) == 3
    assert "uses open, line 3" in asked[1][-1]["content"]
    assert "goes by the number of turns" in asked[2][-1]["content"]
    figures = json.loads((tmp_path / "out/figures.json").read_text())
    assert [(row["name"], row["parent"]) for row in figures["candidates"]] == [
        ("version_1.py", None),
        ("version_2.py", "version_1.py"),
        ("version_3.py", "version_2.py"),
    ]
    assert figures["chosen"] == "version_3.py"
    assert "| version_1.py |\n" in (tmp_path / "out/report.md").read_text()
    scores = Card(str(tmp_path / "out/reward.py"), seconds=20.0)(episode(1, False))
    assert scores == [0.0, 0.0, 0.0, -1.0]


def test_a_coder_begins_where_the_given_ones_fail_and_goes_on_after_its_server_failed(tmp_path):
    run, candidates = stored(tmp_path), written(tmp_path, {"long": BAD["long"][0], "loop": "    return open"})
    words = [f"path={run}", f"candidates={candidates}", f"out={tmp_path / 'out'}", "coder.model=m", "seconds=20"]
    with coding(replied(BAD["constant"][0])) as (asked, url):
        result = CliRunner().invoke(cli.app, ["card", *words, f"coder.url={url}"])
    assert result.exit_code == 2
    assert "resume=true goes on from there" in result.output
    assert BAD["long"][0] in asked[0][2]["content"], "the best of the given ones"
    with coding(replied(GOOD["asked"])) as (asked, url):
        result = CliRunner().invoke(cli.app, ["card", *words, f"coder.url={url}", "resume=true"])
    assert result.exit_code == 0, result.output
    ((*_, told),) = asked
    assert "every trajectory gets the same" in told["content"]
    assert json.loads((tmp_path / "out/figures.json").read_text())["chosen"] == "version_2.py"


def test_what_training_by_a_function_did_is_told_and_a_better_one_is_asked_for(tmp_path):
    run = stored(tmp_path)
    (tmp_path / "mine.py").write_text(OPENING + GOOD["errors"])
    (run / "config.yaml").write_text(f"reward: {{card: {{path: {tmp_path / 'mine.py'}}}}}")
    (run / "metrics.jsonl").write_text('{"success": 0.25, "reward": -0.5, "turns": 3.0}\n')
    with coding(replied(GOOD["asked"])) as (asked, url):
        words = [f"path={run}", f"trained={run}", f"out={tmp_path / 'out'}", "coder.model=m", f"coder.url={url}"]
        result = CliRunner().invoke(cli.app, ["card", *words, "seconds=20"])
    assert result.exit_code == 0, result.output
    told = asked[0][-1]["content"]
    assert "the share of them that succeeded was 0.25" in told
    assert "100.0% of successes stand above every failure" in told
    assert b"key" in (tmp_path / "out/reward.py").read_bytes()


def test_nobody_who_writes_is_the_users_fault(tmp_path):
    run = stored(tmp_path)
    for more in ([], [f"trained={run}", f"candidates={tmp_path}"]):
        result = CliRunner().invoke(cli.app, ["card", f"path={run}", f"out={tmp_path / 'out'}", *more])
        assert result.exit_code == 2
        assert "coder.model=NAME" in result.output
