"""Each promise is broken once, by an environment that breaks this one alone."""

import itertools
import subprocess
import sys
import threading
import time

import pytest

from agenttrain.env.tools import BadCall, answers, read_call, tool
from agenttrain.policy.scripted import Scripted, call
from agenttrain.promises import PROMISES, Setting
from agenttrain.rollout import Limits
from agenttrain.types import Observation, Task

TASKS = [Task(f"t{n}", [{"role": "user", "content": f"Say word {n}."}], answer=f"word{n}{n}") for n in range(3)]


class Words:
    """`say` the answer: three tries."""

    description = "Say a word."
    parameters = {"word": {"type": "string"}}  # noqa: RUF012

    def __init__(self, task, seed):
        self.task, self.seed, self.tries = task, seed, 0

    @property
    def tools(self):
        return [tool("say", self.description, **self.parameters)]

    @property
    def state(self):
        return f"{self.task.id} {self.tries}"

    def start(self):
        return self.task.messages

    def step(self, action):
        state, said = self.state, read_call(action, self.tools)
        if isinstance(said, BadCall):
            return self.refuse(action, said, state)
        self.tries += 1
        success = said.arguments["word"] == self.task.answer
        return self.told(action, said, success, self.tries >= 3 or success, state)

    def refuse(self, action, said, state):
        return Observation(answers(action, said, said.reason), state=state, feedback={"invalid_call": said.reason})

    def told(self, action, said, success, done, state):
        facts = {"success": success} if done else {}
        return Observation(answers(action, said, "Yes." if success else "No."), float(success), done, state, facts)

    def close(self):
        pass


class Expert(Scripted):
    def act(self, conversation):
        number = conversation.messages[0]["content"][-2]
        return call(conversation, "say", word=f"word{number}{number}")


def setting_of(kind, limits=None, expert=None):
    class Env:
        def episode(self, task, seed):
            return kind(task, seed)

    return Setting(Env(), TASKS, expert or Expert(), limits or Limits(), seed=5)


def broken(kind, **more):
    return {promise: list(faults(setting_of(kind, **more))) for promise, faults in PROMISES.items()}


def only(kind, **more):
    """The one promise that is broken, and its first fault."""
    [(promise, faults)] = [pair for pair in broken(kind, **more).items() if pair[1]]
    return promise, faults[0]


def test_an_environment_that_keeps_them_all():
    assert not any(broken(Words).values())


def test_chance_of_its_own_is_no_same_episode():
    count = itertools.count()

    class Chance(Words):
        def told(self, action, said, success, done, state):
            seen = super().told(action, said, success, done, state)
            seen.feedback["draw"] = next(count)
            return seen

    found = broken(Chance)
    assert found["same seed, same episode"] == [
        f"task t{n}: turn 0 (feedback) differs between two episodes of one seed and the same actions" for n in range(3)
    ]
    assert found["episodes do not touch each other"]


def test_a_start_that_differs_within_a_group():
    starts = itertools.count()

    class Start(Words):
        def start(self):
            return [*self.task.messages, {"role": "user", "content": f"{next(starts)}"}]

    assert "a group starts from one state" in {promise for promise, faults in broken(Start).items() if faults}


def test_a_shared_counter_is_no_isolation():
    tries = {}

    class Shared(Words):
        def start(self):
            tries[self.task.id] = 0
            return super().start()

        def step(self, action):
            self.tries = tries[self.task.id]
            seen = super().step(action)
            tries[self.task.id] = self.tries
            return seen

    class Wrong(Scripted):
        def act(self, conversation):
            return call(conversation, "say", word="no")

    faults = list(PROMISES["episodes do not touch each other"](setting_of(Shared, expert=Wrong())))
    assert "differs when another episode acts between the steps" in faults[0]


def test_a_schema_without_a_type_or_a_description():
    class Untyped(Words):
        description = ""
        parameters = {"word": {}}  # noqa: RUF012

    faults = broken(Untyped)["tools are described by schemas"]
    assert faults == ["tool 'say' lacks a name or a description", "tool say: argument 'word' has no JSON type"]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"feedback": {}}, "text without a call is not reported as invalid_call"),
        ({"done": True}, "text without a call ends the episode or is rewarded"),
        ({"reward": 1.0}, "text without a call ends the episode or is rewarded"),
        (
            {"messages": [{"role": "user", "content": "x" * 501}]},
            "text without a call is answered with more",
        ),
        ({"messages": []}, "text without a call leaves calls without an answer"),
    ],
)
def test_a_malformed_call_that_is_not_just_refused(change, fault):
    class Careless(Words):
        def refuse(self, action, said, state):
            seen = super().refuse(action, said, state)
            for name, value in change.items():
                setattr(seen, name, value)
            return seen

    promise, first = only(Careless) if "done" not in change else (None, None)
    if promise is None:
        first = broken(Careless)["malformed calls are refused and do nothing"][0]
    assert first.startswith(fault)


def test_a_malformed_call_that_is_repaired_changes_the_state():
    class Kind(Words):
        def refuse(self, action, said, state):
            self.tries += said.name == "say"
            return super().refuse(action, said, state)

    promise, fault = only(Kind)
    assert promise == "malformed calls are refused and do nothing"
    assert fault == "say with arguments that are no object changes the state"


def test_an_expert_that_fails_is_named():
    class Hard(Words):
        def told(self, action, said, success, done, state):
            return super().told(action, said, success and self.task.id != "t1", done, state)

    promise, fault = only(Hard)
    assert (promise, fault) == (
        "the expert solves every task",
        "task t1: the expert ends as done without success after 1 turns",
    )


def test_success_for_whatever_is_said():
    class Easy(Words):
        def told(self, action, said, success, done, state):
            return super().told(action, said, True, True, state)

    assert only(Easy) == ("saying nothing or random calls do not", "random calls succeeds at 3 of 3 tasks")


def test_an_answer_in_the_tools_is_seen():
    class Telling(Words):
        @property
        def description(self):
            return f"Say a word, maybe {self.task.answer}."

    assert "the policy never sees the answer" in {promise for promise, faults in broken(Telling).items() if faults}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"state": ""}, "turn 0 has no state key"),
        ({"feedback": {"success": object()}}, "cannot be written as JSON"),
        ({"feedback": {}, "done": True}, "does not say whether with success"),
    ],
)
def test_facts_that_are_missing(change, fault):
    class Silent(Words):
        def told(self, *arguments):
            seen = super().told(*arguments)
            for name, value in change.items():
                setattr(seen, name, value)
            return seen

    assert any(fault in told for told in broken(Silent)["facts and state keys are told"])


def test_an_environment_that_raises():
    class Buggy(Words):
        def told(self, *arguments):
            raise KeyError("no such word")

    faults = PROMISES["facts and state keys are told"](setting_of(Buggy))
    assert next(faults) == "task t0: env_error (KeyError: 'no such word')"


def test_a_step_that_hangs():
    class Slow(Words):
        def told(self, *arguments):
            time.sleep(0.3)
            return super().told(*arguments)

    faults = PROMISES["steps keep to their time"](setting_of(Slow, Limits(tool_timeout=0.1)))
    assert next(faults) == "task t0: a step takes more than 0.1 s"


def test_closing_twice_raises():
    class Once(Words):
        closed = False

        def close(self):
            if self.closed:
                raise RuntimeError("closed already")
            self.closed = True

    assert only(Once) == ("closing is safe", "closing a closed episode raises RuntimeError: closed already")


def test_a_process_or_a_thread_for_each_episode_that_nobody_ends():
    started = []

    class Leak(Words):
        def start(self):
            started.append(subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE))
            return super().start()

    end = threading.Event()

    class Thread(Words):
        def start(self):
            threading.Thread(target=end.wait, daemon=True).start()
            return super().start()

    try:
        faults = list(PROMISES["nothing is left running"](setting_of(Leak)))
        assert [fault.split(":")[0] for fault in faults] == ["open files", "processes"]
        faults = list(PROMISES["nothing is left running"](setting_of(Thread)))
        assert [fault.split(":")[0] for fault in faults] == ["threads"]
    finally:
        end.set()
        for process in started:
            process.kill()
            process.communicate()
