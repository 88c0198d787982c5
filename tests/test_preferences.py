from agenttrain.preferences import by_outcome, held_out, usable
from agenttrain.types import Action, Observation, Task, Trajectory, Turn


def episode(task: str, success: bool, attempt: int = 0, stop="done", turns: int = 1) -> Trajectory:
    seen = Observation([], feedback={"success": success})
    return Trajectory(Task(task, []), [Turn(Action({}), seen)] * turns, stop, attempt=attempt)


def test_a_pair_is_a_success_over_a_failure_of_the_same_task():
    stored = [episode("a", True), episode("a", False, 1), episode("b", True), episode("c", False)]
    (pair,) = by_outcome(stored, most=8, seed=0)
    assert (pair.task, pair.chosen.attempt, pair.rejected.attempt) == ("a", 0, 1)


def test_of_many_pairs_so_many_are_drawn_by_the_seed_alone():
    stored = [episode("a", n < 4, n) for n in range(8)]
    pairs = by_outcome(stored, most=3, seed=1)
    assert len({(p.chosen.attempt, p.rejected.attempt) for p in pairs}) == 3
    assert by_outcome(stored, most=3, seed=1) == pairs != by_outcome(stored, most=3, seed=2)


def test_what_was_not_played_is_no_evidence_and_what_was_only_not_scored_is():
    stored = [episode("a", True, stop=stop) for stop in ("infra_error", "env_error", "reward_error", "max_turns")]
    assert [t.stop for t in usable([*stored, episode("a", True, turns=0)])] == ["reward_error", "max_turns"]


def test_a_task_is_held_out_whole_and_one_always_stays_to_train_on():
    tasks = [f"t{n % 10}" for n in range(100)]
    assert len(held_out(tasks, 0.2, seed=0)) == 2
    assert held_out(tasks, 0.2, seed=0) == held_out(reversed(tasks), 0.2, seed=0)
    assert held_out(tasks, 0.0, seed=0) == held_out(["only"], 0.5, seed=0) == set()
    assert len(held_out(["a", "b"], 1.0, seed=0)) == 1
