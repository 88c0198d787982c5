import itertools
import json
from contextlib import suppress

import pytest
from typer.testing import CliRunner

from agenttrain import cli
from agenttrain.combine import Terms
from agenttrain.commands.reward_audit import reward_audit
from agenttrain.env.craft import Craft
from agenttrain.env.hopqa import Hopqa
from agenttrain.errors import UserError
from agenttrain.policy.craft_expert import CraftExpert
from agenttrain.policy.hopqa_expert import HopqaExpert
from agenttrain.reward.ranking import Ranking
from agenttrain.reward.rlvf import Rlvf
from agenttrain.rollout import Limits
from agenttrain.task.craft import Craft as CraftTasks
from agenttrain.task.hopqa import Hopqa as HopqaTasks


class Planted:
    """A reward with a hole: `paid(turn, trajectory)` says what a turn earns."""

    weight = 1.0

    def __init__(self, paid):
        self.paid = paid

    def __call__(self, trajectory):
        return [float(self.paid(turn, trajectory)) for turn in trajectory.turns]


def audited(reward, capsys, hopqa=False, expert=None):
    """What the audit says, as an object."""
    env, task, policy = (
        (Hopqa(), HopqaTasks(n=3), HopqaExpert()) if hopqa else (Craft(), CraftTasks(n=3), CraftExpert())
    )
    with suppress(SystemExit):
        reward_audit({"it": reward}, Terms(), env, task, Limits(), expert or policy, tasks=3, as_json=True)
    return json.loads(capsys.readouterr().out)


def test_an_honest_reward_passes(capsys):
    told = audited(Rlvf(), capsys)
    assert told["faults"] == []
    assert told["returns"]["expert"] == 1.0
    assert set(told["returns"].values()) == {0.0, 1.0}


def greps_for_the_answer(turn, trajectory):
    return trajectory.task.answer in str(turn.action.message)


def believes_a_claim(turn, trajectory):
    return "success" in str(turn.action.message).lower()


def pays_for_activity(turn, trajectory):
    return len(turn.action.message.get("tool_calls") or ())


HOLES = [
    (greps_for_the_answer, "leaks the answer"),
    (believes_a_claim, "stops early"),
    (pays_for_activity, "spams calls"),
]


@pytest.mark.parametrize(("hole", "canary"), HOLES, ids=[hole.__name__ for hole, _ in HOLES])
def test_a_planted_hole_is_found_by_the_canary_that_falls_into_it(hole, canary, capsys):
    told = audited(Planted(hole), capsys, hopqa=True)
    assert any(f"a policy that {canary} earns" in fault for fault in told["faults"])


def test_a_reward_that_is_no_function_of_the_episode_is_found(capsys):
    counter = itertools.count()
    told = audited(Planted(lambda turn, trajectory: -next(counter)), capsys)
    assert any("differently the second time" in fault for fault in told["faults"])


def test_a_reward_that_fails_is_found(capsys):
    told = audited(Planted(lambda turn, trajectory: 1 / len(turn.action.message.get("tool_calls", ()))), capsys)
    assert any("could not be scored: reward 'it' raised ZeroDivisionError" in fault for fault in told["faults"])


def test_an_expert_that_earns_nothing_is_found(capsys):
    told = audited(Rlvf(), capsys, expert=CraftExpert(error=1.0))
    assert told["faults"] == ["the expert earns 0.000, no more than the floor of 0"]


def test_from_the_command_line():
    good = CliRunner().invoke(cli.app, ["reward", "audit", "rlvf,format", "tasks=2"])
    assert good.exit_code == 0, good.output
    assert "the expert                      1.000" in good.output
    bad = CliRunner().invoke(cli.app, ["reward", "audit", "rlvf", "tasks=2", "env=hopqa", "reward.rlvf.valid_call=0.1"])
    assert bad.exit_code == 1
    assert "- a policy that makes always the same call earns" in bad.output
    assert CliRunner().invoke(cli.app, ["reward", "audit", "rlfv"]).exit_code == 2


def test_an_environment_without_an_expert_is_audited_without(tmp_path):
    (tmp_path / "lamp.py").write_text(
        'def press(hard: bool) -> str:\n    """Press.\n\n    Args:\n        hard: or soft\n    """\n    return "dark"\n'
    )
    words = ["env=functions", f"env.module={tmp_path}/lamp.py", "task=craft", "tasks=1"]
    done = CliRunner().invoke(cli.app, ["reward", "audit", "rlvf", *words])
    assert done.exit_code == 0, done.output
    assert "the expert                      none to judge" in done.output


def test_a_reward_that_only_compares_is_refused_before_anybody_plays():
    with pytest.raises(UserError, match="reward=judge"):
        reward_audit({"it": Ranking(CraftExpert(), "x")}, Terms(), Craft(), CraftTasks(n=3), Limits())
