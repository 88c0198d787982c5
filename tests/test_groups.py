import pytest

from agenttrain.groups import whole


def test_a_group_is_given_when_its_last_item_has_come_and_not_before():
    coming = iter("abAcBaC")
    groups = whole(coming, str.lower, {"a": 3, "b": 2, "c": 2})
    assert next(groups) == ["b", "B"]
    assert "".join(coming) == "aC", "nothing further was drawn"


def test_every_item_is_in_one_group():
    assert list(whole("abAcBaC", str.lower, {"a": 3, "b": 2, "c": 2})) == [["b", "B"], ["a", "A", "a"], ["c", "C"]]
    assert list(whole("", str.lower, {})) == []


def test_an_item_that_was_not_announced_is_no_silent_loss():
    with pytest.raises(KeyError):
        list(whole("x", str.lower, {"a": 1}))
