"""The thought is written from what was seen, only its text is taken, and one that is none is asked for again."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from typer.testing import CliRunner

from agenttrain import cli
from agenttrain.data.trajectories import Trajectories
from agenttrain.env.codeact import Codeact as CodeactEnv
from agenttrain.env.sql import Sql as Env
from agenttrain.errors import UserError
from agenttrain.policy.answers import Answers
from agenttrain.policy.codeact_expert import CodeactExpert
from agenttrain.policy.local import Local
from agenttrain.policy.scripted import Scripted, call
from agenttrain.policy.sql_expert import SqlExpert
from agenttrain.policy.thoughts import Thoughts
from agenttrain.rollout import Limits, attempts, rollout
from agenttrain.task.codeact import Codeact
from agenttrain.task.sql import Sql
from agenttrain.types import Action, Conversation, InfraError, Policy

TASKS = Sql(n=3)


class Writer(Scripted):
    """Answers with these in turn, then with a thought; remembers what it was asked."""

    def __init__(self, *answers):
        super().__init__()
        self._answers, self._asked = list(answers), []

    def act(self, conversation):
        self._asked.append(conversation)
        given = self._answers.pop(0) if self._answers else said(" I look first. ")
        return given(conversation) if callable(given) else given


def said(text, **more):
    return Action({"role": "assistant", "content": text}, usage={"completion_tokens": 3}, **more)


def play(policy, tasks=TASKS, env=None, **limits):
    return list(rollout(attempts(tasks), env or Env(), policy, Limits(concurrency=1, **limits)))


def test_the_action_stays_and_gets_its_thought():
    assert isinstance(Thoughts(SqlExpert(), Writer()), Policy)
    alone, with_thoughts = play(Answers(TASKS)), play(Thoughts(Answers(TASKS), Writer()))
    for before, after in zip(alone, with_thoughts, strict=True):
        assert [turn.observation.messages for turn in after.turns] == [
            turn.observation.messages for turn in before.turns
        ]
        for old, new in zip(before.turns, after.turns, strict=True):
            assert new.action.message == {**old.action.message, "content": "I look first."}
            assert new.action.usage == {"completion_tokens": 3}
        assert after.success


def test_it_is_written_from_the_question_what_came_back_and_the_action():
    writer = Writer()
    (episode,) = play(Thoughts(Answers(TASKS), writer), list(TASKS)[:1])
    first, second = (view.messages[0]["content"] for view in writer._asked)
    question, result = episode.task.messages[-1]["content"], episode.turns[0].observation.messages[0]["content"]
    assert question in first
    assert f"[call] sql {json.dumps({'query': episode.task.answer})}" in first
    assert result not in first  # nobody thinks of what he has not seen
    for seen in ("[assistant] I look first.", f"[tool] {result}", "[call] submit"):
        assert seen in second
    assert all(view.tools == [] for view in writer._asked)
    assert len({view.seed for view in writer._asked}) == 2


NO_THOUGHTS = [
    said(" \n"),
    said("I look first, becau", finish="length"),
    said('<tool_call>{"name": "sql"}</tool_call>'),
    said("I will sql(query='SELECT 1')."),
    lambda conversation: {**call(conversation, "submit", query="SELECT 0"), "content": "I submit."},
]


@pytest.mark.parametrize("bad", NO_THOUGHTS)
def test_what_is_no_thought_is_asked_for_again(bad):
    writer = Writer(bad, bad)
    (episode,) = play(Thoughts(Answers(TASKS), writer, ask_again=2), list(TASKS)[:1])
    assert episode.success
    assert episode.turns[0].action.message["content"] == "I look first."
    assert len({view.seed for view in writer._asked[:3]}) == 3
    if isinstance(bad, Action):
        assert episode.turns[0].action.usage == {"completion_tokens": 9}


def test_a_writer_who_never_thinks_fails_the_episode_and_no_other():
    empty = [said("")] * 6
    first, *others = play(Thoughts(Answers(TASKS), Writer(*empty), ask_again=2), retries=1)
    assert first.stop == "infra_error"
    assert first.error == "InfraError: policy.by wrote no thought, asked 3 times: the last was empty"
    assert [episode.success for episode in others] == [True, True]


def test_an_action_in_words_keeps_them():
    tasks = Codeact(n=2)
    for episode in play(Thoughts(CodeactExpert(), Writer()), tasks, CodeactEnv()):
        assert episode.success
        assert episode.turns[0].action.message["content"].startswith("I look first.\nI need the ")


def test_tokens_that_are_not_of_the_new_message_are_left_out():
    base = Writer(lambda talk: Action(call(talk, "submit", query="SELECT 0"), token_ids=[1], logprobs=[-1.0]))
    (episode,) = play(Thoughts(base, Writer()), list(TASKS)[:1])
    assert episode.turns[0].action.token_ids == episode.turns[0].action.logprobs == []


def test_a_cut_action_and_a_failure_of_either_pass_through():
    (episode,) = play(Thoughts(Writer(said("I", finish="length")), Writer()), list(TASKS)[:1])
    assert episode.stop == "max_tokens"

    def down(conversation):
        raise InfraError("down")

    for pair in ((Writer(down), Writer()), (Answers(TASKS), Writer(down))):
        (episode,) = play(Thoughts(*pair), list(TASKS)[:1], retries=0)
        assert (episode.stop, episode.error) == ("infra_error", "InfraError: down")


def test_what_was_given_up_is_not_answered():
    policy, by = Thoughts(Writer(said("x")), slow := Writer()), Conversation("t", [], [], 0)
    policy.submit(by)
    policy.by.poll = lambda timeout: []
    assert policy.poll(0) == []
    policy.release(by)
    assert (policy._owed, slow._waiting) == ({}, [])


def test_a_model_in_this_process_is_refused():
    for pair in ((Local(), Writer()), (SqlExpert(), Local())):
        with pytest.raises(UserError, match=r"policy\.by=endpoint"):
            Thoughts(*pair)


class Server(BaseHTTPRequestHandler):
    """A chat-completions server that thinks aloud."""

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        last = request["messages"][-1]["content"].count("[tool]")
        message = {"role": "assistant", "content": "So this is it." if last else "I ask the database."}
        data = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


def test_a_server_writes_the_thoughts_that_training_reads(tmp_path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    url = f"policy.by.url=http://127.0.0.1:{server.server_port}/v1"
    words = ["conf=agenttuning", "env=sql", "policy=thoughts", "policy.by.model=m", url, "task.n=4", f"out={tmp_path}"]
    done = CliRunner().invoke(cli.app, ["generate-trajectories", *words])
    server.shutdown()
    server.server_close()
    assert done.exit_code == 0, done.output
    examples = list(Trajectories(str(tmp_path / "trajectories.jsonl")))
    assert len(examples) == 4
    for example in examples:
        trained = [message for message in example.messages if message.get("train")]
        assert [message["content"] for message in trained] == ["I ask the database.", "So this is it."]
        assert [message["tool_calls"][0]["function"]["name"] for message in trained] == ["sql", "submit"]
