"""Positions are the likeliest, a call is kept by its gain alone, and a place holds one call."""

import pytest

from agenttrain.toolformer.filtering import Candidate, judge, keep_one_per_place, merged, positions


def candidate(**values):
    return Candidate(**({"text": 0, "tool": "Calculator", "position": 1, "at": 1, "p": 0.5, "call": "x"} | values))


def test_positions_lie_above_the_threshold_and_are_the_k_likeliest():
    chances = [0.05, 0.3, 0.06, 0.5, 0.2]
    assert positions(chances, tau_s=0.05, k=9) == [2, 3, 4, 5]
    assert positions(chances, tau_s=0.05, k=2) == [2, 4]
    assert positions(chances, tau_s=0.6, k=2) == []
    assert positions([], tau_s=0.0, k=5) == []


def test_of_equal_chances_the_earlier_position_is_tried_and_with_no_threshold_an_impossible_one_is_not():
    assert positions([0.1, 0.1, 0.1], tau_s=0.0, k=2) == [1, 2]
    assert positions([0.0, 0.1], tau_s=0.0, k=2) == [2]


@pytest.mark.parametrize(
    ("losses", "gain", "kept"),
    [
        ((2.0, 3.0, 1.5), 0.5, True),
        ((3.0, 2.0, 1.5), 0.5, True),
        ((2.0, 1.9, 1.5), 0.4, False),  # the call alone would do
        ((1.0, 1.0, 2.0), -1.0, False),
        ((0.0, 0.0, 0.0), 0.0, False),
    ],
)
def test_a_call_is_kept_if_and_only_if_it_saves_enough_against_the_better_of_both(losses, gain, kept):
    it = candidate(loss_empty=losses[0], loss_call=losses[1], loss_result=losses[2])
    judge(it, tau_f=0.5)
    assert (it.gain, it.kept) == (pytest.approx(gain), kept)
    assert it.reason == (None if kept else "gain below tau_f")


def test_a_call_without_losses_is_not_judged():
    with pytest.raises(ValueError, match="not scored"):
        judge(candidate(loss_empty=1.0), tau_f=0.5)


def test_of_several_calls_at_a_place_the_one_that_gains_most_stays():
    calls = [candidate(at=7, kept=True, gain=gain) for gain in (0.6, 0.9, 0.7)]
    other = candidate(at=3, kept=True, gain=0.5)
    rejected = candidate(at=9, kept=False, gain=5.0, reason="gain below tau_f")
    assert keep_one_per_place([*calls, other, rejected]) == [other, calls[1]]
    assert [call.reason for call in calls] == ["a better call stands here", None, "a better call stands here"]
    assert rejected.reason == "gain below tau_f"


def test_calls_are_put_in_at_their_characters_and_nothing_else_changes():
    assert merged("ab cd", [(5, "]"), (2, " [X]"), (0, "[")]) == "[ab [X] cd]"
    assert merged("ab", []) == "ab"
