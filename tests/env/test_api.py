import json
import os
import socket
import threading
import time
from contextlib import suppress

import pytest

from agenttrain.backend.backend import leaves, outcome, says
from agenttrain.backend.openapi import Request
from agenttrain.backend.remote import fetch
from agenttrain.env.api import Api
from agenttrain.errors import UserError
from agenttrain.policy.api_expert import ApiExpert
from agenttrain.policy.scripted import Scripted, call
from agenttrain.rollout import Limits, attempts, rollout
from agenttrain.services.description import description
from agenttrain.services.trade import trade
from agenttrain.task.api import Api as ApiTasks
from agenttrain.types import Environment, Episode, InfraError, Task

TASKS = {
    task.messages[-1]["content"].split(" the ")[0]: task for task in ApiTasks("all", services=["bookshop"], copies=1)
}
CANCEL, COUNT = TASKS["Cancel"], TASKS["How many copies of"]


def act(name, *more, **arguments):
    calls = [{"id": "1", "function": {"name": name, "arguments": arguments}}, *more]
    return {"role": "assistant", "content": "", "tool_calls": calls}


def opened(task=CANCEL, seed=0, **settings):
    episode = Api(**settings).episode(task, seed)
    episode.start()
    return episode


def do(episode, name, **arguments):
    return episode.step(act(name, **arguments))


def text(observation):
    return observation.messages[0]["content"]


def play(env, tasks, policy, **limits):
    return list(rollout(attempts(tasks), env, policy, Limits(**limits)))


def test_an_episode_from_a_look_to_the_right_state():
    env = Api()
    assert isinstance(env, Environment)
    episode = env.episode(CANCEL, 0)
    assert isinstance(episode, Episode)
    assert episode.start() == CANCEL.messages
    [[name, arguments]] = CANCEL.answer["calls"]
    look = do(episode, "find_orders")
    assert text(look).startswith("200 OK\n[{")
    assert look.feedback == {"status": 200}
    done = do(episode, name, **arguments)
    assert json.loads(text(done).partition("\n")[2])["status"] == "cancelled"
    last = do(episode, "finish", answer="done")
    assert (last.done, last.reward) == (True, 1.0)
    assert last.feedback == {"calls": 3, "valid_calls": 1.0, "missing": 0, "side_effects": 0, "success": True}


def test_the_right_change_with_another_beside_it_is_no_success():
    [[name, arguments]] = CANCEL.answer["calls"]
    both, none = opened(), opened()
    do(both, name, **arguments)
    do(both, "make_order", customer_id=1, book_id=1, copies=1)
    facts = do(both, "finish", answer="done").feedback
    assert (facts["success"], facts["missing"], facts["side_effects"]) == (False, 0, 6)  # five fields, and the stock
    facts = do(none, "finish", answer="done").feedback
    assert (facts["success"], facts["missing"], facts["side_effects"]) == (False, 2, 0)  # status, and the stock


def test_a_question_is_answered_right_and_without_a_change():
    right, wrong, busy = opened(COUNT), opened(COUNT), opened(COUNT)
    gold = COUNT.answer["answer"]
    assert do(right, "finish", answer=f" {gold}.0").feedback["success"]
    assert do(wrong, "finish", answer="4711").feedback["answer_right"] is False
    do(busy, "cancel_order", order_id=1)
    facts = do(busy, "finish", answer=gold).feedback
    assert (facts["answer_right"], facts["success"]) == (True, False)


def test_a_refusal_of_the_service_is_told_with_its_status():
    episode = opened()
    refused = do(episode, "get_book", book_id=99)
    assert text(refused) == '404 Not Found\n{"error": "no book 99"}'
    assert refused.feedback == {"status": 404, "tool_error": "404 Not Found"}


@pytest.mark.parametrize(
    "action",
    [
        act("get_book", book_id="1"),
        act("get_book", book_id=0),
        act("get_book", book_id=1, page=2),
        act("find_books", genre="jazz"),
        act("make_order", customer_id=1, book_id=1),
        act("wait", turns=1),
        {"role": "assistant", "content": "cancel it"},
        act("cancel_order", *[{"function": {"name": "cancel_order", "arguments": {"order_id": 1}}}] * 20, order_id=1),
    ],
)
def test_a_call_that_does_not_fit_is_never_sent(action):
    episode = opened()
    before, state = json.dumps(episode.backend.state()), episode.state
    bad = episode.step(action)
    assert "invalid_call" in bad.feedback
    assert max(len(message["content"]) for message in bad.messages) < 400
    assert (json.dumps(episode.backend.state()), episode.state) == (before, state)
    assert do(episode, "finish", answer="").feedback["valid_calls"] == 0.5


def test_equal_states_have_equal_keys_whatever_led_there():
    first, second = opened(), opened()
    for name in ("find_books", "find_customers"):
        do(first, name)
    for name in ("find_customers", "find_books", "find_books"):
        do(second, name)
    assert first.state == second.state != opened().state
    do(first, "cancel_order", order_id=1)
    assert first.state != second.state


def test_episodes_have_their_own_copy():
    first, second = opened(), opened()
    do(first, "cancel_order", order_id=1)
    assert '"status": "open"' in text(do(second, "find_orders"))
    assert "cancelled" not in text(do(second, "find_orders"))


def test_faults_are_seeded_and_change_nothing():
    def faults(seed):
        episode = opened(seed=seed, faults=0.5)
        before = json.dumps(episode.backend.state())
        seen = [do(episode, "cancel_order", order_id=99).feedback for _ in range(40)]
        assert json.dumps(episode.backend.state()) == before
        return [facts["status"] for facts in seen if facts.get("refused")]

    assert faults(1) == faults(1) != faults(2)
    assert set(faults(1)) == {500, 504}


def test_a_limit_counts_turns_and_waiting_lifts_it():
    episode = opened(limit=2, window=5)
    assert [do(episode, "find_books").feedback["status"] for _ in range(3)] == [200, 200, 429]
    limited = do(episode, "find_books")
    assert text(limited) == "429 Too Many Requests\nRetry-After: 2 turns"
    assert limited.feedback == {"status": 429, "tool_error": "429 Too Many Requests", "refused": True}
    waited = do(episode, "wait", turns=1)
    assert (text(waited), waited.feedback) == ("Turns have passed.", {})
    assert [do(episode, "find_books").feedback["status"] for _ in range(3)] == [200, 200, 429]
    do(episode, "wait", turns=3)
    assert do(episode, "find_books").feedback == {"status": 200}
    assert "wait" not in {tool["function"]["name"] for tool in opened().tools}


def test_the_expert_finds_its_way_through_faults_and_limits():
    env = Api(faults=0.3, limit=3, window=5)
    ended = play(env, ApiTasks("unseen", n=40), ApiExpert(), max_turns=100)
    assert all(episode.success for episode in ended)
    facts = [turn.observation.feedback for episode in ended for turn in episode.turns]
    assert {500, 504, 429} <= {fact.get("status") for fact in facts}
    assert not any("mismatch" in fact for fact in facts)


def test_a_service_by_its_url_is_played_and_verified_like_the_embedded_one(server):
    tasks = ApiTasks("all", n=20, services=["bookshop"])
    ended = play(Api(url=server.url + "/", episodes="/episodes", seconds=60), tasks, ApiExpert(), concurrency=8)
    assert [(episode.stop, episode.success) for episode in ended] == [("done", True)] * 20
    embedded = play(Api(), tasks, ApiExpert())
    assert {e.task.id: e.conversation() for e in ended} == {e.task.id: e.conversation() for e in embedded}
    deadline = time.monotonic() + 30
    while server._copies:  # ended with their episodes, on threads of the loop
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_without_copies_only_answers_are_verified(server, tmp_path):
    path = fetch(server.url, Request("POST", "/episodes", {}, {"service": "bookshop", "rows": 0}), 20).body["path"]
    described = tmp_path / "shop.json"
    described.write_text(json.dumps(description(trade("bookshop"))))
    settings = {"url": server.url + path, "description": str(described), "operations": ["get_book"], "seconds": 60}
    question = Task("q", CANCEL.messages, {"answer": "5"})
    episode = opened(question, **settings)
    assert [tool["function"]["name"] for tool in episode.tools] == ["get_book", "finish"]
    assert do(episode, "get_book", book_id=1).feedback == {"status": 200}
    assert do(episode, "finish", answer="5").feedback["success"]
    with pytest.raises(UserError, match=r"which nobody tells\. *Give env\.episodes"):
        do(opened(Task("q", CANCEL.messages, {"calls": []}), **settings), "finish", answer="")


def test_an_answer_that_is_not_as_described_is_a_fact(server, tmp_path):
    promised = description(trade("bookshop"))
    promised["components"]["schemas"]["book"]["properties"]["price"] = {"type": "string"}
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(json.dumps(promised))
    episode = opened(description=str(wrong), url=server.url, episodes="/episodes", seconds=60)
    facts = do(episode, "get_book", book_id=1).feedback
    assert facts["status"] == 200
    assert "price" in facts["mismatch"]
    assert "tool_error" not in facts


def test_an_answer_that_drips_ends_with_the_time_limit(tmp_path):
    described = tmp_path / "shop.json"
    described.write_text(json.dumps(description(trade("bookshop"))))

    def drip():
        with listener.accept()[0] as connection, suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 150\r\n\r\n")
            for _ in range(150):  # which would be whole after 1.5 s
                time.sleep(0.01)
                connection.sendall(b" ")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        episode = opened(Task("q", [], {"answer": "5"}), url=url, description=str(described), seconds=0.5)
        late = do(episode, "get_book", book_id=1)
        thread.join()
    assert (text(late), late.feedback) == ("No answer in time.", {"tool_error": "timeout"})


def test_a_service_that_is_gone_is_no_failure_of_the_agent(server):
    episode = opened(Task("q", CANCEL.messages, {"answer": "5"}), url=server.url, seconds=60)
    episode.backend._sender.url = "http://127.0.0.1:1"
    with pytest.raises(InfraError, match="refused"):
        do(episode, "get_book", book_id=1)


def test_what_cannot_be_played_is_said(server, monkeypatch):
    for settings, task, message in (
        ({}, Task("t", [], "an answer"), "nothing for env=api to verify"),
        ({}, Task("t", [], {"answer": "1"}), "names no invented service"),
        ({"url": "http://127.0.0.1:1"}, COUNT, "Cannot read the description"),
        ({"operations": ["get_bok"]}, COUNT, r"no tool 'get_bok' \(env\.operations\)\. Did you mean get_book"),
        ({"url": server.url, "token_env": "NO_SUCH_TOKEN"}, COUNT, "NO_SUCH_TOKEN"),
        ({"url": server.url, "episodes": "/nothing"}, COUNT, "makes no episode for task"),
    ):
        with pytest.raises(UserError, match=message):
            Api(**settings).episode(task, 0)
    with pytest.raises(UserError, match="not both"):
        Api(url="http://x", mcp=["y"])
    with pytest.raises(UserError, match="is no limit"):
        Api(limit=10)


def test_a_task_whose_own_calls_fail_is_no_failure_of_the_agent():
    broken = Task("b", CANCEL.messages, {"calls": [["cancel_order", {"order_id": 99}]]}, CANCEL.data)
    with pytest.raises(RuntimeError, match="call of task b itself fails: cancel_order: 404"):
        do(opened(broken), "finish", answer="")


@pytest.mark.parametrize(
    ("given", "wanted", "right"),
    [
        ("12", {"answer": "12"}, True),
        (" 12.0 ", {"answer": "12"}, True),
        ("Mira", {"answer": "mira"}, True),
        ("about 12", {"answer": "12"}, False),
        ("nan", {"answer": "nan"}, True),
        ("nan", {"answer": "12"}, False),
        ("The total is $1,234.50.", {"mentions": ["1234.50"]}, True),
        ("The total is 12.", {"mentions": ["12", "13"]}, False),
    ],
)
def test_answers_are_compared(given, wanted, right):
    assert says(given, wanted) is right


def test_what_was_to_change_and_what_was_not_are_counted_apart():
    before = leaves({"a": {"x": 1, "y": [1, 2]}, "b": 0})
    wanted = leaves({"a": {"x": 2, "y": [1, 2]}, "b": 0})
    worse = leaves({"a": {"x": 2, "y": [1]}, "b": False, "c": 1})
    assert outcome(before, wanted, wanted) == {"missing": 0, "side_effects": 0}
    assert outcome(before, wanted, before) == {"missing": 1, "side_effects": 0}
    assert outcome(before, wanted, worse) == {"missing": 0, "side_effects": 3}


class Careless(Scripted):
    """Malformed, failing and changing calls, and no end."""

    def act(self, conversation):
        name, arguments = [("cancel_order", {"order_id": 1}), ("get_book", {}), ("get_book", {"book_id": 99})][
            (conversation.seed + conversation.turn) % 3
        ]
        return call(conversation, name, **arguments)


@pytest.mark.slow
def test_a_thousand_episodes_leave_nothing(server):
    def held():
        return len(os.listdir("/proc/self/fd")), threading.active_count()

    env = Api(url=server.url, episodes="/episodes", seconds=60)
    tasks = list(ApiTasks("all", n=100, services=["bookshop"]))
    limits = Limits(concurrency=64, max_turns=3)
    play(env, tasks[:64], Careless(), concurrency=64, max_turns=3)
    time.sleep(1)
    before = held()
    ended = list(rollout(attempts(tasks, per_task=10), env, Careless(), limits))
    assert len(ended) == 1000
    assert {episode.stop for episode in ended} == {"max_turns"}
    deadline = time.monotonic() + 30
    while server._copies or any(now > then + 1 for now, then in zip(held(), before, strict=True)):
        assert time.monotonic() < deadline, (held(), before, len(server._copies))
        time.sleep(0.1)
