import threading
import time

import pytest

from agenttrain.errors import UserError
from agenttrain.rollout import Attempt, Limits, attempts, rollout, versions_of
from agenttrain.trajectory_record import to_record
from agenttrain.types import Action, InfraError, Observation, Task

GO = {"role": "assistant", "content": "go"}


class Script:
    """Acts at once, or as `answer(conversation)` says; remembers who was released."""

    def __init__(self, answer=lambda conversation: Action(GO)):
        self.answer, self.ready, self.released, self.open = answer, [], [], set()

    def submit(self, conversation):
        assert conversation.messages[-1]["role"] != "assistant", "asked again before the environment answered"
        self.open.add(conversation)
        self.ready.append(conversation)

    def poll(self, timeout):
        ready, self.ready = self.ready, []
        return [(conversation, self.answer(conversation)) for conversation in ready]

    def release(self, conversation):
        self.open.discard(conversation)
        self.released.append(conversation.id)

    def describe(self):
        return {"name": "script"}


class World:
    """Ends after `turns` steps; `step(episode)` may misbehave. Remembers what was closed."""

    def __init__(self, turns=3, step=lambda episode: {}, start=lambda task: None):
        self.turns, self.on_step, self.on_start, self.closed, self.opened = turns, step, start, [], 0

    def episode(self, task, seed):
        self.opened += 1
        return WorldEpisode(self, task, seed)


TOOLS = [{"type": "function", "function": {"name": "go", "parameters": {}}}]


class WorldEpisode:
    def __init__(self, world, task, seed):
        self.world, self.task, self.seed, self.count = world, task, seed, 0
        self.tools = TOOLS

    def start(self):
        self.world.on_start(self.task)
        return [{"role": "user", "content": f"seed {self.seed}"}]

    def step(self, action):
        facts = self.world.on_step(self)
        self.count += 1
        done = self.count == self.world.turns
        message = [{"role": "tool", "name": "go", "content": f"step {self.count}"}]
        return Observation(
            message, done=done, state=str(self.count), feedback=facts | ({"success": True} if done else {})
        )

    def close(self):
        self.world.closed.append(self.task.id)


def tasks(n):
    return [Task(str(i), []) for i in range(n)]


def test_every_attempt_becomes_one_trajectory_and_everything_is_released_and_closed():
    policy, world = Script(), World()
    done = list(rollout(attempts(tasks(5), 3), world, policy, Limits(concurrency=4)))
    assert sorted((t.task.id, t.attempt) for t in done) == [(str(i), a) for i in range(5) for a in range(3)]
    assert all(t.stop == "done" and t.success and len(t.turns) == 3 for t in done)
    assert len(policy.released) == 15
    assert not policy.open
    assert len(world.closed) == 15
    assert done[0].meta["env"] == World.__module__.rpartition(".")[2], "an option is called as its module is"


def test_as_many_episodes_are_in_flight_as_concurrency_says_and_no_more():
    policy, most = Script(), []

    def step(episode):
        most.append(len(policy.open))
        return {}

    assert len(list(rollout(attempts(tasks(9)), World(2, step), policy, Limits(concurrency=3)))) == 9
    assert max(most) == 3


def test_what_an_environment_stands_on_is_written_with_what_is_inside_it():
    inner, other, outer = World(), World(), World(turns=1)
    inner.versions, other.versions, outer.of = {"server": "15.4"}, {"package": "2.0"}, {"a": inner, "b": other}
    assert versions_of(outer) == {"server": "15.4", "package": "2.0"}
    outer.base = inner
    (trajectory,) = rollout(attempts(tasks(1)), outer, Script())
    assert to_record(trajectory)["versions"].items() >= {"server": "15.4", "package": "2.0"}.items()
    assert "python" in to_record(trajectory)["versions"]
    assert "env_versions" not in to_record(trajectory)["meta"]
    (plain,) = rollout(attempts(tasks(1)), World(), Script())
    assert "server" not in to_record(plain)["versions"]


def test_a_group_starts_from_one_environment_seed_and_samples_with_different_ones():
    seeds = {}

    def answer(conversation):
        seeds.setdefault(conversation.messages[0]["content"], set()).add(conversation.seed)
        return Action(GO)

    list(rollout(attempts(tasks(2), 4, seed=7), World(), Script(answer)))
    assert sorted(map(len, seeds.values())) == [4, 4]
    again = [a.seed for a in attempts(tasks(2), 1, seed=7)]
    assert again == [a.seed for a in attempts(tasks(2), 1, seed=7)] != [a.seed for a in attempts(tasks(2), 1, seed=8)]


def test_conversation_order_is_kept_in_the_trajectory():
    (t,) = rollout(attempts(tasks(1)), World(turns=2), Script())
    assert [m["content"] for m in t.conversation()][1:] == ["go", "step 1", "go", "step 2"]
    assert t.messages[0]["content"].startswith("seed")


@pytest.mark.parametrize(
    ("limits", "world", "policy", "stop", "turns"),
    [
        (Limits(max_turns=2), World(turns=9), Script(), "max_turns", 2),
        (Limits(malformed=2), World(turns=9, step=lambda e: {"invalid_call": "bad"}), Script(), "parse_error", 2),
        (Limits(), World(), Script(lambda c: Action(GO, finish="length")), "max_tokens", 1),
        (Limits(), World(step=lambda e: 1 / 0), Script(), "env_error", 0),
        (Limits(tool_timeout=0.05), World(step=lambda e: time.sleep(1)), Script(), "timeout", 1),
    ],
)
def test_ends_are_typed(limits, world, policy, stop, turns):
    (t,) = rollout(attempts(tasks(1)), world, policy, limits)
    assert (t.stop, len(t.turns)) == (stop, turns)
    assert not t.success
    assert (t.error is not None) == (stop in {"env_error", "timeout"})


def test_malformed_actions_must_come_in_a_row_to_end_an_episode():
    world = World(turns=6, step=lambda e: {"invalid_call": "bad"} if e.count % 2 else {})
    (t,) = rollout(attempts(tasks(1)), world, Script(), Limits(malformed=2))
    assert t.stop == "done"


def test_only_infrastructure_failures_are_tried_again_and_from_the_start():
    failures = iter([InfraError("down"), InfraError("down")])

    def step(episode):
        if episode.count == 1 and (error := next(failures, None)):
            raise error
        return {}

    world = World(step=step)
    (t,) = rollout(attempts(tasks(1)), world, Script(), Limits(retries=2))
    assert (t.stop, t.retries, len(t.turns), world.opened) == ("done", 2, 3, 3)

    def broken(conversation):
        return InfraError("server is gone")

    (t,) = rollout(attempts(tasks(1)), World(), Script(broken), Limits(retries=1))
    assert (t.stop, t.retries) == ("infra_error", 1)
    assert "server is gone" in t.error


def test_one_hanging_tool_does_not_hold_up_the_others_or_the_end():
    release = threading.Event()
    world = World(step=lambda e: release.wait(20) and {} if e.task.id == "0" else {})
    began = time.monotonic()
    done = list(rollout(attempts(tasks(6)), world, Script(), Limits(tool_timeout=0.3)))
    assert [t.task.id for t in done][-1] == "0"
    assert {t.stop for t in done if t.task.id != "0"} == {"done"}
    release.set()
    assert time.monotonic() - began < 8


def test_no_thread_is_left_but_one_that_hangs():
    before = set(threading.enumerate())
    list(rollout(attempts(tasks(20)), World(), Script()))
    assert set(threading.enumerate()) <= before
    release = threading.Event()
    world = World(step=lambda e: (release.wait(20) and {}) if e.task.id == "0" else {})
    list(rollout(attempts(tasks(6)), world, Script(), Limits(tool_timeout=0.1)))
    assert len(set(threading.enumerate()) - before) == 1
    release.set()


def test_environments_step_concurrently():
    all_there = threading.Barrier(20)
    world = World(turns=2, step=lambda e: {"place": all_there.wait(25)})
    assert {t.stop for t in rollout(attempts(tasks(20)), world, Script())} == {"done"}


def test_an_environment_that_does_not_start_is_infrastructure():
    for limits in (Limits(tool_timeout=0.05, retries=1), Limits(episode_timeout=0.05, retries=1)):
        world = World(start=lambda task: time.sleep(0.5))
        (t,) = rollout(attempts(tasks(1)), world, Script(), limits)
        assert (t.stop, t.retries, len(t.turns)) == ("infra_error", 1, 0)


def test_a_policy_that_never_answers_ends_as_infrastructure():
    class Silent(Script):
        def poll(self, timeout):
            time.sleep(timeout)
            return []

    (t,) = rollout([Attempt(Task("a", []))], World(), Silent(), Limits(turn_timeout=0.1))
    assert t.stop == "infra_error"


def test_who_queues_while_others_are_served_is_not_given_up():
    """A local model with fewer slots than episodes, say."""

    class OneByOne(Script):
        def poll(self, timeout):
            time.sleep(0.05)
            ready, self.ready = self.ready[:1], self.ready[1:]
            return [(conversation, Action(GO)) for conversation in ready]

    limits = Limits(turn_timeout=0.2, episode_timeout=0.2)
    done = list(rollout(attempts(tasks(12)), World(turns=1), OneByOne(), limits))
    assert [t.stop for t in done] == ["done"] * 12


def test_faults_of_configuration_and_bugs_come_through():
    def bug(conversation):
        return ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        list(rollout(attempts(tasks(3)), World(), Script(bug)))

    def start(task):
        raise UserError("no corpus at x.jsonl")

    with pytest.raises(UserError, match="no corpus"):
        list(rollout(attempts(tasks(3)), World(start=start), Script()))


def test_leaving_early_closes_every_open_episode():
    policy, world = Script(), World(turns=50)
    episodes = rollout(attempts(tasks(8)), world, policy, Limits(max_turns=1, concurrency=8))
    next(episodes)
    episodes.close()
    assert sorted(world.closed) == [str(i) for i in range(8)]
    assert not policy.open


def test_the_policy_never_sees_answer_or_data():
    seen = []

    def answer(conversation):
        seen.append(repr(vars(conversation)))
        return Action(GO)

    list(rollout([Attempt(Task("t", [], answer="SECRET", data={"gold": "SECRET"}))], World(), Script(answer)))
    assert seen
    assert not any("SECRET" in text for text in seen)


def test_an_answer_that_came_while_the_policy_worked_is_not_late():
    """A local model decodes for as long as it takes; the environments' answers lie waiting meanwhile."""

    class Slow(Script):
        def poll(self, timeout):
            ready, self.ready = self.ready[:1], self.ready[1:]
            time.sleep(0.6)
            return [(conversation, Action(GO)) for conversation in ready]

    done = list(rollout(attempts(tasks(2)), World(turns=2), Slow(), Limits(tool_timeout=0.3)))
    assert [t.stop for t in done] == ["done"] * 2
    assert max(turn.seconds["env"] for t in done for turn in t.turns) < 0.3


def test_an_action_under_way_when_the_episode_times_out_is_its_last_turn():
    world = World(turns=9, step=lambda e: time.sleep(0.2) or {})
    (t,) = rollout(attempts(tasks(1)), world, Script(), Limits(episode_timeout=0.3))
    assert t.stop == "timeout"
    assert "episode_timeout" in t.turns[-1].observation.feedback["tool_error"]


def test_an_episode_that_is_made_too_late_is_closed_all_the_same():
    class Late(World):
        def episode(self, task, seed):
            time.sleep(0.2)
            return super().episode(task, seed)

    world = Late()
    (t,) = rollout(attempts(tasks(1)), world, Script(), Limits(tool_timeout=0.05, retries=0))
    assert (t.stop, world.closed) == ("infra_error", [])
    deadline = time.monotonic() + 5
    while not world.closed and time.monotonic() < deadline:
        time.sleep(0.01)
    assert world.closed == ["0"]


def test_a_fault_while_closing_is_told_and_costs_nothing(caplog):
    class Stuck(World):
        def episode(self, task, seed):
            episode = super().episode(task, seed)
            episode.close = lambda: 1 / 0
            return episode

    (t,) = rollout(attempts(tasks(1)), Stuck(), Script())
    assert t.stop == "done"
    assert "did not close: ZeroDivisionError" in caplog.text


def test_tools_that_cannot_be_listed_are_a_fault_of_the_environment():
    class Bare(World):
        def episode(self, task, seed):
            episode = super().episode(task, seed)
            del episode.tools
            return episode

    (t,) = rollout(attempts(tasks(1)), Bare(), Script())
    assert (t.stop, t.turns) == ("env_error", [])
