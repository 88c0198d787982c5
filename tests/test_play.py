import pytest

from agenttrain import play, store
from agenttrain.errors import UserError
from agenttrain.rollout import Limits, attempts
from agenttrain.types import Action, InfraError, Observation, Task


class Room:
    """One step, which succeeds; `down` makes every start fail."""

    def __init__(self, down=False):
        self.down, self.tools = down, []

    def episode(self, task, seed):
        self.task = task
        return self

    def start(self):
        if self.down:
            raise InfraError("down")
        return self.task.messages

    def step(self, action):
        return Observation([], done=True, feedback={"success": True})

    def close(self):
        pass


class Actor:
    def __init__(self):
        self.waiting, self.asked = [], 0

    def submit(self, conversation):
        self.asked += 1
        self.waiting.append(conversation)

    def poll(self, timeout):
        ready, self.waiting = self.waiting, []
        return [(conversation, Action({"role": "assistant", "content": "go"})) for conversation in ready]

    def release(self, conversation):
        pass

    def describe(self):
        return {"name": "actor"}


TASKS = [Task(name, [{"role": "user", "content": f"Do {name}."}]) for name in "abc"]
LIMITS = Limits(retries=0)


def test_what_a_killed_run_left_is_kept_and_the_rest_is_owed(tmp_path):
    path = tmp_path / "trajectories.jsonl"
    _, owed = play.split(attempts(TASKS, 2), path)
    run = play.episodes(owed, Room(), Actor(), LIMITS, path)
    first = [next(run), next(run)]
    run.close()  # as Ctrl-C does
    kept, owed = play.split(attempts(TASKS, 2), path)
    assert {(t.task.id, t.attempt) for t in kept} == {(t.task.id, t.attempt) for t in first}
    assert len(owed) == 4
    policy = Actor()
    assert len(list(play.episodes(owed, Room(), policy, LIMITS, path))) == policy.asked == 4
    assert play.split(attempts(TASKS, 2), path)[1] == []


def test_an_episode_is_on_disk_before_anyone_hears_of_it(tmp_path):
    path = tmp_path / "trajectories.jsonl"
    for number, _ in enumerate(play.episodes(play.split(attempts(TASKS), path)[1], Room(), Actor(), LIMITS, path)):
        assert len(list(store.read(path))) == number + 1


def test_failures_around_the_agent_are_owed_again_and_the_new_episode_counts(tmp_path):
    path = tmp_path / "trajectories.jsonl"
    wanted = list(attempts(TASKS))
    list(play.episodes(wanted, Room(down=True), Actor(), LIMITS, path))
    kept, owed = play.split(wanted, path)
    assert (len(kept), len(owed)) == (0, 3)
    list(play.episodes(owed, Room(), Actor(), LIMITS, path))
    kept, owed = play.split(wanted, path)
    assert [t.stop for t in kept] == ["done"] * 3
    assert owed == []


@pytest.mark.parametrize("other", ["seed", "content"])
def test_a_file_of_other_episodes_is_refused(tmp_path, other):
    path = tmp_path / "trajectories.jsonl"
    list(play.episodes(list(attempts(TASKS)), Room(), Actor(), LIMITS, path))
    changed = [Task(task.id, [{"role": "user", "content": "Something else."}]) for task in TASKS]
    wanted = attempts(TASKS, seed=1) if other == "seed" else attempts(changed)
    with pytest.raises(UserError, match=r"cannot resume: .* task 'a' with another content or seed"):
        play.split(wanted, path)


def test_two_tasks_with_one_id_are_refused(tmp_path):
    with pytest.raises(UserError, match="two tasks have the id 'a'"):
        play.split(attempts([*TASKS, TASKS[0]]), tmp_path / "none.jsonl")


def test_several_processes_do_not_write_one_file(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="without torchrun"):
        play.split(attempts([Task("a", [])]), tmp_path / "t.jsonl")
