import psutil
import pytest

from agenttrain.env.code import Code
from agenttrain.errors import UserError
from agenttrain.policy.code_expert import CodeExpert
from agenttrain.rollout import Limits, attempts, rollout
from agenttrain.sandbox.grader import Verdict
from agenttrain.task.code import Code as CodeTasks
from agenttrain.types import Environment, Episode, Task

TESTS = {"calls": [{"function": "f", "arguments": [n], "expected": 2 * n} for n in (1, 2)]}


@pytest.fixture(scope="module")
def env():
    made = Code(seconds=2.0, max_chars=200)
    try:
        made.sandbox.start_now()
    except UserError as error:
        pytest.skip(f"no sandbox holds here: {error}")
    yield made
    made.sandbox.close()


@pytest.fixture
def episode(env):
    opened = env.episode(Task("t", [{"role": "user", "content": "Double."}], answer=TESTS), seed=0)
    opened.start()
    yield opened
    opened.close()


def calls(*pairs):
    made = [{"id": f"c{n}", "function": {"name": name, "arguments": args}} for n, (name, args) in enumerate(pairs)]
    return {"role": "assistant", "tool_calls": made}


def run(episode, code):
    step = episode.step(calls(("python", {"code": code})))
    return step.messages[0]["content"], step.feedback


def test_code_runs_and_its_names_stay(env, episode):
    assert isinstance(env, Environment)
    assert isinstance(episode, Episode)
    assert run(episode, "x = 2") == ("(no output)", {"status": "ok"})
    assert run(episode, "x + 1") == ("3", {"status": "ok"})
    text, facts = run(episode, "x / 0")
    assert text.endswith("ZeroDivisionError: division by zero")
    assert facts == {"status": "error", "tool_error": "ZeroDivisionError"}


@pytest.mark.parametrize(
    ("code", "success", "facts"),
    [
        ("def f(n): return 2 * n", True, {"tests": 2, "tests_passed": 2, "faults": []}),
        ("def f(n): return 2", False, {"tests": 2, "tests_passed": 1, "faults": []}),
        ("def f(n): return 1 / 0", False, {"tests": 2, "tests_passed": 0, "faults": ["ZeroDivisionError"]}),
    ],
)
def test_a_submission_ends_the_episode_with_the_graders_verdict(episode, code, success, facts):
    step = episode.step(calls(("submit", {"code": code})))
    assert (step.done, step.reward, step.messages) == (True, float(success), [])
    assert step.feedback == facts | {"success": success}


def test_nothing_of_the_interpreter_runs_while_the_program_is_graded(episode, monkeypatch):
    run(episode, "import threading, time\nthreading.Thread(target=time.sleep, args=(99,)).start()")
    children = len(psutil.Process().children(recursive=True))
    graded = []

    def grade(*_):
        graded.append(len(psutil.Process().children(recursive=True)) < children)
        return Verdict([True])

    monkeypatch.setattr("agenttrain.env.code.grade", grade)
    assert episode.step(calls(("submit", {"code": "pass"}))).feedback["success"]
    assert graded == [True]


def test_what_the_interpreter_knows_is_not_part_of_the_program(episode):
    run(episode, "def f(n): return 2 * n")
    assert episode.step(calls(("submit", {"code": "pass"}))).feedback["tests_passed"] == 0


def test_the_state_is_what_was_run(env, episode):
    other = env.episode(episode.task, seed=0)
    assert episode.state == other.state
    run(episode, "x = 1")
    assert episode.state != other.state
    run(other, "x = 1")
    assert episode.state == other.state
    run(episode, "exit()")
    fresh = env.episode(episode.task, seed=0)
    assert episode.state == fresh.state
    other.close()
    fresh.close()


def test_a_lost_interpreter_is_told(episode):
    text, facts = run(episode, "while True: pass")
    assert text == "\n[stopped after 2 s; all names are lost]"
    assert facts == {"status": "timeout", "tool_error": "timeout"}
    assert run(episode, "print('a'); exit(3)") == (
        "a\n[exited with 3; all names are lost]",
        {"status": "error", "tool_error": "error"},
    )


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        ({"role": "assistant", "content": "I think."}, "No tool call found"),
        (calls(("bash", {"code": "ls"})), "Unknown tool 'bash'"),
        (calls(("python", '{"code": "x = 1"}')), "must be a JSON object"),
        (calls(("python", {})), "missing argument 'code'"),
        (calls(("python", {"code": 1})), "must be of type string"),
        (calls(("python", {"code": "x = 1", "timeout": 99})), "unknown argument 'timeout'"),
        (calls(*[("python", {"code": "x = 1"})] * 1000), "1000 calls in one turn"),
    ],
)
def test_a_malformed_call_is_answered_counted_and_not_executed(episode, action, reason):
    step = episode.step(action)
    assert reason in step.feedback["invalid_call"]
    assert reason in step.messages[0]["content"]
    assert not step.done
    assert run(episode, "x")[1]["tool_error"] == "NameError"


def test_output_is_cut_and_obeyed_by_no_terminal(episode):
    text, _ = run(episode, "print('\\x1b[2Jred\\x07' + 'x' * 10**6)")
    assert text.startswith("\\x1b[2Jred\\x07x")
    assert len(text) < 300


def test_tasks_without_tests_and_unknown_walls_are_refused():
    with pytest.raises(UserError, match="no tests"):
        Code().episode(Task("t", []), 0)
    with pytest.raises(UserError, match="walls"):
        Code(walls="paper")  # type: ignore[arg-type]


def test_the_expert_solves_and_its_mistakes_do_not(env):
    def rate(error):
        tasks = attempts(CodeTasks("unseen", n=3))
        return sum(episode.success for episode in rollout(tasks, env, CodeExpert(error), Limits(concurrency=5)))

    assert rate(0.0) == 3
    assert rate(1.0) == 0
