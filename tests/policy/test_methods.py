"""The three methods against the oracle in the real environment, and against a teacher that errs in form."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from agenttrain.commands.generate_trajectories import generate_trajectories
from agenttrain.data.trajectories import Trajectories
from agenttrain.env.hopqa import Hopqa as Env
from agenttrain.errors import UserError
from agenttrain.model.tiny import Tiny
from agenttrain.policy.craft_expert import CraftExpert
from agenttrain.policy.endpoint import Endpoint
from agenttrain.policy.hopqa_expert import HopqaExpert
from agenttrain.policy.local import Local
from agenttrain.policy.methods import Methods
from agenttrain.policy.scripted import Scripted, call
from agenttrain.rollout import Limits, attempts, rollout
from agenttrain.store import Writer
from agenttrain.task.hopqa import Hopqa
from agenttrain.trajectory_record import from_record, to_record
from agenttrain.types import Action, Conversation, Policy

TASKS = list(Hopqa(n=40, size=60, yes_no=0.5))
KNOWING = {"thoughts": True, "world": 0, "size": 60}


def play(policy, tasks=TASKS, **env):
    episodes = rollout(attempts(tasks), Env(**env), policy, Limits(max_turns=11, malformed=6))
    return sorted(episodes, key=lambda episode: episode.task.id)


def thoughts(episode):
    return [turn.action.message["content"] for turn in episode.turns]


def test_react_is_what_the_teacher_does_unasked():
    asked, alone = play(Methods(HopqaExpert(thoughts=True))), play(HopqaExpert(thoughts=True))
    assert isinstance(Methods(HopqaExpert()), Policy)
    assert [e.conversation() for e in asked] == [e.conversation() for e in alone]
    assert all(e.success and e.meta["method"] == "react" for e in asked)


def test_cot_is_a_react_of_one_round_in_the_same_record():
    for episode in play(Methods(HopqaExpert(**KNOWING), react=0, cot=1)):
        assert episode.success
        assert len(episode.turns) == 1
        assert {tool["function"]["name"] for tool in episode.tools} == {"search", "finish"}
        assert episode.messages == episode.task.messages  # nothing of what the teacher was told
        assert re.match(r"The \w+ of .+ is .+\. The \w+ of .+ is .+\.$", thoughts(episode)[0])


def test_cot_without_knowledge_fails_and_the_filter_counts_it(tmp_path):
    tasks = [task for task in TASKS if task.answer not in ("yes", "no")]
    with Writer(tmp_path / "t.jsonl") as writer:
        for episode in play(Methods(HopqaExpert(), react=1, cot=1), tasks):
            writer.write(episode)
            assert episode.success is (episode.meta["method"] == "react")
            assert from_record(to_record(episode)).meta["method"] == episode.meta["method"]
    data = Trajectories(str(tmp_path / "t.jsonl"))
    list(data)
    assert data.report.kept + data.report.dropped["failed"] == data.report.records == len(tasks)
    assert data.report.dropped["failed"] > 3


def test_reflexion_reflects_at_steps_6_and_10_and_is_saved_by_it():
    circling = {"base": HopqaExpert(thoughts=True, circles=True)}
    lost = play(Methods(**circling), noise=0.5)
    saved = play(Methods(**circling, react=0, reflexion=1), noise=0.5)
    assert sum(e.success for e in saved) > 1.5 * sum(e.success for e in lost) > 0
    steps = {n for e in saved for n, text in enumerate(thoughts(e), 1) if text.startswith("Reflection: ")}
    assert steps == {6, 10}
    assert any(e.success and len(e.turns) > 6 for e in saved)
    assert not any(text.startswith("Reflection") for e in lost for text in thoughts(e))


def test_shares_are_kept_and_an_episode_has_one_method():
    tasks = list(Hopqa(n=300, size=60))
    policy = Methods(HopqaExpert(**KNOWING), react=2, cot=1, reflexion=1)
    methods = [episode.meta["method"] for episode in play(policy, tasks)]
    assert abs(methods.count("react") - 150) < 35
    assert min(methods.count("cot"), methods.count("reflexion")) > 50
    assert methods == [episode.meta["method"] for episode in play(policy, tasks)]


class Careless(Scripted):
    """Errs in form as often as told, then answers; remembers what it was asked with."""

    def __init__(self, message, times):
        super().__init__()
        self.message, self.times, self._seeds = message, times, []

    def act(self, conversation):
        self._seeds.append(conversation.seed)
        good = call(conversation, "finish", answer="x")
        return Action(good if len(self._seeds) > self.times else self.message, usage={"completion_tokens": 3})


def said(**function):
    return {"role": "assistant", "content": "", "tool_calls": [{"id": "c", "type": "function", "function": function}]}


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "content": "I think so."},
        said(name="look", arguments={"query": "x"}),
        said(name="search", arguments={"q": "x"}),
        said(name="search", arguments={"query": "x", "k": 1}),
    ],
)
def test_a_malformed_action_is_asked_for_again_up_to_5_times(message):
    teacher = Careless(message, 5)
    (episode,) = play(Methods(teacher), TASKS[:1])
    assert [turn.observation.done for turn in episode.turns] == [True]
    assert episode.turns[0].action.usage == {"completion_tokens": 18}
    assert len(set(teacher._seeds)) == 6
    (episode,) = play(Methods(Careless(message, 6)), TASKS[:1])
    assert [bool(turn.observation.feedback.get("invalid_call")) for turn in episode.turns] == [True, False]


def test_cot_may_not_search():
    (episode,) = play(Methods(Careless(said(name="search", arguments={"query": "x"}), 3), react=0, cot=1), TASKS[:1])
    assert len(episode.turns) == 1


def test_an_action_given_up_is_not_answered():
    policy, talk = Methods(HopqaExpert()), Conversation("t", TASKS[0].messages, Env().episode(TASKS[0], 0).tools, 0)
    policy.submit(talk)
    policy.release(talk)
    assert policy.poll(0) == []


def test_what_cannot_work_is_refused():
    with pytest.raises(UserError, match="needs a share above 0"):
        Methods(HopqaExpert(), react=0)
    with pytest.raises(UserError, match=r"policy\.base=endpoint"):
        Methods(Local())
    with pytest.raises(UserError, match=r"answer=end, but the tools here are: search, finish"):
        play(Methods(CraftExpert(), react=0, cot=1, answer="end"))


REQUESTS = []


class Server(BaseHTTPRequestHandler):
    """A chat-completions server that first forgets to call, then gives the right answer."""

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        REQUESTS.append(request)
        question = next(m["content"] for m in request["messages"] if m["role"] == "user")
        right = next(task.answer for task in TASKS if task.messages[-1]["content"] == question)
        function = {"name": "finish", "arguments": json.dumps({"answer": right})}
        calls = [{"id": "c", "type": "function", "function": function}] if len(REQUESTS) % 2 == 0 else []
        message = {"role": "assistant", "content": "So it is.", "tool_calls": calls}
        data = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


def test_a_server_can_be_the_teacher_and_the_report_tells_of_each_method(tmp_path, capsys):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    teacher = Endpoint("m", url=f"http://127.0.0.1:{server.server_port}/v1", concurrency=1)
    policy = Methods(teacher, react=1, cot=1)
    generate_trajectories(TASKS[:8], Env(), policy, Tiny(), Limits(concurrency=1), tmp_path)
    server.shutdown()
    server.server_close()
    assert len(REQUESTS) == 16
    offered = {tuple(tool["function"]["name"] for tool in request["tools"]) for request in REQUESTS}
    assert offered == {("finish",), ("search", "finish")}
    assert all("step by step" in r["messages"][0]["content"] for r in REQUESTS if len(r["tools"]) == 1)
    told = dict(re.findall(r"method (\w+) +(\d) of \2 episodes solved, 1\.0 turns each", capsys.readouterr().out))
    assert set(told) == {"cot", "react"}
    assert sum(map(int, told.values())) == 8
