"""What several terms of a reward do to each other, alone and in a run that stops and goes on."""

import json
import logging
import shutil
from itertools import count

import pytest
import torch

from agenttrain.combine import Terms
from agenttrain.credit.dr_grpo import DrGrpo
from agenttrain.credit.grpo import Grpo as GrpoCredit
from agenttrain.errors import UserError
from agenttrain.policy.local import Local
from agenttrain.reward.score import score
from agenttrain.trainer.episodes import Flow
from agenttrain.trainer.grpo import Grpo
from agenttrain.trainer.terms import pulls, report
from agenttrain.types import Action, Observation, Task, Trajectory, Turn

from .letters import LIMITS, CountA, Game, small, tasks


def episode(task="t", stop="done", **sums) -> Trajectory:
    scores = {name: [value] for name, value in sums.items()}
    turns = [Turn(Action({}), Observation([]))]
    return Trajectory(Task(task, []), turns, stop, scores=scores, weights=dict.fromkeys(scores, 1.0))


def pulled(batch, credit=None):
    credit = credit or DrGrpo()
    return pulls(batch, credit(batch), credit)


def test_terms_that_rank_a_group_oppositely_are_in_conflict():
    batch = [episode(a=1.0, b=0.0), episode(a=0.0, b=1.0), episode(a=0.0, b=0.0), episode("other", a=5.0, b=5.0)]
    assert pulled(batch)["conflict/a+b"] == 1.0, "of three pairs only one is ranked by both"
    batch = [episode(a=2.0, b=1.0), episode(a=1.0, b=2.0), episode(a=0.0, b=0.0)]
    assert pulled(batch)["conflict/a+b"] == pytest.approx(1 / 3)


def test_a_pair_that_no_group_ranks_twice_has_no_figure():
    assert "conflict/a+b" not in pulled([episode(a=1.0, b=0.0), episode(a=0.0, b=0.0)])


def test_each_term_is_told_what_it_moved():
    batch = [episode(a=1.0, b=0.0), episode(a=-1.0, b=0.0), episode(stop="infra_error", a=9.0, b=9.0)]
    assert pulled(batch)["advantage/a"] == pytest.approx(2 / 3), "1 on both that were played, 0 on the masked one"
    assert pulled(batch)["advantage/b"] == 0.0


def test_where_credit_is_not_linear_it_is_computed_again():
    batch = [episode(a=1.0, b=0.1), episode(a=-1.0, b=0.0)]
    whole, alone = GrpoCredit()(batch), GrpoCredit()([episode(b=0.1), episode(b=0.0)])
    assert pulled(batch, GrpoCredit())["advantage/a"] == pytest.approx(abs(whole[0][0] - alone[0][0]))


def test_one_term_has_nothing_to_pull_against():
    assert pulled([episode(a=1.0), episode(a=0.0)]) == {}
    silent = [episode(a=1.0, b=1.0), episode(a=0.0, b=0.0)]
    for trajectory in silent:
        trajectory.weights["b"] = 0.0
    assert pulled(silent) == {}, "a term without weight does not pull"


def test_the_report_has_a_row_for_each_term_and_a_line_for_each_pair():
    row = {"reward/a": 1.0, "reward/b": -0.5, "advantage/a": 3.0, "advantage/b": 1.0, "conflict/a+b": 0.25}
    text = report([row | {"weight/b": 0.5}, row | {"weight/b": 0.75}])
    assert "| a | 1.000, 1.000 | as set | 75% |" in text
    assert "| b | -0.500, -0.500 | 0.75 | 25% |" in text
    assert "a and b ranked 25% of pairs of attempts oppositely." in text
    assert report([{"reward/a": 1.0}]) == ""


class Calls:
    """-1 for each `b`: what a budget is kept for."""

    weight = 0.5

    def __call__(self, trajectory):
        return [-float(turn.action.message["content"].strip() == "b") for turn in trajectory.turns]


class Fails:
    """A reward that fails for some episodes, or for all."""

    weight = 1.0

    def __init__(self, attempts):
        self.attempts = attempts

    def __call__(self, trajectory):
        if trajectory.attempt in self.attempts:
            raise KeyError("label")
        return [0.0] * len(trajectory.turns)


ALGO = Grpo(steps=4, tasks_per_step=2, group_size=4, batch_size=4, learning_rate=1e-3, save_steps=2)


def train(out, rewards, resume=False, keep=None, **rules):
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    terms = Terms(**rules)
    terms.begin(rewards)
    loaded, policy = small().load(trainable=True), Local(slots=8, context=128)
    try:
        flow = Flow(tasks(4), Game(), policy, LIMITS, lambda t: score(t, rewards), GrpoCredit(), 3, terms)
        return ALGO.train(loaded, flow, out, resume=resume, keep=keep)
    finally:
        torch.set_num_threads(before)


def test_a_budget_adapts_is_logged_and_goes_on_where_it_was(tmp_path):
    rewards, rules = {"count": CountA(), "calls": Calls()}, {"budgets": {"calls": 0.1}, "rate": 0.3}
    kept = []
    whole = train(tmp_path / "whole", rewards, keep=kept.append, **rules)
    used = [row["weight/calls"] for row in whole.steps]
    assert used[0] == 0.5
    assert len(set(used)) == 4, "the weight moves in each step"
    assert [t.weights["calls"] for t in kept] == [weight for weight in used for _ in range(8)]
    assert whole.steps[0]["advantage/calls"] > 0.0
    shutil.copytree(tmp_path / "whole" / "checkpoints" / "checkpoint-2", tmp_path / "again/checkpoints/checkpoint-2")
    again = train(tmp_path / "again", rewards, resume=True, **rules)
    assert [row["weight/calls"] for row in again.steps] == used
    assert again.steps[-1]["reward"] == whole.steps[-1]["reward"]


def test_a_reward_that_fails_now_and_then_is_told_and_its_episodes_are_masked(tmp_path, caplog):
    kept = []
    with caplog.at_level(logging.WARNING):
        curves = train(tmp_path, {"count": CountA(), "judge": Fails({0})}, keep=kept.append)
    assert [row["reward_errors"] for row in curves.steps] == [2.0] * 4
    assert "Step 1: 2 of 8 episodes could not be scored and are masked (reward 'judge' raised KeyError" in caplog.text
    masked = [t for t in kept if t.attempt == 0]
    assert {t.stop for t in masked} == {"reward_error"}
    assert not any(number for t in masked for number in t.meta["advantages"])
    assert any(number for t in kept for number in t.meta["advantages"])
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert rows[0]["reward_errors"] == 2.0


def test_rewards_that_are_gamed_are_warned_of_once(tmp_path, caplog, monkeypatch):
    """The watched verifier passes every episode of the first step (8 of them), and none after."""
    monkeypatch.setattr("agenttrain.combine.WINDOW", 1)
    asked = count()

    class Strict(Fails):
        def __call__(self, trajectory):
            return [float(next(asked) < 8), *[0.0] * (len(trajectory.turns) - 1)]

    with caplog.at_level(logging.WARNING):
        curves = train(tmp_path, {"count": CountA(), "strict": Strict({})}, watch=["strict"])
    gaps = [row["gap/strict"] for row in curves.steps]
    assert gaps[0] <= 0.0 < min(gaps[1:])
    assert caplog.text.count("Reward hacking: the share of episodes") == 1
    assert "advantage/strict" not in curves.steps[0], "it is only looked at"


def test_a_reward_that_fails_always_ends_the_run_at_its_first_step(tmp_path):
    with pytest.raises(UserError, match="reward 'judge' raised KeyError: 'label'"):
        train(tmp_path, {"judge": Fails(range(9))})
