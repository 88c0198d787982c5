"""The real browser. Slow, and skipped where there is none."""

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psutil
import pytest
from typer.testing import CliRunner

from agenttrain import cli
from agenttrain.env.web import Web
from agenttrain.pages.chromium import NAMES, Chromium
from agenttrain.pages.miniwob import files
from agenttrain.pages.outline import lines, usable
from agenttrain.pages.reader import Reader
from agenttrain.pages.site import Site
from agenttrain.pages.tab import Unusable
from agenttrain.policy.miniwob_expert import MiniwobExpert
from agenttrain.policy.web_expert import WebExpert
from agenttrain.rollout import Limits, attempts, rollout
from agenttrain.task.miniwob import Miniwob
from agenttrain.task.web import Web as WebTasks
from agenttrain.types import InfraError
from agenttrain.worlds.shop import SEEN, UNSEEN, shop

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not any(map(shutil.which, NAMES)), reason="no Chromium: apt install chromium"),
    pytest.mark.skipif(not importlib.util.find_spec("playwright"), reason="no Playwright: pip install playwright"),
]
PAGES = ["/", "/search?q=light", "/search?q=none", "/goods/0", "/goods/9?missing=Color", "/cart", "/checkout", "/forms"]
PAGES += ["/help", "/help/lamp", "/help/tent", "/nowhere"]
PATIENT = Limits(concurrency=4, tool_timeout=120)


@pytest.fixture(scope="module")
def env():
    env = Web("chromium", load=60)
    yield env
    env._chromium.close()


def chromium_of(folder):
    return Chromium(None, restart=500, wait=0.5, load=60, files=lambda: folder)


def act(name, **arguments):
    return {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": name, "arguments": arguments}}]}


def replay(env, task, actions):
    with closing(env.episode(task, 0)) as episode:
        return [episode.start(), *(episode.step(action) for action in actions)]


@pytest.mark.parametrize("unseen", [False, True])
def test_every_page_has_the_same_lines_in_both(env, unseen):
    forms = (UNSEEN if unseen else SEEN).forms
    reader = Reader(Site(shop(0, unseen)))
    with closing(env._chromium.tab(Site(shop(0, unseen)))) as tab:
        for address in [*PAGES, *(f"/forms/{form}" for form in forms)]:
            reader.open(address)
            tab.open(address)
            assert lines(tab.nodes()) == lines(reader.nodes()), address


@pytest.mark.parametrize("split", ["train", "heldout", "unseen"])
def test_the_same_actions_have_the_same_outcome_in_both(env, split):
    tasks = list(WebTasks(split, n=5))
    for trajectory in rollout(attempts(tasks), Web(), WebExpert(error=0.1), Limits(max_turns=25)):
        actions = [turn.action.message for turn in trajectory.turns]
        assert replay(env, trajectory.task, actions) == replay(Web(), trajectory.task, actions)


def test_what_cannot_be_done_is_told_alike(env):
    task = next(t for t in WebTasks() if t.data["goal"]["subject"] == "booking")
    actions = [
        act("navigate", address="/forms/booking"),
        act("click", element=12),
        act("type", element=8, text="2031-02-03"),
        act("type", element=8, text="tomorrow"),
        act("type", element=7, text="two\nlines é \x1b[31m"),
        act("click", element=13),
        act("click", element=14),
        act("navigate", address="file:///etc/passwd"),
        act("navigate", address="/a/../help//"),
        act("back"),
        act("back"),
    ]
    told, expected = replay(env, task, actions), replay(Web(), task, actions)
    assert told == expected
    assert [bool(observation.feedback.get("tool_error")) for observation in told[1:]].count(True) == 3


def test_the_version_of_the_browser_is_known_once_it_was_started(env):
    assert Web("chromium").versions == {}
    with closing(env._chromium.tab(Site(shop(0, False)))):
        assert re.fullmatch(r"\d+(\.\d+){3}", env.versions["Chromium"])


def test_the_browser_keeps_what_every_environment_promises():
    done = CliRunner().invoke(
        cli.app, ["env", "check", "web", "env.browser=chromium", "env.load=60", "tasks=2", "rollout.tool_timeout=120"]
    )
    assert done.exit_code == 0, done.output


HOSTILE = """<body><button onclick="document.title='clicked'">Free</button>
<button disabled>Off</button><div style="position:relative"><button style="position:absolute">Covered</button>
<div style="position:absolute;width:300px;height:300px;background:red"></div></div>
<img src="http://127.0.0.1:PORT/img"><iframe src="file:///etc/passwd"></iframe><iframe src="http://127.0.0.1:PORT/f"></iframe>
<script>
  fetch('http://127.0.0.1:PORT/fetch', {mode: 'no-cors'}).catch(() => 0);
  try { new WebSocket('ws://127.0.0.1:PORT/ws') } catch (e) {}
  navigator.sendBeacon('http://127.0.0.1:PORT/beacon');
  try { window.open('http://127.0.0.1:PORT/open') } catch (e) {}
  setTimeout(() => { location = 'http://127.0.0.1:PORT/gone' }, 50);
  localStorage.setItem('left', 'behind');
</script>"""


class Counting(ThreadingHTTPServer):
    """Notes every path that it is asked for."""

    def __init__(self):
        self.asked = []
        outer = self

        class Note(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append(self.path)
                self.send_response(200)
                self.end_headers()

            do_POST = do_GET

            def log_message(self, *args):
                pass

        super().__init__(("127.0.0.1", 0), Note)
        threading.Thread(target=self.serve_forever, daemon=True).start()


def test_a_page_reaches_no_other_server_and_no_file(tmp_path):
    other = Counting()
    (tmp_path / "hostile.html").write_text(HOSTILE.replace("PORT", str(other.server_port)))
    chromium = chromium_of(tmp_path)
    with closing(chromium), closing(chromium.script_tab()) as tab:
        tab.open("/files/hostile.html")
        time.sleep(1)
        assert other.asked == []
        assert "root:" not in "".join(lines(tab.nodes()))
        for elsewhere in ("file:///etc/passwd", "view-source:file:///etc/passwd", "chrome://version"):
            with pytest.raises(InfraError):
                tab._thread.call(tab._page.goto(elsewhere), 20)
    other.shutdown()
    other.server_close()


def test_an_element_that_is_covered_off_or_gone_is_unusable_and_the_others_work(tmp_path):
    (tmp_path / "hostile.html").write_text(HOSTILE.partition("<img")[0])
    chromium = chromium_of(tmp_path)
    with closing(chromium), closing(chromium.script_tab()) as tab:
        tab.open("/files/hostile.html")
        free, off, covered = usable(tab.nodes())
        for node in (off, covered):
            with pytest.raises(Unusable):
                tab.click(node)
        tab.click(free)
        assert tab.run("document.title") == "clicked"
        tab.run("document.body.innerHTML = ''")
        with pytest.raises(Unusable):
            tab.click(free)


def test_a_page_is_emptied_for_the_next_episode(tmp_path):
    chromium = chromium_of(tmp_path)
    with closing(chromium):
        site = Site(shop(0))
        with closing(chromium.tab(site)) as tab:
            tab.open("/cart")
            first = tab._page
        with closing(chromium.script_tab()) as tab:
            assert tab._page is first
            assert tab.address == "about:blank"
            tab.open("/cart")
            assert site.shown == 1  # nobody without the visitor's cookie is shown the site


def test_a_browser_that_dies_is_an_infrastructure_failure_and_is_replaced(tmp_path):
    chromium = chromium_of(None)
    with closing(chromium):
        tab = chromium.tab(Site(shop(0)))
        tab.open("/")
        for pid in browsers_below(os.getpid()):
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(InfraError):
            tab.open("/help")
        tab.close()
        with closing(chromium.tab(Site(shop(0)))) as tab:
            tab.open("/help")
            assert 'heading "Help"' in lines(tab.nodes())


def test_a_used_up_browser_ends_with_its_last_page():
    chromium = Chromium(None, restart=2, wait=0.5, load=60, files=lambda: None)
    with closing(chromium):
        first, second, third = (chromium.tab(Site(shop(0))) for _ in range(3))
        assert first._running is second._running is not third._running
        third.open("/")
        first.close()
        assert second._running.browser.is_connected()
        second.close()
        assert not second._running.browser.is_connected()
        third.open("/help")
        third.close()


def test_many_episodes_leave_nothing_behind():
    env = Web("chromium", restart=30, load=60)
    list(rollout(attempts(WebTasks(n=8)), env, WebExpert(), Limits(concurrency=8, max_turns=2, tool_timeout=120)))
    before = threading.active_count()
    owed = attempts(WebTasks(n=32), per_task=3)
    done = list(rollout(owed, env, WebExpert(), Limits(concurrency=8, max_turns=2, tool_timeout=120)))
    assert {trajectory.stop for trajectory in done} == {"max_turns"}
    assert threading.active_count() <= before
    [thread] = [env._chromium._thread]
    assert not thread.server.sites
    assert thread._current.open == 0
    env._chromium.close()
    wait_until(lambda: not browsers_below(os.getpid()), "a browser outlives its environment")


@pytest.mark.parametrize("end", ["ctrl-c", "terminate", "kill"])
def test_no_process_outlives_a_run(end, tmp_path):
    words = "generate-trajectories env=web env.browser=chromium policy=web_expert attempts=50 rollout.concurrency=2"
    run = subprocess.Popen(
        [sys.executable, "-m", "agenttrain", *words.split(), f"out={tmp_path / 'run'}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    try:
        wait_until(lambda: len(browsers_below(run.pid)) > 3, "no browser was started")
        wait_until(lambda: (tmp_path / "run" / "trajectories.jsonl").is_file(), "no episode was played")
        family = psutil.Process(run.pid).children(recursive=True)
        if end == "ctrl-c":
            os.killpg(run.pid, signal.SIGINT)
        else:
            os.kill(run.pid, signal.SIGTERM if end == "terminate" else signal.SIGKILL)
        run.wait(60)
        wait_until(lambda: not any(map(alive, family)), "a process outlives the run")
        wait_until(lambda: not list(tmp_path.glob("playwright*")), "a profile is left behind")
    finally:
        if run.poll() is None:
            run.kill()


@pytest.mark.skipif(files() is None, reason="no pages of MiniWoB++: pip install --no-deps miniwob")
class TestMiniwob:
    """MiniWoB++'s own pages judge."""

    def test_the_expert_solves_every_page(self, env):
        tasks = [task for task in Miniwob("all") if task.data["seed"] in (3, 4)]
        done = list(rollout(attempts(tasks), env, MiniwobExpert(), PATIENT))
        assert [trajectory.task.id for trajectory in done if not trajectory.success] == []
        assert len(done) == 2 * 18
        assert all(trajectory.turns[-1].observation.feedback["score"] == 1 for trajectory in done)

    def test_one_seed_is_one_problem_and_what_is_wrong_fails(self, env):
        task = next(task for task in Miniwob(pages=["click-option"]))
        openings = [replay(env, task, [])[0] for _ in range(2)]
        assert openings[0] == openings[1]
        assert openings[0][-1]["content"].startswith("Select ")
        buttons = [line for line in openings[0][-1]["content"].splitlines() if line.endswith('button "Submit"')]
        last = replay(env, task, [act("click", element=int(buttons[0][1]))])[-1]
        assert (last.done, last.feedback["success"], last.feedback["score"]) == (True, False, -1.0)
        gone = replay(env, task, [act("navigate", address="/")])[-1]
        assert gone.feedback == {"tool_error": "There is no other page."}

    def test_a_misspelt_page_is_told(self, env):
        from agenttrain.errors import UserError

        with pytest.raises(UserError, match="no page 'click-buton'"):
            env.episode(next(iter(Miniwob(pages=["click-buton"]))), 0)


def alive(process):
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def browsers_below(pid):
    found = []
    for process in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if alive(process) and "chrom" in "".join(process.cmdline()[:1]):
                found.append(process.pid)
    return found


def wait_until(happened, otherwise, seconds=90):
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.1)
