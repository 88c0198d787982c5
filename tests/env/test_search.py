import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from agenttrain.env import search as module
from agenttrain.env.search import NOTHING, Search
from agenttrain.errors import UserError
from agenttrain.types import Environment, Episode, Task
from agenttrain.worlds.library import Library

LIBRARY = Library(0, 400)
BOOK = LIBRARY.entry(3)
AUTHOR = LIBRARY.entry(LIBRARY.follow(3, "author"))


def act(name, **arguments):
    return {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": name, "arguments": arguments}}]}


def open_episode(seed=0, **settings):
    gold = [BOOK.title, AUTHOR.title]
    question = f"What is the birthplace of the author of {BOOK.title}?"
    data = {"library": 0, "entries": 400, "gold": gold}
    task = Task("t", [{"role": "user", "content": question}], AUTHOR.facts["birthplace"], data)
    episode = Search(**settings).episode(task, seed)
    episode.start()
    return episode


def told(episode, name, **arguments):
    return episode.step(act(name, **arguments)).messages[0]["content"]


def test_an_episode_from_search_to_finish():
    episode = open_episode()
    assert isinstance(episode, Episode)
    assert isinstance(Search(), Environment)
    turns = [
        episode.step(action)
        for action in (
            act("search", query=BOOK.title),
            act("read", title=BOOK.title.lower()),
            act("read", title=AUTHOR.title),
            act("read", title="No Such Thing"),
            act("finish", answer=f"The {AUTHOR.facts['birthplace'].upper()}."),
        )
    ]
    assert turns[0].messages[0]["content"].startswith(f"{BOOK.title}: A book.")
    assert turns[1].messages[0]["content"] == f"{BOOK.title}: {BOOK.text}"
    assert [turn.feedback for turn in turns] == [
        {"results": 5, "found": True},
        {"found": False},
        {"found": True},
        {"tool_error": "no such title"},
        {"success": True, "f1": 1.0},
    ]
    assert [turn.done for turn in turns] == [False] * 4 + [True]
    wrong = open_episode().step(act("finish", answer="nowhere"))
    assert (wrong.done, wrong.reward, wrong.feedback) == (True, 0.0, {"success": False, "f1": 0.0})


def test_a_search_shows_beginnings_and_a_reading_the_whole():
    episode = open_episode(k=2, snippet=7)
    assert told(episode, "search", query=BOOK.title).splitlines()[0] == f"{BOOK.title}: A book...."
    assert told(episode, "search", query="quarrel").count("\n") == 1
    assert told(episode, "search", query="?!") == NOTHING
    assert len(told(open_episode(max_chars=20), "read", title=BOOK.title)) == 20


def test_the_state_is_what_has_been_seen_in_any_order():
    one, two = open_episode(), open_episode()
    states = [one.step(act("read", title=title)).state for title in (BOOK.title, AUTHOR.title)]
    other = [two.step(act("read", title=title)).state for title in (AUTHOR.title, BOOK.title)]
    assert states[0] == other[0]
    assert states[1] != other[1]
    assert one.state == two.state not in (*states, *other)
    searched = open_episode(k=1)
    told(searched, "search", query=BOOK.title)
    assert searched.state != other[1], "a snippet is not the passage"


@pytest.mark.parametrize("action", [{"role": "assistant", "content": "hm"}, act("open"), act("read", title=3)])
def test_a_malformed_action_is_answered(action):
    turn = open_episode().step(action)
    assert turn.feedback["invalid_call"] == turn.messages[0]["content"]
    assert not turn.done


def test_many_threads_build_one_index(monkeypatch):
    built = []
    monkeypatch.setattr(module, "opened", lambda *a, opened=module.opened: built.append(a[1]) or opened(*a))
    module._of_library.cache_clear()
    with ThreadPoolExecutor(16) as threads:
        shown = list(threads.map(lambda _: told(open_episode(), "search", query=BOOK.title), range(64)))
    assert len(set(shown)) == 1
    assert built == ["library-0-400"]


HOTPOT = [
    {
        "_id": "q1",
        "question": "Is Ed Wood American?",
        "answer": "yes",
        "supporting_facts": [["Ed Wood", 0]],
        "context": [["Ed Wood", ["An American director.", " Born in 1924."]], ["Oslo", ["A city."]]],
    },
    {
        "_id": "q2",
        "question": "Where is Oslo?",
        "answer": "Norway",
        "context": {"title": ["Oslo", "Norway"], "sentences": [["A city."], ["A land."]]},
    },
]


def test_the_paragraphs_of_hotpotqa_are_a_corpus(tmp_path):
    path = tmp_path / "dev.json"
    path.write_text(json.dumps(HOTPOT))
    own = Task("dev/q1", [{"role": "user", "content": "Is Ed Wood American?"}], "yes", {"gold": ["Ed Wood"]})
    episode = Search(corpus=str(path)).episode(own, 0)
    assert len(episode.corpus) == 3
    assert told(episode, "read", title="ed wood") == "Ed Wood: An American director. Born in 1924."
    assert episode.step(act("finish", answer="Yes")).feedback == {"success": True, "f1": 1.0}
    path.write_text(json.dumps([*HOTPOT, {"context": [["Troy", ["A ruin."]]]}]))
    module._of_file.cache_clear()
    assert len(Search(corpus=str(path)).episode(own, 0).corpus) == 4, "a file that changed has another index"


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ('{"title": "A"}', "a corpus has"),
        ('{"context": [["A"]]}', "'context' is no list"),
        ('{"title": "A", "text": 3}', "'context' is no list"),
        ("", "holds no record"),
    ],
)
def test_a_corpus_that_is_none_is_told(tmp_path, content, fault):
    (tmp_path / "c.jsonl").write_text(content)
    with pytest.raises(UserError, match=fault):
        Search(corpus=str(tmp_path / "c.jsonl"), cache=str(tmp_path / "x")).episode(Task("t", []), 0)
    assert not (tmp_path / "x").exists() or not list((tmp_path / "x").iterdir())


def test_a_missing_corpus_is_told(tmp_path):
    with pytest.raises(UserError, match=r"env\.corpus="):
        Search().episode(Task("t", []), 0)
    with pytest.raises(UserError, match=r"none.jsonl: No such file"):
        Search(corpus=str(tmp_path / "none.jsonl")).episode(Task("t", []), 0)
