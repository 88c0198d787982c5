from agenttrain.card.judge import balanced
from agenttrain.types import Action, Observation, Task, Trajectory, Turn


def played(outcomes):
    def episode(number, success):
        turn = Turn(Action({"role": "assistant", "content": ""}), Observation([], feedback={"success": success}))
        return Trajectory(Task(f"t{number}", []), [turn], "done")

    return [episode(*one) for one in enumerate(outcomes)]


def test_as_many_successes_as_failures_are_drawn_while_there_are():
    def drawn(good, bad, most, seed=0):
        some = balanced(played([True] * good + [False] * bad), most, seed)
        return sum(t.success for t in some), sum(not t.success for t in some)

    assert drawn(50, 50, 10) == (5, 5)
    assert drawn(2, 50, 10) == (2, 8)
    assert drawn(50, 2, 10) == (8, 2)
    assert drawn(0, 50, 10) == (0, 10)
    assert drawn(3, 3, 10) == drawn(3, 3, None) == (3, 3)


def test_the_seed_decides_which_and_their_order_stays():
    store = played([True, False] * 50)
    one, again, other = (balanced(store, 20, seed) for seed in (0, 0, 1))
    places = [store.index(t) for t in one]
    assert places == sorted(places)
    assert [store.index(t) for t in again] == places != [store.index(t) for t in other]
