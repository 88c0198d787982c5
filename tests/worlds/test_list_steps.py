import random

from agenttrain.worlds import list_steps


def programs(unseen):
    rng = random.Random(0)
    return [list_steps.draw(rng, unseen) for _ in range(200)]


def test_words_can_be_read_back():
    for steps in programs(False) + programs(True):
        assert [list_steps.read(sentence) for sentence in list_steps.sentences(steps)] == steps
    assert list_steps.read("add something") is None


def test_the_program_returns_what_the_steps_give():
    numbers = [3, 0, -2, 3, 8]
    for steps in programs(False) + programs(True):
        names = {}
        exec(list_steps.program(steps), names)
        assert names["solve"](list(numbers)) == list_steps.result(steps, numbers)


def test_only_programs_that_ask_for_it_have_unseen_steps():
    for unseen in (False, True):
        for steps in programs(unseen):
            assert any(name in list_steps.UNSEEN for name, _ in steps) == unseen
            assert 2 <= len(steps) <= 3
            assert not any(name in list_steps.LAST for name, _ in steps[:-1])
