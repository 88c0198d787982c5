import threading
import time

import pytest

from agenttrain.overlap import overlapped


def test_results_come_in_order_and_calls_wait_together():
    together = threading.Barrier(4)

    def slow(number):
        together.wait(timeout=60)  # nobody goes on before four are under way
        time.sleep(0.01 * (number % 3))
        return 10 * number

    assert list(overlapped(slow, iter(range(8)), at_once=4)) == [10 * n for n in range(8)]


def test_no_more_than_so_many_are_under_way_and_items_are_taken_as_they_are_needed():
    taken, going, most = [], set(), []

    def items():
        for number in range(20):
            taken.append(number)
            yield number

    def work(number):
        going.add(number)
        most.append(len(going))
        time.sleep(0.001)
        going.discard(number)
        return number

    made = overlapped(work, items(), at_once=3)
    assert next(made) == 0
    assert len(taken) <= 4
    assert list(made) == list(range(1, 20))
    assert max(most) <= 3


@pytest.mark.parametrize("at_once", [1, 3])
def test_what_a_call_raises_comes_in_its_place_and_no_further_one_begins(at_once):
    begun = []

    def work(number):
        begun.append(number)
        if number == 2:
            raise ValueError("two")
        return number

    made, found = overlapped(work, range(50), at_once), []
    with pytest.raises(ValueError, match="two"):
        found.extend(made)
    assert [*range(2)] == found
    assert len(begun) <= 2 + 1 + at_once


def test_one_at_once_is_the_thread_that_asks():
    assert set(overlapped(lambda _: threading.get_ident(), range(3), 1)) == {threading.get_ident()}
