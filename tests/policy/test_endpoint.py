"""Against a server that fails in every way we know, and against a real one."""

import importlib.util
import json
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from agenttrain.env.tools import Call, answer, read_call
from agenttrain.errors import UserError
from agenttrain.model.tiny import Tiny
from agenttrain.policy.endpoint import Endpoint
from agenttrain.rollout import Limits, attempts, rollout
from agenttrain.types import Conversation, InfraError, Observation, Policy, Task

LOOKUP = {"type": "function", "function": {"name": "lookup", "description": "", "parameters": {"type": "object"}}}


def completion(content="", arguments=None, finish="stop"):
    function = {"name": "lookup", "arguments": arguments}
    calls = [] if arguments is None else [{"id": "c1", "type": "function", "function": function}]
    message = {"role": "assistant", "content": content or None, "tool_calls": calls}
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    return 200, {"choices": [{"index": 0, "message": message, "finish_reason": finish}], "usage": usage}


def refusal(status, message, code=None, **headers):
    return status, {"error": {"message": message, "code": code}}, headers


class FaultyServer(ThreadingHTTPServer):
    """Answers by `script`, one entry a request, the last one again and again."""

    daemon_threads = True

    def __init__(self, *script):
        super().__init__(("127.0.0.1", 0), _Answer)
        self.script, self.requests = list(script), []
        self.hung_up = threading.Event()
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"


class _Answer(BaseHTTPRequestHandler):
    def do_POST(self):
        server = self.server
        server.requests.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        answer = server.script.pop(0) if len(server.script) > 1 else server.script[0]
        if answer == "drip":
            return self.drip()
        status, body, headers = (*answer, {})[:3]
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        kind = "text/html" if isinstance(body, str) else "application/json"
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": len(data), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(data)

    def drip(self):
        """A byte now and then, until the client hangs up."""
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        try:
            for _ in range(200):
                self.wfile.write(b" ")
                time.sleep(0.05)
        except OSError:
            self.server.hung_up.set()

    def log_message(self, *_):
        pass


@pytest.fixture
def serve():
    servers = []

    def start(*script):
        servers.append(FaultyServer(*script))
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def talk(*messages, seed=0, turn=0, max_tokens=None):
    return Conversation("t#0", list(messages) or [{"role": "user", "content": "go"}], [LOOKUP], seed, turn, max_tokens)


def ask(policy, conversation=None):
    """The one answer to one conversation."""
    conversation = conversation or talk()
    policy.submit(conversation)
    ((answered, action),) = policy.poll(10)
    assert answered is conversation
    return action


def test_a_tool_call_arrives_with_its_arguments_parsed_and_its_tokens_counted(serve):
    server = serve(completion("I look.", '{"key": "é"}'))
    policy = Endpoint("m", server.url, temperature=0.5, max_tokens=50, extra={"top_k": 3})
    assert isinstance(policy, Policy)
    action = ask(policy, talk(max_tokens=20))
    function = {"name": "lookup", "arguments": {"key": "é"}}
    calls = [{"type": "function", "id": "c1", "function": function}]
    assert action.message == {"role": "assistant", "content": "I look.", "tool_calls": calls}
    assert action.usage == {"prompt_tokens": 7, "completion_tokens": 3}
    assert (action.finish, action.token_ids, action.logprobs) == ("stop", [], [])
    sent = server.requests[0]
    assert (sent["model"], sent["temperature"], sent["max_tokens"], sent["top_k"]) == ("m", 0.5, 20, 3)
    assert sent["tools"] == [LOOKUP]
    assert "top_p" not in sent


def test_history_goes_out_as_the_api_wants_it(serve):
    server = serve(completion("done"))
    calls = [
        {"type": "function", "id": name, "function": {"name": "lookup", "arguments": {"key": name}}} for name in "ab"
    ]
    ask(
        Endpoint("m", server.url),
        talk(
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": "", "tool_calls": calls, "reasoning_content": "hm", "train": True},
            {"role": "tool", "name": "lookup", "tool_call_id": "a", "content": "1"},
        ),
    )
    sent = server.requests[0]["messages"][1]
    assert set(sent) == {"role", "content", "tool_calls"}
    (call,) = sent["tool_calls"]  # the second was never answered, and servers refuse such a history
    assert call["function"] == {"name": "lookup", "arguments": '{"key": "a"}'}


@pytest.mark.parametrize("raw", ['{"key": ', '["key"]', "null"])
def test_malformed_arguments_are_left_to_the_environment(serve, raw):
    action = ask(Endpoint("m", serve(completion("I look.", raw)).url))
    assert action.message == {"role": "assistant", "content": f"I look.\nlookup({raw})"}


def test_an_answer_cut_by_the_token_limit_says_so(serve):
    assert ask(Endpoint("m", serve(completion("and so", finish="length")).url)).finish == "length"


def test_a_prompt_too_long_for_the_model_ends_the_episode_and_not_the_run(serve):
    server = serve(refusal(400, "This model's maximum context length is 4096 tokens.", "context_length_exceeded"))
    action = ask(Endpoint("m", server.url))
    assert (action.finish, action.message["content"]) == ("length", "")
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "nonsense", [(200, "<html>Gateway</html>"), (200, {"error": "overloaded"}), (200, {"choices": [{"message": "hi"}]})]
)
def test_nonsense_with_status_200_is_asked_again(serve, nonsense):
    server = serve(nonsense, completion("fine"))
    assert ask(Endpoint("m", server.url)).message["content"] == "fine"
    error = ask(Endpoint("m", serve(nonsense).url, retries=0))
    assert isinstance(error, InfraError)
    assert "no chat completion" in str(error)


def test_a_failing_server_is_asked_again_with_another_seed(serve):
    server = serve(refusal(500, "boom"), completion("fine"), completion("fine"))
    policy = Endpoint("m", server.url)
    assert ask(policy, talk(seed=5)).message["content"] == "fine"
    ask(policy, talk(seed=5))
    first, second, again = (request["seed"] for request in server.requests)
    assert first != second
    assert first == again  # the same conversation is sampled alike, whatever happened to others


def test_retries_end_in_an_infrastructure_error_with_the_servers_words(serve):
    server = serve(refusal(503, "model is loading"))
    error = ask(Endpoint("m", server.url, retries=1))
    assert isinstance(error, InfraError)
    assert "503" in str(error)
    assert "model is loading" in str(error)
    assert len(server.requests) == 2


def test_retry_after_is_respected(serve):
    server = serve(refusal(429, "slow down", Retry_After="1"), completion("fine"))
    began = time.monotonic()
    assert ask(Endpoint("m", server.url)).message["content"] == "fine"
    assert time.monotonic() - began >= 1.0


def test_a_retry_after_beyond_the_timeout_is_not_waited_for(serve):
    server = serve(refusal(429, "come back tomorrow", Retry_After="Fri, 31 Dec 2100 23:59:59 GMT"))
    error = ask(Endpoint("m", server.url))
    assert isinstance(error, InfraError)
    assert "longer than policy.timeout" in str(error)
    assert len(server.requests) == 1


def test_a_slow_drip_is_cut_at_the_deadline_though_every_read_succeeds(serve):
    began = time.monotonic()
    error = ask(Endpoint("m", serve("drip").url, timeout=0.4, retries=0))
    assert isinstance(error, InfraError)
    assert "policy.timeout=0.4" in str(error)
    assert time.monotonic() - began < 8


def test_no_server_is_an_infrastructure_error_that_names_the_address():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    error = ask(Endpoint("m", url, retries=0))
    assert isinstance(error, InfraError)
    assert url in str(error)


def test_a_refused_key_stops_the_run_at_once_and_appears_nowhere(serve, monkeypatch):
    monkeypatch.setenv("MY_KEY", "sk-secret-123")
    server = serve(refusal(401, "Incorrect API key provided: sk-secret-123"))
    policy = Endpoint("m", server.url.replace("//", "//user:hidden@"), api_key_env="MY_KEY")
    error = ask(policy)
    assert isinstance(error, UserError)
    assert "MY_KEY" in str(error)
    assert len(server.requests) == 1
    assert "secret" not in str(error) + str(policy.describe())
    assert "hidden" not in str(error) + str(policy.describe())


@pytest.mark.parametrize(
    "answer",
    [
        refusal(403, "no access"),
        refusal(404, "The model 'm' does not exist"),
        refusal(400, "no such model", "model_not_found"),
        refusal(429, "You exceeded your current quota", "insufficient_quota"),
        refusal(400, "unknown field: seed"),
    ],
)
def test_a_fault_of_the_configuration_is_not_retried(serve, answer):
    server = serve(answer)
    error = ask(Endpoint("m", server.url))
    assert isinstance(error, UserError)
    assert answer[1]["error"]["message"] in str(error)
    assert len(server.requests) == 1


def test_a_request_rejected_after_others_succeeded_spoils_its_own_episode_only(serve):
    server = serve(completion("fine"), refusal(400, "this message is not allowed"))
    policy = Endpoint("m", server.url)
    ask(policy)
    error = ask(policy)
    assert isinstance(error, InfraError)
    assert len(server.requests) == 2


def test_a_field_the_server_does_not_know_can_be_left_out(serve):
    server = serve(completion("fine"))
    ask(Endpoint("m", server.url, extra={"seed": None, "max_tokens": None, "max_completion_tokens": 9}))
    assert not {"seed", "max_tokens"} & set(server.requests[0])
    assert server.requests[0]["max_completion_tokens"] == 9


def test_a_released_conversation_is_hung_up_on_and_never_answered(serve):
    server = serve("drip", completion("fine"))
    policy = Endpoint("m", server.url)
    stuck, fresh = talk(), talk()
    policy.submit(stuck)
    while not server.requests:
        time.sleep(0.01)
    policy.release(stuck)
    assert server.hung_up.wait(5)
    policy.submit(fresh)
    assert [conversation for conversation, _ in policy.poll(5)] == [fresh]
    assert policy.poll(0) == []


def test_no_more_than_concurrency_requests_are_under_way(serve):
    server = serve("drip")
    policy = Endpoint("m", server.url, concurrency=2)
    conversations = [talk() for _ in range(5)]
    for conversation in conversations:
        policy.submit(conversation)
    time.sleep(0.5)
    assert len(server.requests) == 2
    for conversation in conversations:
        policy.release(conversation)


# -- a real server ----------------------------------------------------------------------------------------------------


class Drawer:
    """Tells what lies under a key; saying so ends the episode."""

    def __init__(self, task):
        self.task, self.tools = task, [LOOKUP]

    def start(self):
        return self.task.messages

    def step(self, action):
        call = read_call(action, self.tools)
        if isinstance(call, Call):
            return Observation([answer(call, self.task.data[call.arguments["key"]])])
        return Observation([], done=True, feedback={"success": action["content"] == self.task.answer})

    def close(self):
        pass


class Drawers:
    def episode(self, task, seed):
        return Drawer(task)


def opening(key):
    return [{"role": "user", "content": f"Find {key}."}]


def save_model(folder, keys):
    """A tiny model that has learnt by heart to look a key up and to say what it was told."""
    import torch

    torch.manual_seed(0)
    loaded = Tiny(layers=1, hidden=64, heads=2, kv_heads=1, head_dim=32, intermediate=128).load(trainable=True)
    chat, rows = loaded.chat, []
    for key, value in keys.items():
        function = {"name": "lookup", "arguments": {"key": key}}
        call = {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": function}]}
        parts = [
            (chat.open(opening(key), [LOOKUP]), False),
            (chat.reply(call), True),
            (chat.extend([{"role": "tool", "name": "lookup", "content": value}]), False),
            (chat.reply({"role": "assistant", "content": value}), True),
        ]
        ids = [token for part, _ in parts for token in part]
        rows.append((ids, [token if sampled else -100 for part, sampled in parts for token in part]))
    ids, labels = (torch.tensor(column) for column in zip(*rows, strict=True))
    optimizer = torch.optim.AdamW(loaded.model.train().parameters(), lr=5e-3)
    for _ in range(80):
        loaded.model(input_ids=ids, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    loaded.save(folder)


@pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("fastapi", "uvicorn"))), reason="needs pip install transformers[serving]"
)
def test_tool_calls_with_transformers_serve_several_conversations_at_once(tmp_path):
    keys = {"a": "7", "b": "3", "c": "5", "d": "2"}
    tasks = [Task(key, opening(key), answer=value, data=keys) for key, value in keys.items()]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", "--port", str(port), "--device", "cpu"]
    with open(tmp_path / "log", "w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        save_model(tmp_path / "model", keys)  # while the server starts: it loads a model when one is asked for
        _await_health(f"http://127.0.0.1:{port}/health", server, tmp_path / "log")
        policy = Endpoint(
            str(tmp_path / "model"), f"http://127.0.0.1:{port}/v1", temperature=0.0, timeout=60, retries=1
        )
        played = list(rollout(attempts(tasks), Drawers(), policy, Limits(retries=0)))
    finally:
        server.terminate()
        server.wait(10)
    assert [(t.stop, t.error, len(t.turns), t.success) for t in played] == [("done", None, 2, True)] * 4
    for trajectory in played:
        (call,) = trajectory.turns[0].action.message["tool_calls"]
        assert call["function"] == {"name": "lookup", "arguments": {"key": trajectory.task.id}}
        assert all(turn.action.usage["completion_tokens"] > 0 for turn in trajectory.turns)


def _await_health(url, server, log):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()[-2000:]
        try:
            urllib.request.urlopen(url, timeout=1)
            return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"transformers serve did not start: {log.read_text()[-2000:]}")
