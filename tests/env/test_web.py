import random
import threading

import pytest

from agenttrain.env.web import Web, normal
from agenttrain.errors import UserError
from agenttrain.pages.outline import lines
from agenttrain.pages.reader import Reader
from agenttrain.pages.site import Site
from agenttrain.policy.web_expert import WebExpert
from agenttrain.rollout import Limits, attempts, rollout
from agenttrain.task.web import Web as WebTasks
from agenttrain.types import Environment, Episode, Task
from agenttrain.worlds.shop import SEEN, shop

TASKS = {task.messages[-1]["content"]: task for task in WebTasks("all")}


def task_about(subject, *words):
    """The first task of this subject whose sentence has these words."""
    return next(
        task
        for sentence, task in sorted(TASKS.items())
        if task.data["goal"]["subject"] == subject and all(word in sentence for word in words)
    )


def act(name, **arguments):
    return {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": name, "arguments": arguments}}]}


def opened(task=None):
    episode = Web().episode(task or task_about("contact"), seed=0)
    episode.start()
    return episode


def text(observation):
    return observation.messages[0]["content"]


def number(episode, line):
    """Of the element whose line begins so."""
    found = [at for at, node in enumerate(filter(lambda n: n.handle, episode.nodes), 1) if str(node).startswith(line)]
    return found[0]


def do(episode, name, line, **arguments):
    return episode.step(act(name, element=number(episode, line), **arguments))


def send_contact(episode, **changed):
    fields = dict(episode.task.data["goal"]["fields"]) | changed
    episode.step(act("navigate", address="/forms/contact"))
    do(episode, "type", 'textbox "Name"', text=fields["Name"])
    do(episode, "select", 'combobox "Topic"', option=fields["Topic"])
    do(episode, "type", 'textbox "Message"', text=fields["Message"])
    if fields["Send me a copy"] == "yes":
        do(episode, "click", 'checkbox "Send me a copy"')
    return do(episode, "click", 'button "Send"')


def buy(episode, goods, **changed):
    """Put products by number into the cart, with the options of the goal where they are offered, and check out."""
    goal = episode.task.data["goal"]
    for chosen in goods:
        episode.step(act("navigate", address=f"/goods/{chosen}"))
        for node in [node for node in episode.nodes if node.role == "combobox"]:
            wanted = goal["options"].get(node.name)
            do(episode, "select", str(node), option=wanted if wanted in node.options else node.options[1])
        do(episode, "click", 'button "Add to cart"')
    do(episode, "click", 'link "Check out"')
    do(episode, "type", 'textbox "Name"', text=changed.get("Name", goal["fields"]["Name"]))
    do(episode, "click", f'radio "{goal["fields"]["Delivery"]}"')
    return do(episode, "click", 'button "Place order"')


def test_an_episode_from_the_first_page_to_the_verdict():
    task = task_about("contact", "copy: yes")
    episode = Web().episode(task, 0)
    assert isinstance(episode, Episode)
    assert isinstance(Web(), Environment)
    opening = episode.start()[-1]["content"]
    assert opening.startswith(f'{task.messages[-1]["content"]}\nPage /\n[1] link "Home"\n')
    page = episode.step(act("click", element=3))
    assert text(page).startswith("Page /forms\n")
    assert page.feedback == {"element": 'link "Forms"', "loaded": 200, "changed": True}
    typed = do(episode, "type", 'textbox "Search for"', text="lamp")
    assert text(typed) == '[5] textbox "Search for" "lamp"'
    assert typed.feedback == {"element": 'textbox "Search for" ""', "changed": True}
    last = send_contact(episode)
    assert (last.done, last.reward, last.messages) == (True, 1.0, [])
    assert last.feedback == {
        "element": 'button "Send"', "loaded": 200, "changed": True, "success": True, "score": 1.0, "form": True,
    }  # fmt: skip


def test_a_form_is_judged_by_the_share_of_right_fields():
    wrong = send_contact(opened(), Name="Nobody")
    assert (wrong.feedback["success"], wrong.feedback["score"], wrong.done) == (False, 0.75, True)


def test_a_form_with_something_missing_is_shown_again_as_it_was_filled_in():
    episode = opened()
    again = send_contact(episode, Name=" ")
    assert not again.done
    assert text(again).startswith("Page /forms/contact?missing=Name\n")
    assert 'text "Missing: Name"' in text(again)
    assert f'combobox "Topic" "{episode.task.data["goal"]["fields"]["Topic"]}"' in text(again)
    do(episode, "type", 'textbox "Name"', text=episode.task.data["goal"]["fields"]["Name"])
    assert do(episode, "click", 'button "Send"').feedback["success"]


def test_another_form_or_an_order_in_its_place_is_worth_nothing():
    episode = opened(task_about("booking"))
    episode.task.data["goal"]["fields"]
    episode.step(act("navigate", address="/forms/contact"))
    do(episode, "type", 'textbox "Name"', text="x")
    do(episode, "select", 'combobox "Topic"', option="other")
    do(episode, "type", 'textbox "Message"', text="x")
    assert do(episode, "click", 'button "Send"').feedback["score"] == 0


def fitting(task):
    goal, stock = task.data["goal"], shop(task.data["site"]).products
    return next(
        n
        for n, p in enumerate(stock)
        if p.kind == goal["subject"] and {*goal["traits"]} <= {*p.traits} and p.price <= goal["price"]
        if all(value in p.options[label] for label, value in goal["options"].items())
    )


def test_an_order_is_judged_in_parts():
    task = task_about("kettle")
    goal, stock = task.data["goal"], shop(0).products
    right = buy(opened(task), [fitting(task)])
    assert right.feedback["success"] is True
    assert {right.feedback[part] for part in ("type", "traits", "options", "price", "fields")} == {1.0}
    named = buy(opened(task), [fitting(task)], Name="Nobody")  # one of 2 traits, 1 option, the price and 2 fields
    assert (named.feedback["success"], named.feedback["score"]) == (False, 5 / 6)
    twice = buy(opened(task), [fitting(task)] * 2)
    assert (twice.feedback["score"], twice.feedback["products"]) == (0.5, 2)
    lamp = next(n for n, p in enumerate(stock) if p.kind == "lamp")
    assert buy(opened(task), [lamp]).feedback["score"] == 0
    dear = next(n for n, p in enumerate(stock) if p.kind == "kettle" and p.price > goal["price"])
    assert buy(opened(task), [dear]).feedback["price"] == 0


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("click", {"element": 99}, "There is no element 99."),
        ("click", {"element": 0}, "There is no element 0."),
        ("click", {"element": -1}, "There is no element -1."),
        ("click", {"element": 8}, "Element 8 has options: select one."),
        ("type", {"element": 1, "text": "x"}, "Element 1 takes no text."),
        ("type", {"element": 7, "text": "x" * 3000}, "Element 7 takes no such text."),
        ("select", {"element": 8, "option": "nothing"}, "Element 8 has no such option."),
        ("select", {"element": 7, "option": ""}, "Element 7 has no such option."),
        ("navigate", {"address": "http://example.com/"}, "An address starts with one / and is a page of this site."),
        ("navigate", {"address": "//example.com/"}, "An address starts with one / and is a page of this site."),
        ("navigate", {"address": "file:///etc/passwd"}, "An address starts with one / and is a page of this site."),
        ("navigate", {"address": "/a\nb"}, "An address starts with one / and is a page of this site."),
    ],
)
def test_what_cannot_be_done_is_told_and_changes_nothing(name, arguments, said):
    episode = opened()
    episode.step(act("navigate", address="/forms/contact"))
    before = episode.state
    refused = episode.step(act(name, **arguments))
    assert (text(refused), refused.feedback) == (said, {"tool_error": said})
    assert episode.state == before


def test_a_field_for_dates_takes_no_other_text():
    episode = opened()
    episode.step(act("navigate", address="/forms/booking"))
    for wrong in ("tomorrow", "2031-02-30", "20310203"):
        assert do(episode, "type", 'textbox "Date"', text=wrong).feedback["tool_error"]
    assert "2031-02-03" in text(do(episode, "type", 'textbox "Date"', text="2031-02-03"))


def test_back_goes_through_the_pages_in_turn():
    episode = opened()
    assert episode.step(act("back")).feedback == {"tool_error": "There is no page before."}
    for address in ("/forms", "/help", "/help/lamp"):
        episode.step(act("navigate", address=address))
    assert [text(episode.step(act("back"))).splitlines()[0] for _ in range(3)] == [
        "Page /help",
        "Page /forms",
        "Page /",
    ]


def test_a_page_that_is_not_there_is_told_by_its_status():
    lost = opened().step(act("navigate", address="/nowhere"))
    assert lost.feedback == {"loaded": 404, "changed": True}
    assert 'heading "There is no such page"' in text(lost)


def test_equal_pages_and_carts_are_one_state_whatever_the_way():
    first, second = opened(), opened()
    for address in ("/help", "/search?page=1&q=lamp"):
        first.step(act("navigate", address=address))
    second.step(act("navigate", address="/search?q=lamp&page=1"))
    assert first.state == second.state
    do(second, "type", 'textbox "Search for"', text="x")
    assert first.state != second.state
    for episode in (first, second):
        episode.step(act("navigate", address="/goods/0"))
    do(second, "select", "combobox", option=second.nodes[-2].options[1])
    do(second, "click", 'button "Add to cart"')
    assert text(second.step(act("navigate", address="/goods/0"))).count("Cart (1)") == 1
    assert first.state != second.state


def test_visitors_do_not_see_each_others_carts():
    first, second = opened(), opened()
    buy_kettle = [
        act("navigate", address="/goods/0"),
        act("select", element=7, option=shop(0).products[0].options["Color"][0]),
    ]
    for action in [*buy_kettle, act("click", element=8)]:
        first.step(action)
    assert "Your cart is empty" not in text(first.step(act("navigate", address="/cart")))
    assert "Your cart is empty" in text(second.step(act("navigate", address="/cart")))


def test_what_is_taken_out_of_the_cart_is_gone():
    episode = opened()
    for _ in range(2):
        episode.step(act("navigate", address="/goods/0"))
        do(episode, "select", "combobox", option=shop(0).products[0].options["Color"][0])
        do(episode, "click", 'button "Add to cart"')
    assert text(do(episode, "click", 'button "Remove"')).count('button "Remove"') == 1
    assert "Your cart is empty" in text(do(episode, "click", 'button "Remove"'))


def test_a_long_page_is_cut():
    task = task_about("contact")
    episode = Web(max_chars=50).episode(task, 0)
    opening = episode.start()[-1]["content"]
    assert len(opening) == len(task.messages[-1]["content"]) + 1 + 50
    assert len(text(episode.step(act("click", element=3)))) == 50


def test_no_request_breaks_the_site():
    rng = random.Random(0)
    words = [
        "",
        "goods",
        "search",
        "forms",
        "cart",
        "order",
        "remove",
        "help",
        "contact",
        "kettle",
        "0",
        "9" * 5000,
        "-1",
        "²",
        "..",
        "%2e",
        "é",
    ]
    site = Site(shop(0))
    for _ in range(3000):
        address = (
            "/"
            + "/".join(rng.choices(words, k=rng.randint(0, 3)))
            + rng.choice(["", "?q=a&page=²", "?page=-3&q=lamp", "?%%%"])
        )
        fields = {rng.choice(["Name", "Color", "Topic", "Delivery"]): rng.choice(["", "red", "\x00", "<b>"])}
        answer = site.request(rng.choice(["GET", "POST"]), address, fields)
        assert answer.status in (200, 303, 404)


def test_what_a_visitor_writes_is_never_html():
    reader = Reader(Site(shop(0)))
    bad = '"><script>x</script><button>Pay</button>'
    reader.site.draft = {field.label: bad for field in SEEN.forms["contact"]}
    reader.open("/forms/contact?missing=" + bad.replace(" ", "+"))
    assert [line for line in lines(reader.nodes()) if "Pay" in line and "button" in line.split('"')[0]] == []
    assert "<script>" not in reader.site.request("GET", "/search?q=<script>").html


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("/search?q=b&page=1", "/search?page=1&q=b"),
        ("/a/../b/", "/b"),
        ("/../..", "/"),
        ("/%2fevil", "/evil"),
        ("", "/"),
    ],
)
def test_an_address_is_written_in_one_way(written, meant):
    assert normal(written) == meant == normal(meant)


def test_many_episodes_at_once_leave_no_thread():
    before = threading.active_count()
    done = list(rollout(attempts(WebTasks(n=64)), Web(), WebExpert(), Limits(concurrency=64)))
    assert [trajectory.success for trajectory in done] == [True] * 64
    assert threading.active_count() == before


def test_what_is_missing_is_said(monkeypatch):
    with pytest.raises(UserError, match=r"env\.browser='firefox'"):
        Web(browser="firefox")
    with pytest.raises(UserError, match="no goal for env=web"):
        Web().episode(Task("x", []), 0)
    with pytest.raises(UserError, match=r"env\.browser=chromium"):
        Web().episode(Task("x", [], data={"page": "click-test", "seed": 1}), 0)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    with pytest.raises(UserError, match="no /no/browser on this machine"):
        Web("chromium", executable="/no/browser").episode(task_about("contact"), 0)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'agenttrain\[web\]'"):
        Web("chromium").episode(task_about("contact"), 0)


def test_the_reader_says_what_it_is(caplog):
    from agenttrain.env.web import _say_that_there_is_no_browser

    _say_that_there_is_no_browser.cache_clear()
    for _ in range(2):
        opened()
    assert caplog.messages == [
        "env=web reads its pages in text mode, without a browser; a real one: env.browser=chromium"
    ]
