"""How fast a report opens: from disk, in Chromium, until the list of episodes and one of them stand on the page.

    python scripts/bench/report_page.py [--episodes 1000] [--turns 10 50] [--repeat 5]

Needs Chromium and Playwright (docs/web.md). Episodes are invented: each turn has 120 tokens shown and 40 sampled,
and an observation of 120 words. Times are medians over fresh browsers, with the lowest and highest; the file is in the
page cache.
"""

import argparse
import os
import random
import shutil
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright
from report import spread, table

from agenttrain import store
from agenttrain.pages.chromium import NAMES
from agenttrain.report import page, run
from agenttrain.types import Action, Observation, Task, Trajectory, Turn

WORDS = [f"word{n}" for n in range(2000)]
TINY = Path(__file__).parents[2] / "agenttrain/model/tiny_tokenizer"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--turns", type=int, nargs="+", default=[10, 50], help="per episode")
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for turns in arguments.turns:
            place = Path(folder) / str(turns)
            with store.Writer(place / "trajectories.jsonl") as writer:
                for number in range(arguments.episodes):
                    writer.write(episode(number, turns))
            began = time.perf_counter()
            file = place / "report.html"
            file.write_text(page.html(page.content([run.read(place, "bench", arguments.episodes, TINY)])))
            written = time.perf_counter() - began
            times = [opened(file) for _ in range(arguments.repeat)]
            overview, chosen = zip(*times, strict=True)
            sizes = [(place / name).stat().st_size / 1e6 for name in ("trajectories.jsonl", "report.html")]
            found = [f"{sizes[0]:.0f}", f"{sizes[1]:.1f}", f"{written:.1f}", spread(overview, 2), spread(chosen, 2)]
            rows.append([arguments.episodes, turns, *found])
    header = ["episodes", "turns each", "trajectories, MB", "report, MB", "writing it, s", "until the overview, s"]
    print(table([*header, "until an episode, s"], rows))
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end.")


def episode(number: int, turns: int) -> Trajectory:
    rng = random.Random(number)

    def words(count: int) -> str:
        return " ".join(rng.choices(WORDS, k=count))

    def turn(number: int) -> Turn:
        ids = [rng.randrange(300, 2000) for _ in range(160)]
        logprobs, entropies = ([rng.random() * sign for _ in range(40)] for sign in (-1, 1))
        act = Action({"role": "assistant", "content": words(30)}, ids[:120], ids[120:], logprobs, entropies)
        seen = [{"role": "tool", "name": "look", "content": words(120)}]
        return Turn(act, Observation(seen, feedback={"success": number == turns - 1}), {"policy": 0.1, "env": 0.1})

    played = [turn(number) for number in range(turns)]
    meta = {"step": number // 64, "advantages": [rng.gauss(0, 1) for _ in played]}
    scores = {"rlvf": [0.0] * (turns - 1) + [1.0]}
    opening = [{"role": "user", "content": words(200)}]
    task = Task(f"task/{number // 8}", opening)
    return Trajectory(task, played, "done", opening, scores=scores, attempt=number % 8, meta=meta)


def opened(file: Path) -> tuple[float, float]:
    """Seconds from the call until the overview stands, and, in a browser of its own, until an episode does."""
    with sync_playwright() as playwright:
        path = next(filter(None, map(shutil.which, NAMES)))
        found = []
        for place, sign in (("", "#title bdi"), ("#episodes", ".turn")):
            browser = playwright.chromium.launch(executable_path=path, chromium_sandbox=os.geteuid() != 0)
            tab = browser.new_page()
            began = time.perf_counter()
            tab.goto(f"{file.as_uri()}{place}")
            tab.wait_for_selector(sign)
            found.append(time.perf_counter() - began)
            browser.close()
        return found[0], found[1]


if __name__ == "__main__":
    main()
