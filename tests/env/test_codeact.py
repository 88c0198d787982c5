import pytest

from agenttrain.env.codeact import Codeact, from_json, from_text, number, read, same, signatures
from agenttrain.errors import UserError
from agenttrain.policy.codeact_expert import CodeactExpert
from agenttrain.rollout import Limits, attempts, rollout
from agenttrain.task.codeact import Codeact as CodeactTasks
from agenttrain.types import Environment, Episode, Task

TOOLS = 'def twice(n):\n    """Doubles.\n\n    More.\n    """\n    return 2 * n\n\ndef _hidden():\n    return 1\n'
TASK = Task("t", [{"role": "user", "content": "Twice 21?"}], answer="42", data={"tools": TOOLS})


@pytest.fixture(scope="module")
def sandbox():
    """One for all: starting it takes most of the time."""
    env = Codeact()
    try:
        env.sandbox.start_now()
    except UserError as error:
        pytest.skip(f"no sandbox holds here: {error}")
    yield env.sandbox
    env.sandbox.close()


@pytest.fixture
def play(sandbox):
    opened = []

    def play(*texts, **options):
        """The observations of these actions."""
        env = Codeact(**options)
        env.sandbox = sandbox
        opened.append(env.episode(TASK, seed=0))
        return [opened[-1].step({"role": "assistant", "content": text}) for text in texts]

    yield play
    for episode in opened:
        episode.close()


def said(observation):
    return observation.messages[0]["content"]


def run(code):
    return f"I try. <execute>{code}</execute>"


def test_it_is_an_environment_and_tells_the_protocol_and_the_tools():
    env = Codeact(max_steps=7)
    episode = env.episode(TASK, 0)
    assert isinstance(env, Environment)
    assert isinstance(episode, Episode)
    system, user = episode.start()
    assert "7 steps, of which 2" in system["content"]
    assert "Python code" in system["content"]
    assert system["content"].endswith("Tools:\n- twice(n): Doubles.")
    assert user == TASK.messages[0]
    assert '{"tool": "name"' in Codeact("json").episode(TASK, 0).start()[0]["content"]


def test_names_and_tools_live_through_the_episode_and_errors_are_shown(play):
    first, second, third = play(run("x = twice(4)"), run("print(x + 1)"), run("print(y)"))
    assert said(first) == "Observation:\n(no output)\nLeft: 4 steps, 2 answers."
    assert said(second).startswith("Observation:\n9\n")
    assert "NameError: name 'y' is not defined" in said(third)
    assert third.feedback == {"status": "error", "tool_error": "NameError"}


def test_tools_are_there_again_after_an_interpreter_was_lost(play):
    lost, again = play(run("import os; os._exit(3)"), run("print(twice(4))"))
    assert "all names are lost" in said(lost)
    assert again.feedback == {"status": "ok"}
    assert said(again).startswith("Observation:\n8\n")


def test_a_run_has_its_time_and_its_output_its_length(play):
    late, long = play(run("while True: pass"), run("print('x' * 10**6)"), seconds=1.0, max_chars=100)
    assert late.feedback == {"status": "timeout", "tool_error": "timeout"}
    assert len(said(long)) < 200


def test_a_right_answer_ends_the_episode_and_a_wrong_one_may_be_corrected(play):
    wrong, right = play("<solution>41</solution>", "So: <solution> 42.0 </solution>")
    assert (wrong.done, wrong.reward, wrong.feedback) == (False, 0.0, {"solutions": 1})
    assert said(wrong) == "Observation:\nYour answer is wrong.\nLeft: 4 steps, 1 answers."
    assert (right.done, right.reward, right.messages) == (True, 1.0, [])
    assert right.feedback == {"solutions": 2, "success": True}


def test_the_last_answer_and_the_last_step_end_it_without_success(play):
    assert [step.done for step in play("<solution>1</solution>", "<solution>2</solution>")] == [False, True]
    steps = play("?", run("1"), "?", max_steps=3)
    assert [step.done for step in steps] == [False, False, True]
    assert steps[-1].feedback["success"] is False
    assert play("<solution>42</solution>", max_steps=1)[0].feedback["success"] is True


@pytest.mark.parametrize(
    ("actions", "action", "shown", "facts"),
    [
        ("json", '{"tool": "twice", "args": [4]}', "8", {"status": "ok"}),
        ("json", '{"tool": "twice", "args": []}', "TypeError", {"status": "error", "tool_error": "TypeError"}),
        ("text", "twice, 4", "8", {"status": "ok"}),
        ("text", "twice, ab", "abab", {"status": "ok"}),
    ],
)
def test_json_and_text_call_one_tool(play, actions, action, shown, facts):
    (step,) = play(run(action), actions=actions)
    assert shown in said(step)
    assert step.feedback == facts


@pytest.mark.parametrize(
    ("actions", "text", "reason"),
    [
        ("code", "print(1)", "you wrote neither"),
        ("code", "<execute>1</execute><solution>42</solution>", "you wrote both"),
        ("json", run("print(1)"), "Expected"),
        ("json", run('{"tool": "twice", "args": [[1]]}'), "Expected"),
        ("json", run('{"tool": "twice", "args": [1], "more": 1}'), "Expected"),
        ("json", run("[" * 100_000), "Expected"),
        ("json", run('{"tool": "print(1) or twice", "args": [1]}'), "Unknown tool"),
        ("text", run("_hidden"), "Unknown tool '_hidden'. Tools: twice."),
        ("text", run("print(__import__('os').getpid())"), "Unknown tool"),
    ],
)
def test_a_malformed_action_costs_a_step_is_answered_and_runs_nothing(play, actions, text, reason):
    (step,) = play(text, actions=actions)
    assert reason in step.feedback["invalid_call"]
    assert reason in said(step)
    assert "Left: 4 steps" in said(step)
    assert "status" not in step.feedback


def test_an_argument_is_data_and_never_code(play):
    (step,) = play(run('{"tool": "twice", "args": ["a\') + str(1 + 1) + (\'"]}'), actions="json")
    assert said(step).startswith("Observation:\na') + str(1 + 1) + ('a') + str")


def test_the_state_tells_runs_and_what_is_left(sandbox):
    env = Codeact()
    env.sandbox = sandbox
    one, other = env.episode(TASK, 0), env.episode(TASK, 1)
    assert one.step({"content": "?"}).state == other.step({"content": "!"}).state
    assert one.step({"content": run("a = 1")}).state == other.step({"content": run("a = 2")}).state
    assert one.state != other.state
    one.close()
    other.close()


def test_blocks_of_one_kind_are_joined():
    assert read("a <execute>x = 1</execute> b <execute>\nx\n</execute>") == ("execute", "x = 1\nx")
    assert read("<execute>print('<solution>1</solution>')</execute>")[0] == "execute"


def test_what_reads_as_a_number_is_one():
    assert from_text("f, 1, 2.5, two") == ("f", [1, 2.5, "two"])
    assert [number(text) for text in ("1e3", "inf", "nan", "")] == [1000.0, "inf", "nan", ""]
    assert from_json('{"tool": "f", "args": ["a", 1]}') == ("f", ["a", 1])


@pytest.mark.parametrize(
    ("given", "wanted", "equal"),
    [
        ("42", "42", True),
        ("1,042.0", "1042", True),
        ("42.1", "42", False),
        (" Ada  Byron", "ada byron", True),
        ("Ada", "Byron", False),
        ("nan", "42", False),
        ("9" * 5000, "42", False),
    ],
)
def test_answers_are_compared_as_numbers_or_as_texts(given, wanted, equal):
    assert same(given, wanted) is equal


def test_signatures_are_read_and_not_run():
    assert signatures("import os\ndef f(a, b=os.getpid()): pass", "t") == {"f": "f(a, b=os.getpid())"}
    with pytest.raises(UserError, match="no Python"):
        signatures("def f(", "t")
    with pytest.raises(UserError, match="task=codeact"):
        Codeact().episode(Task("t", []), 0)


def test_tools_that_do_not_run_are_no_fault_of_the_agent(sandbox):
    env = Codeact()
    env.sandbox = sandbox
    episode = env.episode(Task("t", [], answer="1", data={"tools": "import nothing_of_this_name"}), 0)
    with pytest.raises(RuntimeError, match="nothing_of_this_name"):
        episode.step({"content": run("1")})
    episode.close()


@pytest.mark.parametrize(("actions", "turns"), [("code", 2), ("json", 6), ("text", 6)])
def test_the_expert_takes_two_turns_by_code_and_one_for_each_call_otherwise(sandbox, actions, turns):
    env = Codeact(actions, max_steps=10)
    env.sandbox = sandbox
    tasks = list(CodeactTasks(n=3, items=[3]))
    for episode in rollout(attempts(tasks), env, CodeactExpert(), Limits(concurrency=3)):
        assert episode.success
        assert len(episode.turns) == turns
