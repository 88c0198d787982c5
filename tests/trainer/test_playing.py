import pytest

from agenttrain.credit.grpo import Grpo
from agenttrain.errors import UserError
from agenttrain.policy.scripted import Scripted
from agenttrain.trainer.episodes import Flow
from agenttrain.trainer.playing import play
from agenttrain.trainer.selection import Selection

from .letters import LIMITS, Game, score, tasks


class SaysB(Scripted):
    def act(self, conversation):
        return {"role": "assistant", "content": "b"}


def flow(compare) -> Flow:
    return Flow(tasks(4), Game(), SaysB(), LIMITS, score, Grpo(), compare=compare)


def test_a_reward_that_compares_sees_whole_groups_and_what_is_played_in_their_place():
    seen = []

    def compare(group):
        assert all(t.scores for t in group), "whoever looks at one alone has scored it before"
        seen.append([(t.task.id, t.attempt) for t in group])
        for trajectory in group:
            trajectory.scores = {"none": [0.0] * len(trajectory.turns)}  # no signal: both groups give way
        return group

    played = play(flow(compare), Selection(4, refill=1), [2, 0], range(6), 3, 0, lambda found: found)
    assert sorted(map(sorted, seen)) == [[(f"t{task}", attempt) for attempt in range(3)] for task in range(4)]
    assert all(t.scores.keys() == {"none"} for t in (*played.episodes, *played.replaced))


@pytest.mark.parametrize(("rows", "size"), [(range(3, 6), 2), (range(3), 2), (range(4), 1)])
def test_a_process_that_has_no_whole_groups_compares_nothing(rows, size):
    with pytest.raises(UserError, match="whole groups of two or more"):
        play(flow(list), Selection(4), [0, 1, 2, 3], rows, size, 0, lambda found: found)
