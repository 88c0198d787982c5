import json
from itertools import pairwise

import pytest

from agenttrain.errors import UserError
from agenttrain.task.craft import COST, DEPTHS, TIERS, Craft, make_world
from agenttrain.worlds.crafting import ingredients_first, owed


def configuration(task):
    """What makes a task: its goal and the starting items that are of use for it."""
    goal, recipes = task.data["goal"], task.data["recipes"]
    useful = {k: v for k, v in task.data["inventory"].items() if k in ingredients_first(recipes, goal)}
    return goal, tuple(sorted(useful.items()))


@pytest.mark.parametrize("split", DEPTHS)
def test_the_same_arguments_give_the_same_tasks_again_and_again(split):
    tasks = Craft(split, n=20, seed=3)
    assert list(tasks) == list(tasks) == list(Craft(split, n=20, seed=3))
    assert [task.id for task in tasks] != [task.id for task in Craft(split, n=20, seed=4)]


def test_an_id_stands_for_one_task():
    tasks = [task for seed in range(3) for world in range(3) for task in Craft("train", 100, seed, world, depth=[1])]
    by_id = {task.id: task for task in tasks}
    assert all(by_id[task.id] == task for task in tasks)
    assert len({task.id for task in Craft("train", 300)}) == 300


def test_splits_share_no_configuration():
    train, heldout = ([t for seed in range(4) for t in Craft(split, 200, seed)] for split in ("train", "heldout"))
    assert not {configuration(t) for t in train} & {configuration(t) for t in heldout}
    assert len({t.data["goal"] for t in train} & {t.data["goal"] for t in heldout}) > 15
    assert all("/train/" in t.id for t in train)
    assert all("/heldout/" in t.id for t in heldout)


def test_deep_goals_are_deeper_than_any_other():
    def depths(split):
        return {task.data["depth"] for task in Craft(split, 60)}

    assert min(depths("deep")) > max(depths("train") | depths("heldout"))


def test_a_goal_of_depth_d_has_a_tree_of_d_levels():
    def height(recipes, item):
        return 1 + max(height(recipes, name) for name in recipes[item]["of"]) if item in recipes else 0

    for split in DEPTHS:
        for task in Craft(split, 30):
            assert height(task.data["recipes"], task.data["goal"]) == task.data["depth"]


def test_depth_sets_the_number_of_steps():
    for depth, (fewest, most) in list(enumerate(COST))[1:]:
        tasks = list(Craft("deep" if depth > 4 else "train", 40, depth=[depth]))
        assert all(fewest * 2 / 3 <= task.data["optimal"] <= most for task in tasks)
    assert max(task.data["optimal"] for world in range(5) for task in Craft("deep", 40, world=world)) > 45


def test_every_world_keeps_to_its_costs_and_no_two_are_alike():
    worlds = [make_world(seed) for seed in range(40)]
    for recipes in worlds:
        for tier, names in enumerate(TIERS[1:], start=1):
            for item in names:
                assert COST[tier][0] <= sum(owed(recipes, item, {}).values()) <= COST[tier][1]
    assert all(a != b for a, b in pairwise(worlds))


def test_the_opening_tells_recipes_goal_and_items_and_nothing_of_the_answer():
    task = next(iter(Craft("train", 1, depth=[3])))
    system, user = task.messages
    assert (system["role"], user["role"]) == ("system", "user")
    lines = user["content"].splitlines()
    assert len(lines) == len(task.data["recipes"]) + 3
    assert lines[-2] == f"Goal: {task.data['goal']}."
    assert lines[-1].startswith("You have: ")


def test_data_survives_json():
    for task in Craft("deep", 5):
        assert json.loads(json.dumps(task.data)) == task.data


@pytest.mark.parametrize(("split", "depth"), [("train", [5]), ("deep", [4]), ("heldout", []), ("test", None)])
def test_an_impossible_split_or_depth_is_told(split, depth):
    with pytest.raises(UserError, match="split"):
        Craft(split, depth=depth)


def test_more_tasks_than_there_are_is_told(monkeypatch):
    monkeypatch.setattr("agenttrain.task.craft.draw_inventory", lambda *_: {})
    with pytest.raises(UserError, match=r"only \d distinct tasks .* not n=100"):
        list(Craft("train", n=100, depth=[1]))
