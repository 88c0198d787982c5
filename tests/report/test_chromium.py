"""The report in a real browser. Slow, and skipped where there is none."""

import importlib.util
import os
import shutil

import pytest

from agenttrain import store
from agenttrain.pages.chromium import NAMES
from agenttrain.report import live, run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not any(map(shutil.which, NAMES)), reason="no Chromium: apt install chromium"),
    pytest.mark.skipif(not importlib.util.find_spec("playwright"), reason="no Playwright: pip install playwright"),
]
PLANTED = "</script><img src=http://127.0.0.1:9/x onerror=owned()><script>owned()</script><!-- \u2028 \x1b[2J\u202e&lt;"


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = next(filter(None, map(shutil.which, NAMES)))
        browser = playwright.chromium.launch(executable_path=path, chromium_sandbox=os.geteuid() != 0)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, html, tmp_path):
    """Opens a report of `folders` from disk; `opened.requests` and `opened.faults` have what went wrong there."""

    class Opened:
        requests: list[str]
        faults: list[str]

        def __call__(self, *folders, place="", **options):
            file = tmp_path / "report.html"
            file.write_text(html(*folders, **options), encoding="utf-8")
            page = browser.new_page()
            page.set_default_timeout(60_000)
            self.requests, self.faults = [], []
            page.on("request", lambda request: self.requests.append(request.url))
            page.on("pageerror", lambda error: self.faults.append(str(error)))
            page.on("console", lambda message: self.faults.append(message.text))
            page.on("dialog", lambda dialog: self.faults.append(dialog.message))
            page.goto(f"{file.as_uri()}{place}")
            page.wait_for_selector("#title bdi")
            self.own = file.as_uri()
            return page

    return Opened()


def test_clicking_through_an_episode_shows_the_rewards_of_each_turn(opened, folder):
    page = opened(folder)
    assert page.locator("#overview .chart").count() > 3
    page.get_by_role("link", name="Episodes").click()
    page.locator(".row").nth(1).click()
    turns = page.locator(".turn")
    page.wait_for_selector(".episode:has-text('return 1')")
    texts = [turns.nth(number).locator("dl").first.inner_text().split() for number in range(turns.count())]
    assert texts == [
        ["outcome", "0", "advantage", "+0.5", "entropy", "0.3"],
        ["outcome", "1", "advantage", "+0.5", "entropy", "0.3"],
    ]
    buttons = page.locator(".strip button")
    assert [buttons.nth(n).get_attribute("class") for n in (0, 1)] == ["token plus", "token plus earned"]
    buttons.nth(1).click()
    page.wait_for_function("document.activeElement.ariaLabel === 'Turn 2'")
    assert not opened.faults


def test_no_request_leaves_the_file(opened, folder):
    page = opened(folder, place="#episodes")
    page.wait_for_selector(".turn")
    refused = page.evaluate(
        """() => new Promise((resolve) => {
            addEventListener("securitypolicyviolation", (event) => resolve(event.effectiveDirective));
            fetch("http://127.0.0.1:8000/").then(() => resolve("sent"), () => {});
        })"""
    )
    assert refused == "connect-src"
    assert all(url.partition("#")[0] == opened.own for url in opened.requests)


def test_planted_markup_and_scripts_stay_text(opened, folder, episode):
    store.append(folder / "trajectories.jsonl", episode(PLANTED, said=PLANTED, error=PLANTED, step=3))
    page = opened(folder, place="#episodes")
    page.evaluate("() => { window.owned = () => { document.title = 'owned'; }; }")
    page.get_by_label("Task", exact=True).fill("owned")
    page.locator(".row").click()
    page.wait_for_selector(".episode:has-text('owned')")
    for name in ("messages", "tokens"):
        page.get_by_label("Show", exact=True).select_option(name)
    page.get_by_label("Show", exact=True).select_option("messages")
    said = page.locator(".turn .message.other pre").first.inner_text()
    assert "<script>owned()</script><!--" in said
    assert r"\x1b[2J\u202e&lt;" in said
    assert page.title() != "owned"
    assert page.locator("img").count() == 0
    assert not opened.faults
    assert all(url.partition("#")[0] == opened.own for url in opened.requests)


def test_the_same_task_of_two_runs_stands_side_by_side(opened, folder, tmp_path, episode):
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    for place, reward in ((folder, 0.0), (other, 1.0)):
        store.append(place / "trajectories.jsonl", episode("more", 0, (0.0, reward), step=3))
    page = opened(folder, other, place="#episodes")
    page.wait_for_selector(".turn")
    page.get_by_label("Beside it", exact=True).select_option(index=1)
    page.wait_for_selector(".panes.two")
    page.get_by_label("Outcome", exact=True).select_option("differs between runs")
    assert {text.split()[1] for text in page.locator(".row").all_inner_texts()} == {"more"}
    page.get_by_label("Outcome", exact=True).select_option("all")
    panes = page.locator(".episode")
    assert panes.count() == 2
    assert [panes.nth(n).locator(".about").inner_text().split(" ")[0] for n in (0, 1)] == ["run", "other"]
    assert panes.nth(0).locator("h2").inner_text() == panes.nth(1).locator("h2").inner_text()
    assert not opened.faults


def test_a_link_leads_to_its_episode_and_the_keyboard_walks_on(opened, folder):
    page = opened(folder, place="#episodes/0/2/1/apart")
    page.wait_for_selector(".episode:has-text('step 2')")
    page.get_by_role("listbox").focus()
    page.keyboard.press("ArrowDown")
    page.wait_for_selector(".episode:has-text('Teaches nothing')")
    page.keyboard.press("Home")
    page.wait_for_selector(".episode:has-text('step 1')")
    assert page.locator(".row[aria-selected=true]").count() == 1
    assert not opened.faults


def test_tokens_are_coloured_by_advantage_and_by_mask(opened, folder):
    page = opened(folder, place="#episodes/0/1/0/apart")
    page.get_by_label("Show", exact=True).select_option("tokens")
    tokens = page.locator(".tokens .token")
    assert tokens.count() == 4
    assert tokens.first.get_attribute("class") == "token minus"
    assert "advantage \u22120.5" in tokens.first.get_attribute("title")
    page.get_by_label("Colour", exact=True).select_option("mask")
    assert tokens.first.get_attribute("class") == "token trained"
    assert page.locator(".tokens .shown").first.inner_text() == "#10 #11"
    assert not opened.faults


def test_of_thousands_of_episodes_only_the_rows_in_view_are_drawn(opened, folder, episode):
    with store.Writer(folder / "trajectories.jsonl") as writer:
        for number in range(1500):
            writer.write(episode(f"many{number}", 0, (0.0,)))
    page = opened(folder, place="#episodes", most=5000)
    page.wait_for_selector(".turn")
    assert page.locator(".row").count() < 60
    page.get_by_role("listbox").focus()
    page.keyboard.press("End")
    page.wait_for_selector(".episode:has-text('many1499')")
    assert not opened.faults


def test_a_served_page_follows_the_run(browser, folder, episode, monkeypatch):
    monkeypatch.setattr(live, "PATIENCE", 0)
    followed = live.Live(lambda: [run.read(folder, "mine", 100)])
    with live.Server(followed, 0) as server:
        page = browser.new_page()
        page.set_default_timeout(60_000)
        page.goto(f"{server.address}#episodes/0/1/0/apart")
        page.wait_for_selector(".browser > p:has-text('12 episodes')")
        page.locator(".episode summary").first.click()
        store.append(folder / "trajectories.jsonl", episode("newest", 0, step=3))
        page.wait_for_selector(".browser > p:has-text('13 episodes')")
        assert page.locator(".episode details").first.get_attribute("open") is None  # nobody is disturbed in reading
        page.get_by_label("Task", exact=True).fill("newest")
        page.locator(".row").click()
        page.wait_for_selector(".episode:has-text('newest') .turn")
