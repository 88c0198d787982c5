from agenttrain.worlds.crafting import ingredients_first, listing, owed, read_listing

RECIPES = {
    "stick": {"makes": 4, "of": {"log": 1}},
    "rope": {"makes": 1, "of": {"reed": 2}},
    "ladder": {"makes": 1, "of": {"stick": 5, "rope": 1}},
    "tower": {"makes": 1, "of": {"ladder": 2, "stick": 3}},
}


def test_owed_counts_leftovers_and_shared_ingredients():
    # 13 sticks in fours are 4 crafts and 4 logs
    assert owed(RECIPES, "tower", {}) == {"tower": 1, "ladder": 2, "stick": 4, "log": 4, "rope": 2, "reed": 4}
    assert owed(RECIPES, "tower", {"ladder": 1, "stick": 8, "reed": 9}) == {"tower": 1, "ladder": 1, "rope": 1}
    assert owed(RECIPES, "tower", {"tower": 1}) == {}


def test_nothing_comes_before_its_ingredients():
    order = ingredients_first(RECIPES, "tower")
    assert order[-1] == "tower"
    assert len(order) == len(set(order)) == 6
    for item, recipe in RECIPES.items():
        assert all(order.index(name) < order.index(item) for name in recipe["of"])


def test_a_listing_reads_back_and_is_one_text_for_one_inventory():
    assert listing({"rope": 2, "log": 10}) == listing({"log": 10, "rope": 2}) == "10 log, 2 rope"
    assert read_listing("10 log, 2 rope.") == {"log": 10, "rope": 2}
    assert read_listing(listing({})) == {}
