from dataclasses import replace

from agenttrain.continued import Branch, Continued
from agenttrain.env.craft import Craft
from agenttrain.policy.craft_expert import CraftExpert
from agenttrain.rollout import Attempt, rollout
from agenttrain.task.craft import Craft as Tasks
from agenttrain.types import Observation


def test_recorded_turns_are_done_again_and_the_policy_goes_on():
    task = next(iter(Tasks(n=1, depth=[2])))
    (record,) = rollout([Attempt(task)], Craft(slack=3), CraftExpert(error=1.0))
    branches = {7: Branch(record, 2), 8: Branch(record, 3)}
    policy = Continued(CraftExpert(), branches)
    played = list(rollout([Attempt(task, number) for number in branches], Craft(slack=3), policy))
    for trajectory in played:
        turns = branches[trajectory.attempt].turns
        assert [turn.action for turn in trajectory.turns[:turns]] == [turn.action for turn in record.turns[:turns]]
        assert branches[trajectory.attempt].begins(trajectory)
        assert all(turn.observation.feedback["needed"] for turn in trajectory.turns[turns:])
        assert trajectory.success
    assert policy.describe() == CraftExpert().describe()


def test_a_branch_notices_another_beginning():
    task = next(iter(Tasks(n=1, depth=[2])))
    (record,) = rollout([Attempt(task)], Craft(), CraftExpert())
    branch = Branch(record, 2)
    first, second, *rest = record.turns
    other = replace(second, observation=Observation([{"role": "user", "content": "other"}]))
    assert branch.begins(record)
    assert branch.begins(replace(record, turns=[first, second]))
    assert not branch.begins(replace(record, turns=[first]))
    assert not branch.begins(replace(record, turns=[first, other, *rest]))
    assert not branch.begins(replace(record, tools=[]))
    assert Branch(record, 1).begins(replace(record, turns=[first, other, *rest]))
