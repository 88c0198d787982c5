"""Draws follow the shares, a short source begins anew, and what each source dropped is in the report."""

import json
from collections import Counter

import pytest

from agenttrain.data.mixture import Mixture
from agenttrain.data.text import Text
from agenttrain.errors import UserError


@pytest.fixture
def texts(tmp_path):
    def write(name: str, n: int) -> Text:
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps({"text": f"{name} {number}"}) + "\n" for number in range(n)))
        return Text(str(path))

    return write


def test_the_share_of_each_source_is_its_probability_and_not_its_size(texts):
    mixture = Mixture(
        of={"agent": texts("a", 5), "general": texts("g", 50)}, shares={"agent": 0.2, "general": 0.8}, n=4000
    )
    drawn = Counter(example.part for example in mixture)
    assert drawn.total() == 4000
    assert drawn["agent"] / 4000 == pytest.approx(0.2, abs=0.02)


def test_a_source_repeats_no_record_before_all_of_its_records_were_drawn(texts):
    mixture = Mixture(of={"agent": texts("a", 7), "general": texts("g", 9)}, n=200)
    said = [example.text for example in mixture if example.part == "agent"]
    assert len(said) > 21
    for start in range(0, len(said) - 7, 7):
        assert len({*said[start : start + 7]}) == 7


def test_a_record_that_is_drawn_again_is_the_same_object(texts):
    general = Mixture(of={"gpt4": texts("4", 3), "gpt35": texts("35", 9)})
    drawn = list(Mixture(of={"agent": texts("a", 5), "general": general}, n=300))
    assert len({id(example) for example in drawn}) == len({example.text for example in drawn}) == 17


def test_a_mixture_may_hold_another_with_its_own_ratio(texts):
    general = Mixture(of={"gpt4": texts("4", 9), "gpt35": texts("35", 9)}, shares={"gpt4": 1, "gpt35": 4})
    mixture = Mixture(of={"agent": texts("a", 9), "general": general}, shares={"agent": 1, "general": 4}, n=5000)
    examples = list(mixture)
    assert {example.part for example in examples} == {"agent", "general.gpt4", "general.gpt35"}
    drawn = Counter(example.text.split()[0] for example in examples)
    assert drawn["4"] / (drawn["4"] + drawn["35"]) == pytest.approx(0.2, abs=0.04)


def test_a_mixture_within_another_repeats_no_record_before_all_of_its_source_were_drawn(texts):
    general = Mixture(of={"few": texts("f", 3), "many": texts("m", 40)}, shares={"few": 3, "many": 1})
    drawn = list(Mixture(of={"agent": texts("a", 5), "general": general}, n=800))
    for part, count in (("general.few", 3), ("general.many", 40)):
        said = [example.text for example in drawn if example.part == part]
        assert len(said) >= 2 * count
        for start in range(0, len(said) - count + 1, count):
            assert len({*said[start : start + count]}) == count


def test_draws_of_its_own_number_are_all_that_a_mixture_within_another_has(texts):
    general = Mixture(of={"gpt4": texts("4", 9), "gpt35": texts("35", 9)}, n=6)
    drawn = Mixture(of={"agent": texts("a", 5), "general": general}, n=300)
    assert len({example.text for example in drawn}) == 5 + 6
    assert len(list(Mixture(of={"agent": texts("a", 5), "general": general}))) == 11


def test_the_seed_alone_decides_the_draws(texts):
    def draw(seed):
        return [example.text for example in Mixture(of={"a": texts("a", 9), "b": texts("b", 9)}, seed=seed)]

    assert draw(1) == draw(1) != draw(2)
    assert len(draw(1)) == 18


def test_the_report_is_the_sum_of_the_sources_and_a_source_of_share_0_is_not_read(texts, tmp_path):
    (tmp_path / "empty.jsonl").write_text('{"text": " "}\n{"text": "x"}\n')
    missing = Text(str(tmp_path / "missing.jsonl"))
    of = {"a": texts("a", 3), "b": Text(str(tmp_path / "empty.jsonl")), "c": missing}
    mixture = Mixture(of=of, shares={"c": 0}, n=10)
    assert len(list(mixture)) == 10
    assert (mixture.report.records, mixture.report.kept, mixture.report.dropped) == (5, 4, {"empty": 1})


@pytest.mark.parametrize(
    ("shares", "says"), [({"agnet": 1}, "data.shares.agnet"), ({"agent": 0}, "data.shares are all 0")]
)
def test_shares_that_draw_nothing_are_refused(texts, shares, says):
    with pytest.raises(UserError, match=says):
        Mixture(of={"agent": texts("a", 1)}, shares=shares)


def test_a_mixture_of_nothing_says_how_to_name_its_sources():
    with pytest.raises(UserError, match="conf=agenttuning"):
        Mixture(of={})
