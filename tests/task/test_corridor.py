import json

import pytest

from agenttrain.errors import UserError
from agenttrain.task.corridor import Corridor, name_corridor
from agenttrain.worlds.corridor import ITEMS, read_place, tell


def test_the_same_arguments_give_the_same_tasks_again_and_again():
    tasks = Corridor(n=5, seed=3)
    assert list(tasks) == list(tasks) == list(Corridor(n=5, seed=3))
    assert [task.data["ways"] for task in tasks] != [task.data["ways"] for task in Corridor(n=5, seed=4)]


def test_an_id_stands_for_one_task():
    settings = [(seed, rooms, items) for seed in (0, 1) for rooms in (2, 3) for items in (2, 3)]
    tasks = [task for seed, rooms, items in settings for task in Corridor("train", 30, seed, rooms, items)]
    assert len({task.id for task in tasks}) == len(tasks)


def test_splits_share_no_corridor():
    train, heldout = ({task.data["corridor"] for task in Corridor(split, 60)} for split in ("train", "heldout"))
    assert len(train) == len(heldout) == 60
    assert not train & heldout


def test_more_tasks_or_rooms_leave_the_others_as_they_are():
    few, many = list(Corridor(n=2, rooms=3)), list(Corridor(n=4, rooms=5))
    assert [task.data["ways"] for task in few] == [task.data["ways"][:3] for task in many[:2]]


def test_every_item_does_one_thing_in_every_room_and_no_item_leads_on_everywhere():
    ways = [room for task in Corridor(n=20, items=4) for room in task.data["ways"]]
    assert all(sorted(room) == sorted(ITEMS[:4]) for room in ways)
    firsts = [sum(room[0] == item for room in ways) / len(ways) for item in ITEMS[:4]]
    assert all(0.15 < share < 0.35 for share in firsts)


def test_the_opening_tells_nothing_of_the_way():
    one, other = Corridor(n=2)
    assert one.messages == other.messages
    assert one.data["ways"] != other.data["ways"]


def test_names_go_on_behind_z():
    assert [name_corridor(number) for number in (0, 25, 26, 51, 52, 701, 702)] == [
        "a",
        "z",
        "aa",
        "az",
        "ba",
        "zz",
        "aaa",
    ]
    assert read_place(f"What? {tell('az12')}") == "az12"
    assert read_place("in fog") == ""


def test_data_survives_json():
    for task in Corridor():
        assert json.loads(json.dumps(task.data)) == task.data


@pytest.mark.parametrize("wrong", [{"split": "deep"}, {"items": 1}, {"items": len(ITEMS) + 1}])
def test_an_impossible_setting_is_told(wrong):
    with pytest.raises(UserError, match="task="):
        Corridor(**wrong)
