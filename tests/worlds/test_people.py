import subprocess
import sys
from itertools import pairwise

import pytest

from agenttrain.errors import UserError
from agenttrain.worlds.people import World


def test_equal_seeds_give_equal_worlds_in_every_process():
    show = (
        "from agenttrain.worlds.people import World; w = World(3, 40); print(*w.passages, *w.questions(2), sep='\\n')"
    )
    first, second = (
        subprocess.run([sys.executable, "-c", show], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True)
        for seed in ("1", "2")
    )
    assert first.stdout == second.stdout
    assert first.stdout.count(b"\n") > 400
    assert World(3, 40).passages != World(4, 40).passages


@pytest.mark.parametrize("hops", [1, 2, 3])
def test_every_hop_is_needed(hops):
    """Each gold passage names the next one, and nothing before the last tells the answer."""
    world = World(0, 100)
    texts = {passage.title: str(passage) for passage in world.passages}
    questions = world.questions(hops)
    assert len({question.text for question in questions}) == len(questions) > 300
    for question in questions:
        assert question.gold[0] == question.subject
        assert len(question.gold) == len(question.relations) == hops
        assert all(after in texts[before] for before, after in pairwise((*question.gold, question.answer)))
        assert not any(question.answer in text for text in (question.text, *(texts[t] for t in question.gold[:-1])))


def test_no_two_passages_share_a_title():
    titles = [passage.title for passage in World(0, 1000).passages]
    assert len(set(titles)) == len(titles) == 3500


def test_the_smallest_world_has_questions_of_three_hops():
    assert World(0, 20).questions(3)


@pytest.mark.parametrize("size", [0, 19, 1001])
def test_a_size_out_of_range_is_the_users_fault(size):
    with pytest.raises(UserError, match="20 to 1000"):
        World(0, size)
