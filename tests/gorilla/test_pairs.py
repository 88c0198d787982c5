"""Pairs of request and API: from trajectories of self-instruct and from APIBench's files."""

import json
from collections import Counter
from pathlib import Path

import pytest

from agenttrain import store
from agenttrain.errors import UserError
from agenttrain.gorilla.pairs import Pair, read_pairs
from agenttrain.types import Action, Observation, Task, Trajectory, Turn

REAL = Path(__file__).parent.parent.parent.parent / "shared/data/gorilla/apibench"
DATA = {"api_call": "hub.load('a/b')", "domain": "x"}


def episode(success, *requests, data=None):
    turns = [
        Turn(Action({"role": "assistant", "content": request}), Observation([], feedback={"success": success and last}))
        for request, last in zip(requests, [False] * (len(requests) - 1) + [True], strict=True)
    ]
    task = Task("apis/1", [], data={"document": DATA} if data is None else data)
    return Trajectory(task, turns, "done" if success else "max_turns")


def test_the_accepted_request_of_an_episode_is_a_pair_and_a_refused_one_is_counted(tmp_path):
    path = tmp_path / "trajectories.jsonl"
    store.append(path, episode(True, "Load a/b.", "I need x.\n"))
    store.append(path, episode(False, "Load a/b."))
    accepted, refused = read_pairs(str(path))
    assert (accepted.id, accepted.request, accepted.document.call) == ("apis/1#0", "I need x.", "hub.load('a/b')")
    assert refused == "no request was accepted"


def test_an_episode_of_another_environment_is_an_error(tmp_path):
    path = tmp_path / "trajectories.jsonl"
    store.append(path, episode(True, "x", data={"goal": "a plank"}))
    with pytest.raises(UserError, match="another environment"):
        list(read_pairs(str(path)))


@pytest.mark.parametrize(
    "code",
    [
        "###Instruction: I need x.\n###Output: <<<domain>>>: ...",
        "{'Instruction': I need x., 'Output': {'domain': ...",
        "{'Instruction': \"I need x.\", 'Output': {'domain': ...",
        "###Instruction: I need x.\nOutput: <<<domain>>>: ...",
        "Instruction: I need x.",
    ],
)
def test_the_request_is_found_in_each_form_of_apibench(tmp_path, code):
    path = tmp_path / "x_train.json"
    path.write_text(json.dumps({"code": code, "api_data": DATA}))
    (pair,) = read_pairs(str(path))
    assert (pair.id, pair.request, pair.document.record) == ("x_train/1", "I need x.", DATA)


def test_a_record_without_a_request_or_a_call_is_counted_and_another_form_is_an_error(tmp_path):
    path = tmp_path / "x.json"
    path.write_text(
        json.dumps([{"code": "<<<domain>>>", "api_data": DATA}, {"code": "###Instruction: a", "api_data": {"x": 1}}])
    )
    assert list(read_pairs(str(path))) == ["no request", "no API call"]
    path.write_text('{"prompt": "x"}')
    with pytest.raises(UserError, match=r'x.json:1: expected .* "api_data"'):
        list(read_pairs(str(path)))


@pytest.mark.skipif(not REAL.is_dir(), reason="APIBench is not at ../shared/data/gorilla")
def test_apibench_is_read_whole_but_for_eight_records_that_hold_no_call_in_python():
    counts = {}
    for name in ("torchhub_train", "torchhub_eval", "tensorflow_eval", "huggingface_eval"):
        found = list(read_pairs(str(REAL / f"{name}.json")))
        counts[name] = Counter(pair if isinstance(pair, str) else "pair" for pair in found)
        requests = [pair.request for pair in found if isinstance(pair, Pair)]
        assert all(5 < len(request) < 600 and "<<<" not in request for request in requests)
    assert counts["torchhub_train"] == {"pair": 837}
    assert counts["torchhub_eval"] == {"pair": 186}
    assert counts["tensorflow_eval"] == {"pair": 688}
    assert counts["huggingface_eval"] == {"pair": 903, "the API call is no call in Python": 8}
