import pytest

from agenttrain.errors import UserError
from agenttrain.task.web import Web
from agenttrain.worlds.shop import UNSEEN


def ids(**settings):
    return [task.id for task in Web(**settings)]


def test_splits_share_no_goal_and_unseen_no_goods_and_no_form():
    train, heldout, unseen = (list(Web(split)) for split in ("train", "heldout", "unseen"))
    sentences = [{task.messages[-1]["content"] for task in tasks} for tasks in (train, heldout, unseen)]
    assert sentences[0].isdisjoint(sentences[1])
    assert len(train) > 3 * len(heldout) > 100
    subjects = {kind.name for kind in UNSEEN.kinds} | set(UNSEEN.forms)
    assert {task.data["goal"]["subject"] for task in unseen} == subjects
    assert {task.data["goal"]["subject"] for task in (*train, *heldout)}.isdisjoint(subjects)
    assert len(ids(split="all")) == len(train) + len(heldout) + len(unseen)


def test_equal_seeds_give_equal_tasks_and_an_id_stands_for_one_goal():
    assert ids(n=20, seed=1) == ids(n=20, seed=1) != ids(n=20, seed=2)
    tasks = list(Web("all"))
    assert len({task.id for task in tasks}) == len({task.messages[-1]["content"] for task in tasks}) == len(tasks)


def test_another_site_has_other_products():
    assert set(ids()).isdisjoint(ids(site=1))


def test_faults_are_told():
    with pytest.raises(UserError, match="goals in split heldout, not 999"):
        list(Web("heldout", n=999))
    with pytest.raises(UserError, match="No split 'test'"):
        Web("test")
