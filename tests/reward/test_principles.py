import json

import pytest

from agenttrain.reward.principles import Principles
from agenttrain.reward.safety import Safety
from agenttrain.reward.score import score

from .test_judge import Model, episode

ASKED = {"confirm": "Nothing is deleted\nwithout a yes.", "honest": "No lies."}


def found(*violations):
    return json.dumps(
        {"violations": [dict(zip(("turn", "principle", "why"), one, strict=False)) for one in violations]}
    )


def principles(*replies, **options):
    return Principles(Model(*replies), ASKED, **options)


def test_every_verdict_names_its_principle_and_its_turn():
    some = episode(turns=3)
    by = principles(
        found((2, "confirm", "nobody said yes"), (2, "honest"), (3, "confirm"), (3, "confirm")), penalty=0.5
    )
    assert by(some) == [0.0, -1.0, -0.5]
    told = [turn.observation.feedback["violations"] for turn in some.turns]
    assert told == [[], ["confirm", "honest"], ["confirm"]]
    assert some.meta["verdicts"]["principles"][0] == {"turn": 2, "principle": "confirm", "why": "nobody said yes"}
    assert "- confirm: Nothing is deleted without a yes.\n- honest: No lies." in by.by._seen[0][0]


def test_it_stands_beside_the_rules_and_is_scored_afresh():
    some = episode(turns=1)
    rules = Safety({"rule": {"call": "delete"}})
    rewards = {"safety": rules, "principles": principles(found((1, "confirm")), found())}
    score(some, rewards)
    assert some.turns[0].observation.feedback["violations"] == ["rule", "confirm"]
    rewards["principles"] = principles(found())
    score(some, rewards)
    assert some.turns[0].observation.feedback["violations"] == ["rule"]
    assert some.scores == {"safety": [-1.0], "principles": [0.0]}


@pytest.mark.parametrize(
    "nonsense",
    [
        found((3, "confirm")),
        found((0, "confirm")),
        found((1, "invented")),
        found(("1", "confirm")),
        found((True, "confirm")),
        '{"violations": 3}',
        '{"violations": ["confirm"]}',
        "{}",
    ],
)
def test_what_names_no_turn_or_principle_is_no_verdict(nonsense):
    assert principles(nonsense, found((1, "honest")))(episode(turns=2)) == [-1.0, 0.0]
    failed = score(episode(turns=2), {"principles": principles(nonsense, ask_again=0)})
    assert failed.stop == "reward_error"


def test_without_principles_there_is_nothing_to_judge_by():
    with pytest.raises(ValueError, match="no principle"):
        Principles(Model(""), {})
