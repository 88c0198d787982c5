import errno
import json
import logging
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from agenttrain import store
from agenttrain.errors import UserError
from agenttrain.trajectory_record import from_record, task_hash, to_record
from agenttrain.types import Action, Observation, Task, Trajectory, Turn


def single(value: float) -> float:
    """As a float32 holds it, which is what a model's log-probability is."""
    return struct.unpack("f", struct.pack("f", value))[0]


def call(text: str) -> dict:
    function = {"name": "get", "arguments": {"what": text}}
    return {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "id": "c", "function": function}]}


def episode(attempt: int = 0, task: str = "t1") -> Trajectory:
    first = Action(
        call("log\ud800\u2028 ü"), [1, 2, 3], [4, 5], [-0.1, -12.345678], [0.5, 1e-9], "stop", {"completion_tokens": 2}
    )
    second = Action(
        {"role": "assistant", "content": "I stop"}, [6], [7], finish="length", usage={"completion_tokens": 1}
    )
    turns = [
        Turn(
            first,
            Observation([{"role": "tool", "content": "1 log"}], 0.5, False, "s0", {"tool_error": "x"}),
            {"env": 0.1},
        ),
        Turn(second, Observation([], 1.0, True, "s1", {"success": True}), {"policy": 2.0}),
    ]
    shots = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "a worked example"}]
    return Trajectory(
        task=Task(task, [{"role": "user", "content": "hi"}], answer=["log"], data={"depth": 2}),
        turns=turns,
        stop="done",
        messages=shots,
        tools=[{"type": "function", "function": {"name": "get", "parameters": {}}}],
        scores={"outcome": [0.0, 1.0]},
        weights={"outcome": 0.5},
        attempt=attempt,
        seed=7,
        seconds=3.5,
        retries=1,
        meta={"env": "crafting", "policy": {"name": "tiny", "revision": None}, "note": [1]},
    )


def same(read: Trajectory, written: Trajectory) -> bool:
    return replace(read, meta={}) == replace(written, meta={}) and written.meta.items() <= read.meta.items()


def test_a_trajectory_comes_back_as_it_was_written_tokens_included(tmp_path):
    whole, unstarted = episode(), Trajectory(Task("t2", []), [], "infra_error", error="gone", attempt=3)
    second = whole.turns[1].action
    second.prompt_ids, second.token_ids = [6, 8], []  # a turn that sampled nothing keeps its prompt apart
    with store.Writer(tmp_path / "run" / "t.jsonl") as writer:
        writer.write(whole)
        writer.write(unstarted)
    back = list(store.read(tmp_path / "run" / "t.jsonl"))
    assert [same(b, w) for b, w in zip(back, [whole, unstarted], strict=True)] == [True, True]


def test_log_probabilities_are_exact_in_single_precision(tmp_path):
    whole = episode()
    values = [single(-(1.1**i) / 7) for i in range(-300, 300)]
    whole.turns[0].action = Action(call("x"), [], list(range(600)), values)
    store.append(tmp_path / "t.jsonl", whole)
    (back,) = store.read(tmp_path / "t.jsonl")
    assert [single(value) for value in back.turns[0].action.logprobs] == values


def test_the_line_tells_what_trains_and_keeps_the_answer_apart(tmp_path):
    (tmp_path / "config.yaml").write_text("seed: 0\n")
    store.append(tmp_path / "t.jsonl", episode())
    line = json.loads((tmp_path / "t.jsonl").read_text())
    assert [m.get("train") for m in line["messages"]] == [None, False, True, None, True]
    assert line["tokens"]["mask"] == [False, False, False, True, True, False, True]
    assert line["tokens"]["turn"] == [0, 0, 0, 0, 0, 1, 1]
    assert (line["success"], line["usage"]) == (True, {"completion_tokens": 3})
    assert line["hidden"]["answer"] == ["log"]
    assert line["versions"]["agenttrain"]
    assert len(line["config_hash"]) == 16


def test_the_line_in_the_documentation_is_one():
    text = (Path(__file__).parents[1] / "docs" / "data.md").read_text(encoding="utf-8")
    line = json.loads(text.split("```json\n")[1].split("```")[0])
    assert to_record(from_record(line)) == {key: value for key, value in line.items() if key != "id"}


def test_a_torn_last_line_is_set_aside_and_owed_again(tmp_path, caplog):
    path = tmp_path / "t.jsonl"
    for attempt in range(3):
        store.append(path, episode(attempt))
    path.write_bytes(path.read_bytes()[:-100])
    with caplog.at_level(logging.WARNING):
        assert [t.attempt for t in store.read(path)] == [0, 1]
    assert f"{path}:3" in caplog.text
    assert not (tmp_path / "t.jsonl.torn").exists()  # a reader changes nothing: the run may be alive
    store.append(path, episode(2))
    assert [t.attempt for t in store.read(path)] == [0, 1, 2]
    assert (tmp_path / "t.jsonl.torn").read_text().startswith('{"id"')


def test_a_last_line_that_lacks_only_its_end_is_kept(tmp_path):
    path = tmp_path / "t.jsonl"
    store.append(path, episode(0))
    path.write_bytes(path.read_bytes()[:-1])
    assert [t.attempt for t in store.read(path)] == [0]
    store.append(path, episode(1))
    assert [t.attempt for t in store.read(path)] == [0, 1]
    assert not (tmp_path / "t.jsonl.torn").exists()


def test_a_line_that_fails_to_be_written_leaves_the_file_whole(tmp_path, monkeypatch):
    path = tmp_path / "t.jsonl"
    with store.Writer(path) as writer:
        writer.write(episode(0))
        with monkeypatch.context() as broken:
            broken.setattr(store.os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
            with pytest.raises(OSError, match="disk full"):
                writer.write(episode(1))
        writer.write(episode(2))
    assert [t.attempt for t in store.read(path)] == [0, 2]


def test_a_disk_that_takes_half_a_line_is_full_and_the_file_stays_whole(tmp_path):
    path = tmp_path / "t.jsonl"
    with store.Writer(path) as writer:
        writer.write(episode(0))
        writer._file = Filling(writer._file)
        with pytest.raises(OSError, match="No space left") as full:
            writer.write(episode(1))
        assert full.value.errno == errno.ENOSPC
    assert [t.attempt for t in store.read(path)] == [0]


class Filling:
    """A file on a disk with room for 100 bytes more."""

    def __init__(self, file):
        self._file, self._room = file, 100

    def __getattr__(self, name):
        return getattr(self._file, name)

    def write(self, data):
        if not self._room:
            raise OSError(errno.ENOSPC, "No space left on device")
        written, self._room = self._file.write(data[: self._room]), 0
        return written


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{broken}", r"t.jsonl:2: not JSON"),
        ('{"schema": "agenttrain.trajectory/99"}', r"t.jsonl:2: schema is 'agenttrain.trajectory/99'"),
        ('{"messages": []}', r"t.jsonl:2: no trajectory.*data=chat"),
        ("[]", r"t.jsonl:2: no trajectory"),
        ('{"schema": "agenttrain.trajectory/1"}', r"t.jsonl:2: the trajectory lacks the key 'hidden'"),
        ('{"schema": "agenttrain.trajectory/1", "hidden": 1, "turns": 1}', r"t.jsonl:2: the trajectory is malformed"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, message):
    path = tmp_path / "t.jsonl"
    store.append(path, episode())
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(UserError, match=message):
        list(store.read(path))


def test_a_writer_that_wrote_nothing_leaves_no_file(tmp_path):
    with store.Writer(tmp_path / "t.jsonl"):
        pass
    assert not list(tmp_path.iterdir())


def test_a_missing_file_is_said_at_once(tmp_path):
    with pytest.raises(UserError, match="No trajectory file"):
        list(store.read(tmp_path / "none.jsonl"))


@pytest.mark.parametrize("spoil", [{"reward": float("nan")}, {"feedback": {"x": object()}}])
def test_what_json_cannot_hold_is_refused_with_the_episode_named(tmp_path, spoil):
    bad = episode()
    bad.turns[0].observation = replace(bad.turns[0].observation, **spoil)
    with pytest.raises(ValueError, match="Attempt 0 at 't1' cannot be stored"):
        store.append(tmp_path / "t.jsonl", bad)
    assert not (tmp_path / "t.jsonl").exists()


def test_log_probabilities_that_miss_a_token_are_refused(tmp_path):
    bad = episode()
    bad.turns[0].action.logprobs.pop()
    with pytest.raises(ValueError, match="2 sampled tokens and 1 logprobs"):
        store.append(tmp_path / "t.jsonl", bad)


def test_the_hash_of_a_task_follows_its_content():
    task = Task("t", [], answer=1, data={"a": 1, "b": 2})
    assert task_hash(task) == task_hash(Task("other", [], answer=1, data={"b": 2, "a": 1}))
    assert task_hash(task) != task_hash(replace(task, answer=2))
    assert task_hash(task) != task_hash(replace(task, messages=[{"role": "user", "content": "x"}]))
