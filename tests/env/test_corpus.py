import json
import random
import subprocess
import sys

import pytest

from agenttrain.bm25 import Index, Passage
from agenttrain.env import corpus
from agenttrain.worlds.people import World

PASSAGES = World(0, 60).passages


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("indexes")


@pytest.fixture(scope="module")
def opened(folder):
    return corpus.opened(PASSAGES, "world", folder)


def test_it_finds_what_an_index_in_memory_finds(opened):
    index, chance = Index(PASSAGES), random.Random(0)
    assert len(opened) == len(PASSAGES)
    assert [opened[number] for number in range(len(opened))] == PASSAGES
    words = [word for passage in PASSAGES for word in str(passage).split()] + ["", "?", "unheard"]
    for _ in range(300):
        query, k = " ".join(chance.choices(words, k=chance.randint(1, 6))), chance.choice([1, 3, 400])
        assert opened.search(query, k) == index.search(query, k), query


def test_a_title_finds_its_passage_whatever_its_capitals(opened):
    assert all(opened.find(f" {passage.title.upper()} ") == number for number, passage in enumerate(PASSAGES))
    assert opened.find("Nobody") is None


def test_an_index_is_built_once_and_read_by_other_processes(opened, folder):
    def never():
        raise AssertionError("built again")
        yield

    assert corpus.opened(never(), "world", folder)[3] == PASSAGES[3]
    program = (
        "import sys, json; from pathlib import Path; from agenttrain.env.corpus import opened\n"
        "c = opened([], 'world', Path(sys.argv[1])); print(json.dumps([c.search('A film from 1950', 5), c[7].title]))"
    )
    elsewhere = subprocess.run([sys.executable, "-c", program, str(folder)], capture_output=True, check=True)
    assert json.loads(elsewhere.stdout) == [opened.search("A film from 1950", 5), PASSAGES[7].title]


def test_half_an_index_is_never_seen(tmp_path):
    def breaks():
        yield PASSAGES[0]
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        corpus.opened(breaks(), "broken", tmp_path)
    assert not list(tmp_path.iterdir())
    assert len(corpus.opened(PASSAGES[:3], "broken", tmp_path)) == 3


def test_of_two_processes_that_build_at_once_one_wins(tmp_path):
    def slow():
        yield from PASSAGES[:3]
        corpus.opened(PASSAGES[:3], "race", tmp_path)

    assert corpus.opened(slow(), "race", tmp_path)[2] == PASSAGES[2]
    assert [path.name for path in tmp_path.iterdir()] == [f"race-{corpus.FORMAT}"]


def test_any_text_is_kept(tmp_path):
    odd = [Passage('A "b"\n\\', "é 語\x00\u2028"), Passage("A", "\ud800")]
    kept = corpus.opened(odd, "odd", tmp_path)
    assert [kept[0], kept[1]] == odd
    assert kept.search("語", 5) == [0]
