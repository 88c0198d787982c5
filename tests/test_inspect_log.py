"""Episodes as a log of Inspect, read back by Inspect itself."""

import json
import random

import pytest
from typer.testing import CliRunner

from agenttrain import cli, store
from agenttrain.eval.statistics import pass_at, pass_hat, standard_error
from agenttrain.types import Action, Observation, Task, Trajectory, Turn

inspect_ai = pytest.importorskip("inspect_ai", reason="Inspect is not installed: pip install 'agenttrain[inspect]'")


def episode(task="a", success=True, stop="done", error=None):
    call = {"type": "function", "id": "1", "function": {"name": "get", "arguments": {"item": "ore"}}}
    said = {"role": "assistant", "content": "I dig. <script>alert(1)</script>", "tool_calls": [call]}
    told = {"role": "tool", "name": "get", "tool_call_id": "1", "content": "\x1b[31m1 ore"}
    seen = Observation([told], feedback={"success": success})
    messages = [{"role": "system", "content": "Dig."}, {"role": "user", "content": "Go."}]
    usage = {"prompt_tokens": 7, "completion_tokens": 3}
    trajectory = Trajectory(Task(task, messages, {"gold": 1}), [Turn(Action(said, usage=usage), seen)], stop, messages)
    trajectory.scores, trajectory.weights, trajectory.error = {"rlvf": [float(success)]}, {"rlvf": 2.0}, error
    trajectory.meta |= {"env": "craft", "policy": {"name": "Expert"}}
    return trajectory


def exported(tmp_path, episodes):
    for trajectory in episodes:
        store.append(tmp_path / "trajectories.jsonl", trajectory)
    done = CliRunner().invoke(cli.app, ["export", str(tmp_path)])
    assert done.exit_code == 0, done.output
    return inspect_ai.log.read_eval_log(str(tmp_path / "episodes.eval"))


def test_an_episode_is_a_sample_with_all_that_was_said_and_scored(tmp_path):
    log = exported(tmp_path, [episode()])
    assert (log.eval.task, log.eval.model, log.status) == ("craft", "Expert", "success")
    [sample] = log.samples
    assert (sample.id, sample.epoch, sample.target, sample.metadata["stop"]) == ("a", 1, '{"gold": 1}', "done")
    assert [message.role for message in sample.messages] == ["system", "user", "assistant", "tool"]
    assert [message.text for message in sample.input] == ["Dig.", "Go."]
    [call] = sample.messages[2].tool_calls
    assert (call.id, call.function, call.arguments) == ("1", "get", {"item": "ore"})
    assert (sample.messages[3].tool_call_id, sample.messages[3].text) == ("1", "\x1b[31m1 ore")
    assert sample.scores["success"].value == 1.0
    assert (sample.scores["reward rlvf"].value, sample.scores["reward rlvf"].metadata["weight"]) == (1.0, 2.0)
    assert sample.model_usage["Expert"].total_tokens == 10


def test_attempts_are_epochs_and_failures_of_ours_are_errors(tmp_path):
    failed = episode(stop="infra_error", error="connection refused")
    log = exported(tmp_path, [episode(), episode(success=False), episode("b", success=False), failed])
    samples = {(sample.id, sample.epoch): sample for sample in log.samples}
    assert set(samples) == {("a", 1), ("a", 2), ("b", 1), ("a", 3)}
    assert [samples[place].scores["success"].value for place in (("a", 1), ("a", 2))] == [1.0, 0.0]
    assert "success" not in samples["a", 3].scores
    assert samples["a", 3].error.message == "connection refused"
    assert (log.results.total_samples, log.results.completed_samples) == (4, 3)
    assert log.results.scores[0].metrics["mean"].value == 0.25


def test_a_program_is_told_as_json(tmp_path):
    store.append(tmp_path / "trajectories.jsonl", episode())
    done = CliRunner().invoke(cli.app, ["export", str(tmp_path), "--json"])
    assert json.loads(done.stdout) == {"episodes": 1, "file": str(tmp_path / "episodes.eval")}


def test_what_cannot_be_written_is_told(tmp_path):
    store.append(tmp_path / "trajectories.jsonl", episode())
    wrong = CliRunner().invoke(cli.app, ["export", str(tmp_path), "--out", str(tmp_path / "x.json")])
    assert (wrong.exit_code, "something.eval" in wrong.stderr) == (2, True)
    assert CliRunner().invoke(cli.app, ["export", str(tmp_path / "none")]).exit_code == 2


@pytest.mark.parametrize("seed", range(20))
def test_our_statistics_are_inspects(seed):
    from inspect_ai.scorer import SampleScore, Score, pass_k, stderr
    from inspect_ai.scorer import pass_at as their_pass_at

    rng = random.Random(seed)
    tasks, attempts = rng.randint(2, 30), rng.randint(1, 8)
    chances = [rng.random() for _ in range(tasks)]
    results = {str(n): [rng.random() < chance for _ in range(attempts)] for n, chance in enumerate(chances)}
    scores = {task: [Score(value=float(one)) for one in ones] for task, ones in results.items()}
    for k in range(1, attempts + 1):
        for ours, theirs in ((pass_at, their_pass_at), (pass_hat, pass_k)):
            values = [theirs(k)(scores[task]).as_float() for task in results]
            assert ours(k, results).value == pytest.approx(sum(values) / tasks, abs=1e-9)
    samples = [
        SampleScore(score=score, sample_metadata={"task": task}) for task, row in scores.items() for score in row
    ]
    assert standard_error(results) == pytest.approx(stderr(cluster="task")(samples), abs=1e-9)
