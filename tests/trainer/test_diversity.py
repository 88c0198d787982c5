from math import isnan

from agenttrain.trainer.diversity import WINDOW, action_key, diversity, echo_trap
from agenttrain.trainer.episodes import light
from agenttrain.types import Action, Observation, Task, Trajectory, Turn


def call(number: int, **arguments) -> dict:
    function = {"name": "go", "arguments": arguments}
    return {"content": "", "tool_calls": [{"type": "function", "id": f"call-{number}", "function": function}]}


def episode(*moves: tuple[str, str], score: float = 0.0) -> Trajectory:
    turns = [Turn(Action({"content": said}), Observation([], state=state)) for state, said in moves]
    return Trajectory(Task("t", []), turns, "done", scores={"r": [0.0] * (len(turns) - 1) + [score]})


def test_actions_are_equal_by_what_they_call():
    assert action_key(call(1, to="north")) == action_key(call(2, to="north")) != action_key(call(1, to="south"))


def test_states_and_actions_are_counted_once_per_group():
    group = [episode(("s", "a"), ("u", "b"), score=1.0), episode(("s", "a"), ("s", "a"), ("s", "b"))]
    other = [episode(("s", "c")), episode(("s", "c"))]
    expected = {"return_deviation": 0.25, "unique_states": 1.5, "unique_actions": 1.5, "repeated_turns": 1 / 7}
    assert diversity([group, other]) == expected
    assert diversity([[light(t) for t in group], [light(t) for t in other]]) == expected, "as other processes see them"


def test_no_group_has_no_diversity():
    assert all(map(isnan, diversity([]).values()))


def rows(repeated: float, apart: float, success: float) -> list[dict[str, float]]:
    return [{"repeated_turns": repeated, "return_deviation": apart, "success": success}] * WINDOW


def test_the_echo_trap_needs_all_of_its_signs():
    healthy = rows(0.1, 0.4, 0.5)
    assert "from 10% to 60%" in (echo_trap(healthy + rows(0.6, 0.1, 0.4)) or "")
    assert not echo_trap(healthy + rows(0.6, 0.1, 0.9)), "a group that always succeeds does not differ either"
    assert not echo_trap(healthy + rows(0.1, 0.1, 0.4))
    assert not echo_trap(healthy + rows(0.6, 0.4, 0.4))
    assert not echo_trap((healthy + rows(0.6, 0.1, 0.4))[1:]), "too few steps to say"
