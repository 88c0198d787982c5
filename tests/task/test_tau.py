import json
from collections import Counter
from pathlib import Path

import pytest

from agenttrain.env.api import Api
from agenttrain.errors import UserError
from agenttrain.policy.scripted import Scripted, call
from agenttrain.rollout import Limits, attempts, rollout
from agenttrain.task.tau import Tau

DATA = Path(__file__).parents[3] / "shared" / "data" / "tau_bench"
there = pytest.mark.skipif(not DATA.is_dir(), reason="tau-bench's data does not lie beside the checkout")

ORDER = {
    "order_id": "#1",
    "user_id": "ada",
    "status": "pending",
    "items": [{"name": "Cup", "product_id": "p", "item_id": "i1", "price": 5.5, "options": {}}],
    "payment_history": [{"transaction_type": "payment", "amount": 5.5, "payment_method_id": "gift_card_1"}],
}
USER = {
    "name": {"first_name": "Ada", "last_name": "Moor"},
    "address": {"zip": "1"},
    "email": "ada@example.com",
    "payment_methods": {"gift_card_1": {"source": "gift_card", "balance": 1.0, "id": "gift_card_1"}},
}
PRODUCT = {
    "name": "Cup",
    "variants": {"i2": {"item_id": "i2", "options": {"size": "L"}, "available": True, "price": 6.0}},
}


def schema(name, **properties):
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "description": name, "parameters": parameters}}


@pytest.fixture
def folder(tmp_path):
    """A domain of one order, in tau-bench's form."""
    text, several = {"type": "string"}, {"type": "array", "items": {"type": "string"}}
    swap = {"order_id": text, "item_ids": several, "new_item_ids": several, "payment_method_id": text}
    files = {
        "orders.json": {"#1": ORDER},
        "users.json": {"ada": USER},
        "products.json": {"p": PRODUCT},
        "rules.json": [],
        "tools.json": [
            schema("cancel_pending_order", order_id=text, reason=text),
            schema("modify_pending_order_items", **swap),
            schema("get_user_details", user_id=text),
            schema("calculate", expression=text),
        ],
    }
    for name, value in files.items():
        (tmp_path / name).write_text(json.dumps(value))
    (tmp_path / "policy_wiki.md").write_text("Be kind.")
    actions = [{"name": "cancel_pending_order", "kwargs": {"order_id": "#1", "reason": "no longer needed"}}]
    tasks = [{"instruction": "You are Ada. Cancel it.", "actions": actions, "outputs": ["6.5"]}]
    (tmp_path / "tasks_test.jsonl").write_text("\n".join(map(json.dumps, tasks)))
    return tmp_path


def do(episode, name, **arguments):
    return episode.step({"tool_calls": [{"function": {"name": name, "arguments": arguments}}]})


def test_an_episode_changes_its_own_data_and_is_verified_by_it(folder):
    [task] = Tau(str(folder), "test")
    assert task.messages[0]["content"].startswith("Be kind.")
    assert task.messages[1]["content"] == "You are Ada. Cancel it."
    first, second = (Api().episode(task, 0) for _ in range(2))
    do(first, "cancel_pending_order", order_id="#1", reason="no longer needed")
    balance = do(first, "get_user_details", user_id="ada").messages[0]["content"]
    assert json.loads(balance)["payment_methods"]["gift_card_1"]["balance"] == 6.5
    assert '"balance": 1.0' in do(second, "get_user_details", user_id="ada").messages[0]["content"]
    assert do(first, "finish", answer="You have $6.50 now, or 6.5.").feedback["success"]
    facts = do(second, "finish", answer="6.5").feedback
    assert (facts["answer_right"], facts["success"], facts["side_effects"]) == (True, False, 0)
    assert facts["missing"] > 0


def test_what_the_rules_forbid_is_refused_and_changes_nothing(folder):
    [task] = Tau(str(folder), "test")
    episode = Api().episode(task, 0)
    for name, arguments, reason in (
        ("cancel_pending_order", {"order_id": "#2", "reason": "no longer needed"}, "order #2 not found"),
        ("cancel_pending_order", {"order_id": "#1", "reason": "bored"}, "invalid reason"),
        (
            "modify_pending_order_items",
            {"order_id": "#1", "item_ids": ["i1"], "new_item_ids": ["i3"], "payment_method_id": "gift_card_1"},
            "new item i3 not found or available",
        ),
        ("calculate", {"expression": "9**9**9"}, "only numbers, + - * / and brackets can be calculated"),
    ):
        refused = do(episode, name, **arguments)
        assert refused.feedback == {"tool_error": reason}
        assert refused.messages[0]["content"] == f"Error: {reason}"
    assert episode.backend.state() == {}
    assert do(episode, "calculate", expression="(1 + 2.5) * -2 / 3").messages[0]["content"] == "-2.33"
    assert "invalid_call" in do(episode, "calculate", expression="1", hint="2").feedback


def test_what_is_no_domain_is_told(folder):
    with pytest.raises(UserError, match=r"has no policy_wiki\.md"):
        list(Tau(str(folder / "nowhere")))
    with pytest.raises(UserError, match=r"tasks_train\.jsonl"):
        list(Tau(str(folder)))
    [task] = Tau(str(folder), "test")
    (folder / "tools.json").write_text(json.dumps([schema("edit")]))
    with pytest.raises(UserError, match="a tool that is not known: edit"):
        Api().episode(task, 0)


class Gold(Scripted):
    """Plays a task's own calls, then says what the customer asked for."""

    def __init__(self, tasks):
        super().__init__()
        self.answers = {task.id: task.answer for task in tasks}

    def act(self, conversation):
        answer = self.answers[conversation.id.rpartition("#")[0]]
        if conversation.turn == len(answer["calls"]):
            return call(conversation, "finish", answer=" ".join(answer.get("mentions", [])))
        name, arguments = answer["calls"][conversation.turn]
        return call(conversation, name, **arguments)


@there
@pytest.mark.parametrize(
    ("domain", "split", "number"),
    [("retail", "train", 500), ("retail", "dev", 20), ("retail", "test", 115), ("airline", "test", 50)],
)
def test_all_gold_actions_score_1(domain, split, number):
    tasks = list(Tau(str(DATA / domain), split))
    ended = list(rollout(attempts(tasks), Api(), Gold(tasks), Limits(max_turns=100)))
    assert Counter(episode.success for episode in ended) == {True: number}


class Idle(Scripted):
    def act(self, conversation):
        return call(conversation, "finish", answer="")


@there
@pytest.mark.parametrize(("domain", "number", "idle"), [("retail", 115, 7), ("airline", 50, 19)])
def test_doing_nothing_scores_where_the_policy_forbids_what_is_asked(domain, number, idle):
    """A property of the benchmark, which figures of it must be read against."""
    ended = list(rollout(attempts(Tau(str(DATA / domain), "test")), Api(), Idle(), Limits()))
    assert (len(ended), sum(episode.success for episode in ended)) == (number, idle)
