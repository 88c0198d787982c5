import json

import pytest

from agenttrain import store
from agenttrain.data.chat import Chat, to_chat
from agenttrain.data.sharegpt import Sharegpt, to_sharegpt
from agenttrain.data.trajectories import Trajectories
from agenttrain.errors import UserError
from agenttrain.types import Action, Observation, Task, Trajectory, Turn

TOOL = {"type": "function", "function": {"name": "get", "parameters": {}}}


def action(number: int, **more) -> Action:
    function = {"name": "get", "arguments": {"n": number}}
    message = {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": function}]}
    return Action(message, [10 * number], [10 * number + 1, 10 * number + 2], **more)


def episode(task: str = "t", success: bool = True, stop: str = "done", **first) -> Trajectory:
    """Three turns, the second an invalid call, the third a failing one. Turn n is shown token 10n and samples two."""
    feedbacks = [{}, {"invalid_call": "?"}, {"tool_error": "!", "success": success}]
    turns = [
        Turn(action(n, **(first if n == 0 else {})), Observation([{"role": "tool", "content": str(n)}], feedback=facts))
        for n, facts in enumerate(feedbacks)
    ]
    turns[-1].observation.messages = []
    opening = [{"role": "user", "content": task}]
    return Trajectory(Task(task, opening, answer="secret"), turns, stop, opening, [TOOL])  # type: ignore[arg-type]


@pytest.fixture
def write(tmp_path):
    def write(*trajectories: Trajectory) -> str:
        for trajectory in trajectories:
            store.append(tmp_path / "t.jsonl", trajectory)
        return str(tmp_path / "t.jsonl")

    return write


def flags(example) -> list[bool]:
    return [message["train"] for message in example.messages if message["role"] == "assistant"]


@pytest.mark.parametrize(
    ("options", "trains", "tokens"),
    [
        ({}, [True, False, True], {1, 2, 21, 22}),
        ({"skip": []}, [True, True, True], {1, 2, 11, 12, 21, 22}),
        ({"skip": ["tool_error"]}, [True, True, False], {1, 2, 11, 12}),
        ({"turns": "last"}, [False, False, True], {21, 22}),
        ({"turns": 1}, [True, False, False], {1, 2}),
        ({"turns": 2, "skip": []}, [True, True, False], {1, 2, 11, 12}),
    ],
)
def test_flags_and_recorded_tokens_agree_on_what_trains(write, options, trains, tokens):
    (example,) = Trajectories(write(episode()), **options)
    assert flags(example) == trains
    assert example.ids == [0, 1, 2, 10, 11, 12, 20, 21, 22]
    assert {token for token, train in zip(example.ids, example.mask, strict=True) if train} == tokens


def test_turns_that_do_not_train_are_counted_by_reason(write):
    data = Trajectories(write(episode(finish="length")), skip=["invalid_call", "tool_error", "length"])
    with pytest.raises(UserError, match="no turn to train: 1"):
        list(data)
    assert data.report.untrained == {"invalid_call": 1, "tool_error": 1, "length": 1}


def test_tokens_are_left_out_on_request_and_where_a_turn_has_none(write):
    partly = episode("u")
    partly.turns[1].action.token_ids = []
    path = write(episode(), partly)
    assert [example.ids is None for example in Trajectories(path)] == [False, True]
    assert [example.mask for example in Trajectories(path, recorded_tokens=False)] == [None, None]


def test_outcomes_decide_and_our_own_failures_never_train(write):
    unstarted = Trajectory(Task("n", []), [], "timeout")
    path = write(episode("a"), episode("b", success=False), episode("c", stop="env_error"), unstarted)
    data = Trajectories(path)
    assert [example.id for example in data] == ["a#0"]
    assert data.report.dropped == {"failed": 1, "ended by env_error": 1, "no turns": 1}
    assert [example.id for example in Trajectories(path, success=False)] == ["b#0"]
    assert [example.id for example in Trajectories(path, success=None)] == ["a#0", "b#0"]


def test_an_environment_with_a_threshold_goes_by_its_own_rewards(write):
    def rewarded(task, reward, **about):
        some = episode(task, success=False)
        some.turns[0].observation.reward, some.turns[2].observation.reward = 0.25, reward - 0.25
        some.meta |= about
        return some

    several = rewarded("several", 0.6, env="several")
    several.task.data["env"] = "sql"
    path = write(rewarded("high", 0.5, env="sql"), rewarded("low", 0.4, env="sql"), several, episode("own"))
    assert [example.id for example in Trajectories(path, least={"sql": 0.5})] == ["high#0", "several#0", "own#0"]
    assert [example.id for example in Trajectories(path)] == ["own#0"]
    with pytest.raises(UserError, match=r"data\.least\.sq: no record is of that environment\. There are: .*sql"):
        list(Trajectories(path, least={"sq": 0.5}))


def test_what_the_policy_never_saw_is_in_no_example(write):
    (example,) = Trajectories(write(episode()))
    assert "secret" not in json.dumps(example.messages)


@pytest.mark.parametrize(("convert", "reader"), [(to_chat, Chat), (to_sharegpt, Sharegpt)])
def test_a_trajectory_survives_the_forms_of_others(write, tmp_path, convert, reader):
    whole = episode()
    whole.messages = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "shown"}, *whole.messages]
    (ours,) = Trajectories(write(whole), skip=[], recorded_tokens=False)
    (tmp_path / "other.jsonl").write_text(json.dumps(convert(whole)))
    (theirs,) = reader(str(tmp_path / "other.jsonl"))
    assert (theirs.id, theirs.messages, theirs.tools, theirs.success) == (ours.id, ours.messages, ours.tools, True)
