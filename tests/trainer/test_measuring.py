"""Held-out tasks between steps: what is measured is the policy alone, and measuring changes nothing."""

import logging
import shutil

import pytest
import torch

from agenttrain.errors import UserError
from agenttrain.policy.vllm import Vllm
from agenttrain.trainer.grpo import Grpo
from agenttrain.trainer.measuring import HeldOut
from agenttrain.types import InfraError, Task

from .letters import Game, credit_of, flow, small, tasks

ALGO = {"steps": 3, "tasks_per_step": 4, "group_size": 4, "batch_size": 16, "learning_rate": 1e-3, "save_steps": 1}


def others(n):
    return [Task(f"h{i}", [{"role": "user", "content": "go now" + " on" * i}]) for i in range(n)]


def train(out, heldout=None, resume=False, **options):
    loaded = small().load(trainable=True)
    algo = Grpo(**ALGO | options)
    return loaded, algo.train(loaded, flow(loaded, credit_of("grpo")), out, resume=resume, heldout=heldout)


def said(episodes):
    """Which task began how, and what was sampled there; episodes come in the order of their ends."""
    return {t.task.id: (t.messages, [turn.action.token_ids for turn in t.turns]) for t in episodes}


def test_measuring_changes_no_weight_and_is_told_before_and_after(tmp_path):
    plain, _ = train(tmp_path / "plain")
    kept = []
    measured, curves = train(tmp_path / "measured", HeldOut(others(3), 2, temperature=0.3, keep=kept.append))
    for ours, theirs in zip(measured.model.parameters(), plain.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert [t.meta["step"] for t in kept] == [0] * 3 + [2] * 3 + [3] * 3
    assert [*curves.heldout] == [0, 2, 3]
    assert curves.heldout[3] == sum(t.success for t in kept[-3:]) / 3
    assert curves.episodes == 3 * 16, "what is measured is not among what is learned from"


def test_a_resumed_run_measures_what_the_whole_one_did(tmp_path):
    kept, again = [], []
    train(tmp_path, HeldOut(others(2), 2, keep=kept.append))
    shutil.rmtree(tmp_path / "checkpoints" / "checkpoint-3")
    _, curves = train(tmp_path, HeldOut(others(2), 2, keep=again.append), resume=True)
    assert said(again[:2]) == said(kept[2:4])
    assert said(again[2:]) == said(kept[4:])
    assert [*curves.heldout] == [0, 2, 3]


def test_every_measurement_starts_alike_and_leaves_the_sampling_as_it_was():
    loaded = small().load()
    some = flow(loaded, credit_of("grpo"))
    seen = []

    class Spy(type(some.policy)):
        def submit(self, conversation):
            seen.append(self.temperature)
            super().submit(conversation)

    some.policy.__class__ = Spy
    kept = []
    heldout = HeldOut(others(3), 1, temperature=0.0, top_p=0.5, keep=kept.append)
    for step in (0, 5):
        heldout.measure(some, step, 0, 1, list)
    assert set(seen) == {0.0}
    assert (some.policy.temperature, some.policy.top_p) == (1.0, 1.0)
    assert {t.meta["step"] for t in kept[:3]} == {0}
    assert said(kept[:3]) == said(kept[3:])


def test_processes_share_the_tasks():
    some = flow(small().load(), credit_of("grpo"))
    parts = []
    for process in (0, 1):
        HeldOut(others(5), 1).measure(some, 0, process, 2, lambda played: (parts.append(played), played)[1])
    assert sorted(t.task.id for part in parts for t in part) == ["h0", "h1", "h2", "h3", "h4"]
    assert {len(part) for part in parts} == {2, 3}


class Broken(Game):
    def episode(self, task, seed):
        raise InfraError("the game broke down")


def test_tasks_that_could_not_be_played_are_no_failures(caplog):
    some = flow(small().load(), credit_of("grpo"), Broken())
    with caplog.at_level(logging.WARNING):
        found = HeldOut(others(2), 1).measure(some, 4, 0, 1, list)
    assert found["heldout_failed_by_us"] == 2
    assert "heldout_success" not in found
    assert "No held-out task could be played before step 5: InfraError: the game broke down" in caplog.text


@pytest.mark.parametrize(
    ("heldout", "message"),
    [
        (HeldOut([], 1), "there is no held-out task"),
        (HeldOut([Task("x", tasks(1)[0].messages), *others(2)], 1), "1 of 3 held-out tasks are trained on, too"),
        (HeldOut(others(1), 1, temperature=-1.0), "heldout_temperature"),
        (HeldOut(others(1), 1, top_p=0.0), "heldout_top_p"),
    ],
)
def test_a_fault_is_told(heldout, message):
    with pytest.raises(UserError, match=message):
        heldout.check(tasks(4), flow(small().load(), credit_of("grpo")).policy)


def test_a_server_samples_as_it_was_started():
    with pytest.raises(UserError, match="policy=local"):
        HeldOut(others(1), 1, temperature=0.5).check(tasks(4), Vllm())
    HeldOut(others(1), 1).check(tasks(4), Vllm())
