import pytest

from agenttrain.errors import UserError
from agenttrain.task.miniwob import PROBLEMS, SEEN, UNSEEN, Miniwob


def test_splits_share_no_problem_and_unseen_no_page():
    train, heldout, unseen = (list(Miniwob(split)) for split in ("train", "heldout", "unseen"))
    assert {task.id for task in train}.isdisjoint(task.id for task in heldout)
    assert len(train) + len(heldout) == len(SEEN) * PROBLEMS
    assert {task.data["page"] for task in unseen} == set(UNSEEN)
    assert {task.data["page"] for task in (*train, *heldout)} == set(SEEN)
    assert len(list(Miniwob("all"))) == len(train) + len(heldout) + len(unseen)


def test_equal_seeds_give_equal_tasks():
    first, same, other = ([task.id for task in Miniwob(n=9, seed=seed)] for seed in (1, 1, 2))
    assert first == same != other


def test_pages_of_ones_choice():
    assert {task.data["page"] for task in Miniwob(pages=["use-spinner"])} == {"use-spinner"}
    with pytest.raises(UserError, match="chase-circle differ from attempt to attempt"):
        Miniwob(pages=["use-spinner", "chase-circle"])
    with pytest.raises(UserError, match="no split 'unseen'"):
        Miniwob("unseen", pages=["use-spinner"])


def test_faults_are_told():
    with pytest.raises(UserError, match="120 problems in split heldout, not 999"):
        list(Miniwob("heldout", n=999))
    with pytest.raises(UserError, match="No split 'test'"):
        Miniwob("test")
