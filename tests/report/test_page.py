"""The file: its data comes back whole, texts of agents are nowhere in its markup, and only its own script may run."""

import base64
import hashlib
import json
import re
import zlib

from agenttrain import store

PLANTED = "</script><script>alert(1)</script><!-- \u2028\u2029 <b onclick=x> \x1b[31m \u202e %%index%% ]]>"


def unpacked(text):
    return json.loads(zlib.decompress(base64.b64decode(text)))


def parts(html):
    """Index and chunks."""
    index = re.search(r'id="index">(.*?)</script>', html, re.S)[1]
    return unpacked(index), [unpacked(text) for text in re.findall(r'class="chunk">(.*?)</script>', html, re.S)]


def test_index_and_chunks_hold_every_episode(html, folder):
    index, chunks = parts(html(folder))
    episodes = index["runs"][0]["episodes"]
    assert len(episodes) == 12
    first = episodes[1]
    turns = chunks[first["chunk"]][first["place"]]["turns"]
    assert [turn["scores"] for turn in turns] == [{"outcome": 0.0}, {"outcome": 1.0}]
    assert [turn["advantage"] for turn in turns] == [0.5, 0.5]
    assert {"Success", "Reward by term", "Length"} <= {chart["title"] for chart in index["charts"]}


def test_large_episodes_are_spread_over_chunks(html, folder, episode):
    with store.Writer(folder / "trajectories.jsonl") as writer:
        for attempt in range(20):
            writer.write(episode("long", attempt, (0.0,) * 5, said="x" * 15_000))
    index, chunks = parts(html(folder))
    assert len(chunks) > 3
    for listed in index["runs"][0]["episodes"]:
        assert len(chunks[listed["chunk"]][listed["place"]]["turns"]) == listed["turns"]


def test_two_runs_share_a_page(html, folder):
    index, chunks = parts(html(folder, folder))
    assert len(index["runs"]) == 2
    places = {(e["chunk"], e["place"]) for run in index["runs"] for e in run["episodes"]}
    assert len(places) == 24 == sum(map(len, chunks))


def test_what_agents_said_is_nowhere_in_the_markup(html, folder, episode):
    store.append(folder / "trajectories.jsonl", episode(PLANTED, said=PLANTED, error=PLANTED))
    (folder / "config.yaml").write_text(json.dumps({"_target_": PLANTED, "note": PLANTED}))
    before, after = html(folder), html(folder).replace("&lt;", "<")
    assert "alert(1)" not in after
    assert before.count("<script") == 2 + len(parts(before)[1])
    index, chunks = parts(before)
    shown = json.dumps([index, chunks])
    assert "alert(1)" in shown
    assert r"\\x1b[31m" in shown
    assert r"\\u202e" in shown
    assert "\x1b" not in shown


def test_the_title_cannot_end_itself(folder, tmp_path):
    from agenttrain.report import page, run

    html = page.html(page.content([run.read(folder, "</title><script>alert(1)</script>", 10)]))
    assert "<script>alert(1)" not in html


def test_only_the_files_own_script_and_style_are_allowed(html, folder):
    page = html(folder)
    policy = re.search(r'Content-Security-Policy" content="(.*?)"', page)[1]
    for kind, element in (("script-src", r'<script type="module">(.*)</script>'), ("style-src", "<style>(.*)</style>")):
        content = re.search(element, page, re.S)[1]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{kind} 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none';")
    assert "connect-src" not in policy
    assert "unsafe" not in policy


def test_the_script_parses_no_markup():
    from importlib.resources import files

    sources = [file for file in (files("agenttrain.report") / "page").iterdir() if file.name.endswith(".js")]
    assert len(sources) > 5
    for source in sources:
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|DOMParser|setHTML", source.read_text()
        )
