"""Crafting episodes are recorded with an expert that errs, then played again."""

import pytest

from agenttrain import store
from agenttrain.env.craft import Craft
from agenttrain.errors import UserError
from agenttrain.policy.craft_expert import CraftExpert
from agenttrain.policy.replay import Replay
from agenttrain.rollout import Limits, attempts, rollout
from agenttrain.task.craft import Craft as Tasks
from agenttrain.types import Policy

LIMITS = Limits(retries=0)


@pytest.fixture
def record(tmp_path):
    """A file of four episodes, and what it holds."""
    path = tmp_path / "trajectories.jsonl"
    with store.Writer(path) as writer:
        for trajectory in rollout(attempts(Tasks(n=2), 2), Craft(), CraftExpert(error=0.5), LIMITS):
            for turn in trajectory.turns:
                turn.action.prompt_ids, turn.action.token_ids, turn.action.logprobs = [1, 2], [3, 4], [-0.5, -0.25]
            writer.write(trajectory)
    return path, {(t.task.id, t.attempt): t for t in store.read(path)}


class Altered(Craft):
    """The same world, but for what `alter` does to each observation."""

    def __init__(self, alter):
        super().__init__()
        self.alter = alter

    def episode(self, task, seed):
        episode = super().episode(task, seed)
        step = episode.step
        episode.step = lambda action: self.alter(step(action))
        return episode


def test_episodes_come_out_as_recorded_with_their_tokens(record):
    path, recorded = record
    policy = Replay(path)
    assert isinstance(policy, Policy)
    played = list(rollout(attempts(Tasks(n=2), 2), Craft(), policy, LIMITS))
    assert len(played) == len(recorded) == 4
    for trajectory in played:
        original = recorded[trajectory.task.id, trajectory.attempt]
        assert trajectory.conversation() == original.conversation()
        assert trajectory.success == original.success
        assert [turn.action for turn in trajectory.turns] == [turn.action for turn in original.turns]
        assert trajectory.turns[0].action.logprobs == [-0.5, -0.25]
    assert policy.describe() == {"name": "Replay", "path": str(path), "strict": False}


def louder(observation):
    for message in observation.messages:
        message["content"] = message["content"].upper()
    return observation


def test_every_episode_whose_environment_answers_otherwise_is_counted_once(record, caplog):
    policy = Replay(record[0])
    list(rollout(attempts(Tasks(n=2)), Altered(louder), policy, LIMITS))
    assert policy.diverged == 2
    assert policy.describe() == Replay(policy.path).describe()  # so that the rest can be played with resume=true
    assert len(caplog.messages) == 2
    assert "after turn 0" in caplog.messages[0]


def test_a_last_observation_that_differs_is_noticed_too(record):
    def louder_at_the_end(observation):
        return louder(observation) if observation.done else observation

    policy = Replay(record[0])
    list(rollout(attempts(Tasks(n=2)), Altered(louder_at_the_end), policy, LIMITS))
    assert policy.diverged == 2


def test_strict_stops_at_the_first_difference(record):
    with pytest.raises(UserError, match=r"diverges.*after turn 0 the environment shows"):
        list(rollout(attempts(Tasks(n=2)), Altered(louder), Replay(record[0], strict=True), LIMITS))


def test_an_environment_that_goes_on_after_the_record_says_nothing_about_the_agent(record):
    def endless(observation):
        observation.done = False
        return observation

    played = list(rollout(attempts(Tasks(n=2)), Altered(endless), Replay(record[0]), LIMITS))
    assert {trajectory.stop for trajectory in played} == {"infra_error"}
    assert "ends after" in played[0].error


@pytest.mark.parametrize(("tasks", "per_task"), [(Tasks(n=3), 1), (Tasks(n=2), 3)])
def test_a_task_or_attempt_that_is_not_in_the_file_is_named(record, tasks, per_task):
    ids = [task.id for task in tasks]
    missing = f"attempt 0 at task '{ids[2]}'" if len(ids) == 3 else "attempt 2 at task"
    with pytest.raises(UserError, match=missing):
        list(rollout(attempts(tasks, per_task), Craft(), Replay(record[0]), LIMITS))


def test_a_missing_file_is_found_at_the_first_task(tmp_path):
    with pytest.raises(UserError, match="No trajectory file"):
        list(rollout(attempts(Tasks(n=1)), Craft(), Replay(tmp_path / "none.jsonl"), LIMITS))
