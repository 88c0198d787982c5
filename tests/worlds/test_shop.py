import re

import pytest

from agenttrain.worlds.shop import CODE, PER_KIND, SEEN, UNSEEN, goals, shop


@pytest.mark.parametrize("unseen", [False, True])
def test_every_order_can_be_fulfilled(unseen):
    stock = shop(3, unseen).products
    for goal in goals(shop(3, unseen), 3):
        if goal.price:
            assert any(
                product.kind == goal.subject
                and {*goal.traits} <= {*product.traits}
                and product.price <= goal.price
                and all(value in product.options[label] for label, value in goal.options.items())
                for product in stock
            )


def test_equal_seeds_give_equal_shops_and_others_differ():
    first, same, other = (list(goals(shop(seed), seed)) for seed in (0, 0, 1))
    assert first == same != other
    assert len(shop(0).products) == PER_KIND * len(SEEN.kinds)


def test_what_is_unseen_shares_no_goods_and_no_form():
    assert {kind.name for kind in SEEN.kinds}.isdisjoint(kind.name for kind in UNSEEN.kinds)
    assert SEEN.forms.keys().isdisjoint(UNSEEN.forms)


def test_a_code_is_told_by_the_help_pages_only():
    looked_up = [goal for goal in goals(shop(0), 0) if CODE in goal.fields]
    assert looked_up
    for goal in looked_up:
        assert goal.fields[CODE] == shop(0).codes[goal.fields["Product"]]
        assert goal.fields[CODE] not in goal.sentence


def test_no_value_can_be_mistaken_for_a_separator():
    for goal in (*goals(shop(0), 0), *goals(shop(0, True), 0)):
        assert not any(re.search("; |: ", value) for value in goal.fields.values())
