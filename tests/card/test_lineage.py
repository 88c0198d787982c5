import json

import pytest

from agenttrain.card.coder import Coder
from agenttrain.card.lineage import Lineage, Parent
from agenttrain.errors import UserError
from agenttrain.sandbox.sandbox import Sandbox
from agenttrain.types import InfraError

from .coding import GOOD, LONG, Model, block, episode, judge


@pytest.fixture(scope="module", autouse=True)
def _walls():
    try:
        Sandbox().start_now()
    except UserError as error:
        pytest.skip(f"no walls hold here: {error}")


def written(folder, model, rounds=4, parent=None, some=None):
    return list(Lineage(folder / "versions").written(Coder(model, 0, 6000), some or judge(), rounds, parent))


def test_each_version_is_told_of_the_one_before_until_one_is_accepted(tmp_path):
    model = Model(block("def reward(trajectory):\n    return [open]\n"), block(LONG), block(GOOD), block(GOOD))
    found = written(tmp_path, model)
    assert [(v.name, v.parent, v.accepted) for v, _ in found] == [
        ("version_1.py", None, False),
        ("version_2.py", "version_1.py", False),
        ("version_3.py", "version_2.py", True),
    ]
    assert "uses open, line 2" in model.asked[1][-1]
    assert "goes by the number of turns" in model.asked[2][-1]
    assert "failure that it values highest, at 6:" in model.asked[2][-1]
    assert LONG in model.asked[2][-2]
    assert len(model.replies) == 1, "nothing is asked for once one is accepted"
    assert found[-1][1] == GOOD == (tmp_path / "versions/version_3.py").read_text()


def test_a_kill_loses_no_version_and_nothing_is_asked_twice(tmp_path):
    with pytest.raises(InfraError):
        written(tmp_path, Model(block(LONG), InfraError("gone")))
    model = Model(block(GOOD))
    assert [v.accepted for v, _ in written(tmp_path, model)] == [False, True]
    assert "goes by the number of turns" in model.asked[0][-1]
    kept = json.loads((tmp_path / "versions/version_2.json").read_text())
    assert (kept["parent"], kept["reply"], kept["source"]) == ("version_1.py", block(GOOD), GOOD)
    assert [message["content"] for message in kept["asked"]] == model.asked[0]
    again = Model()
    assert [v.accepted for v, _ in written(tmp_path, again)] == [False, True]
    assert not again.asked


def test_versions_of_another_order_are_not_taken_for_these(tmp_path):
    written(tmp_path, Model(block(GOOD)))
    with pytest.raises(UserError, match=r"version_1\.json was asked for with other trajectories"):
        written(tmp_path, Model(), some=judge(episode(0, True), episode(7, False)))


def test_a_version_without_a_function_is_counted_and_changes_nothing(tmp_path):
    model = Model("No.", block(LONG), "No.")
    found = written(tmp_path, model, rounds=3)
    assert [v.sound for v, _ in found] == [False, True, False]
    assert "no reply had a function" in found[0][0].why
    assert len(model.asked[1]) == 2, "as the first was asked"
    assert not (tmp_path / "versions/version_1.py").exists()


def test_the_first_version_improves_on_what_was_given(tmp_path):
    model = Model(block(GOOD))
    ((verdict, _),) = written(tmp_path, model, parent=Parent("mine.py", LONG, "It learned to wait."))
    assert verdict.parent == "mine.py"
    assert LONG in model.asked[0][2]
    assert model.asked[0][3].startswith("It learned to wait.\n\nWrite a better version")
