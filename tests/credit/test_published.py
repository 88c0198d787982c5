"""Options that should equal published code, beside that code's formulas written plainly: row by row, with lists.

verl and verl-agent (GRPO, RLOO, REINFORCE++, GiGPO, HGPO), MT-GRPO, RAGEN, Agent-R1; docs/credit.md says which option
equals which. A "row" is a turn, as in the batches of verl-agent.
"""

from collections import defaultdict
from difflib import SequenceMatcher
from statistics import fmean, pstdev, stdev

import numpy as np
import pytest

from agenttrain.credit.agent_r1 import AgentR1
from agenttrain.credit.dr_grpo import DrGrpo
from agenttrain.credit.empg import Empg
from agenttrain.credit.gae import Gae
from agenttrain.credit.gigpo import Gigpo
from agenttrain.credit.grpo import Grpo
from agenttrain.credit.hgpo import Hgpo
from agenttrain.credit.mt_grpo import MtGrpo
from agenttrain.credit.reinforce_pp import ReinforcePp
from agenttrain.credit.rloo import Rloo

from .episodes import random_batch

SEEDS = range(3)


def played(seed):
    return [t for t in random_batch(seed, tasks=3, attempts=5) if t.stop == "done"]


def rows(batch):
    """Task, number of the attempt, turn: one per turn of the batch."""
    return [(t.task.id, place, turn) for place, t in enumerate(batch) for turn in range(len(t.turns))]


def same(advantages, wanted):
    found = [number for row in advantages for turn in row for number in np.atleast_1d(turn)]
    return np.allclose(found, wanted, atol=1e-5)


def returns(batch, gamma):
    """G_t of each row, summed anew for each."""
    return [sum(gamma**k * r for k, r in enumerate(t.turn_rewards[n:])) for t in batch for n in range(len(t.turns))]


def normalised(values, keys, seen=None, std=True, eps=1e-6, deviation=stdev):
    """(value - mean) / (std + eps) among equal keys; mean and std over the rows that `seen` lets through."""
    members = defaultdict(list)
    for place, (value, key) in enumerate(zip(values, keys, strict=True)):
        if seen is None or place in seen:
            members[key].append(value)
    mean = {key: fmean(group) for key, group in members.items()}
    scale = {key: deviation(group) + eps if std and len(group) > 1 else 1.0 for key, group in members.items()}
    return np.array([(v - mean[k]) / scale[k] for v, k in zip(values, keys, strict=True)])


def first_rows(batch):
    """Places of each attempt's first row."""
    return {place for place, (_, _, turn) in enumerate(rows(batch)) if turn == 0}


def whitened(values):
    values = np.array(values)
    return (values - values.mean()) / np.sqrt(values.var(ddof=1) + 1e-8)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("statistics", ["turn", "trajectory"])
def test_verl_agents_grpo_dr_grpo_and_rloo(seed, statistics):
    batch = played(seed)
    seen = None if statistics == "turn" else first_rows(batch)
    totals, keys = [sum(batch[a].turn_rewards) for _, a, _ in rows(batch)], [task for task, _, _ in rows(batch)]
    assert same(Grpo(1e-6, statistics)(batch), normalised(totals, keys, seen))
    centred = normalised(totals, keys, seen, std=False)
    assert same(DrGrpo(statistics)(batch), centred)
    count = {key: sum(k == key for p, k in enumerate(keys) if seen is None or p in seen) for key in keys}
    assert same(Rloo(statistics)(batch), [c * count[k] / (count[k] - 1) for c, k in zip(centred, keys, strict=True)])


@pytest.mark.parametrize("seed", SEEDS)
def test_verls_reinforce_pp_over_tokens(seed):
    batch = played(seed)
    tokens = [turn.action.sampled for t in batch for turn in t.turns]
    for credit, values in (
        (ReinforcePp(statistics="token"), returns(batch, 1.0)),
        (ReinforcePp(baseline=True, statistics="token"), whole_less_mean(batch)),
    ):
        wide = whitened(np.repeat(values, tokens))
        assert same(credit(batch), wide[np.cumsum(tokens) - 1])


def whole_less_mean(batch):
    totals = [sum(batch[a].turn_rewards) for _, a, _ in rows(batch)]
    return normalised(totals, [task for task, _, _ in rows(batch)], first_rows(batch), std=False)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("norm", ["std", "none"])
@pytest.mark.parametrize("similarity", [1.0, 0.8])
def test_verl_agents_gigpo_with_penalties_after_discounting(seed, norm, similarity):
    batch = played(seed)
    rng = np.random.default_rng(seed)
    places = ("kitchen of the house", "kitchen of the mouse", "a lake", "a cake")
    penalty, states = [], []
    for trajectory in batch:
        trajectory.scores["format"] = [-0.1 * float(rng.random() < 0.4) for _ in trajectory.turns]
        penalty += trajectory.scores["format"]
        for turn in trajectory.turns:
            turn.observation.state = str(rng.choice(places))
            states.append(turn.observation.state)
    keys = [task for task, _, _ in rows(batch)]
    totals = np.array([sum(batch[a].scores["r"]) for _, a, _ in rows(batch)]) + penalty
    step = [
        sum(0.95**k * r for k, r in enumerate(t.scores["r"][n:])) + t.scores["format"][n]
        for t in batch
        for n in range(len(t.turns))
    ]
    wanted = normalised(totals, keys, std=norm == "std") + normalised(
        step, clusters(keys, states, similarity), std=norm == "std"
    )
    credit = Gigpo(norm=norm, similarity=similarity, undiscounted=["format"], statistics="turn")
    assert same(credit(batch), wanted)


def clusters(tasks, states, similarity):
    firsts, found = defaultdict(list), []
    for task, state in zip(tasks, states, strict=True):
        alike = (f for f in firsts[task] if SequenceMatcher(None, state, f).ratio() >= similarity)
        first = next(alike, None)
        if first is None:
            first = state
            firsts[task].append(state)
        found.append((task, first))
    return found


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("episode", [False, True])
def test_verl_agents_hgpo(seed, episode):
    batch = [t for t in played(seed) if all(turn.observation.state for turn in t.turns)]
    earned = returns(batch, 0.95)
    levels = []
    for length in (1, 2, 3):
        keys = [
            (t.task.id, *(turn.observation.state for turn in t.turns[n + 1 - length : n + 1]))
            if n + 1 >= length
            else (place, n)
            for place, t in enumerate(batch)
            for n in range(len(t.turns))
        ]
        levels.append((length + 1, normalised(earned, keys, deviation=pstdev)))
    if episode:
        totals = [sum(batch[a].turn_rewards) for _, a, _ in rows(batch)]
        levels.append((1, normalised(totals, [task for task, _, _ in rows(batch)])))
    weights = np.array([weight * (np.abs(values) > 1e-9) for weight, values in levels])
    wanted = sum(w * values for w, (_, values) in zip(weights, levels, strict=True)) / np.maximum(weights.sum(0), 1)
    assert same(Hgpo(episode=episode)(batch), wanted)


@pytest.mark.parametrize("seed", SEEDS)
def test_mt_grpos_three_advantages(seed):
    batch = played(seed)
    rng = np.random.default_rng(seed)
    for trajectory in batch:
        trajectory.scores["tool"] = rng.random(len(trajectory.turns)).round(1).tolist()
    tasks = [t.task.id for t in batch]
    turn, outcome = ([sum(t.scores[name]) for t in batch] for name in ("tool", "r"))
    turn_z, outcome_z, both_z = (
        normalised(values, tasks, eps=1e-4) for values in (turn, outcome, np.add(turn, outcome).tolist())
    )
    wanted = []
    for place, trajectory in enumerate(batch):
        after = [outcome_z[place]] * (len(trajectory.turns) - 1)
        wanted += [outcome_z[place] + 0.7 * turn_z[place], *after] if after else [both_z[place]]
    assert same(MtGrpo(turn=["tool"], form="tool_result", alpha=0.7)(batch), wanted)


@pytest.mark.parametrize("seed", SEEDS)
def test_ragens_bilevel_gae(seed):
    batch, gamma, lam, gamma_turn = played(seed), 0.98, 0.9, 0.95
    wanted, targets = [], []
    for trajectory in batch:
        values = [turn.action.values for turn in trajectory.turns]
        following, next_value, at_end = 0.0, 0.0, []
        for reward, row in reversed(list(zip(trajectory.turn_rewards, values, strict=True))):
            following = reward + gamma_turn * next_value - row[-1] + gamma_turn * lam * following
            next_value = row[-1]
            at_end.insert(0, following)
        for turn_advantage, row in zip(at_end, values, strict=True):
            inside, later, after = [], 0.0, None
            for value in reversed(row):
                delta = turn_advantage + value - value if after is None else gamma * after - value
                later = delta + gamma * lam * later
                after = value
                inside.insert(0, later)
            wanted += inside
            targets += [a + v for a, v in zip(inside, row, strict=True)]
    credit = Gae("bilevel", gamma=gamma, lam=lam, gamma_turn=gamma_turn, lam_turn=lam)
    assert same(credit(batch), whitened(wanted))
    assert same(credit.targets(batch), targets)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("level", ["step", "token"])
def test_agent_r1s_process_rewards(seed, level):
    batch, gamma, lam = played(seed), 0.97, 0.9
    rng = np.random.default_rng(seed)
    for trajectory in batch:
        trajectory.scores["tool"] = rng.normal(size=len(trajectory.turns)).tolist()
    still_to_come = [abs(sum(t.scores["tool"][n:])) for t in batch for n in range(len(t.turns))]
    scale = max(still_to_come) + 1e-6
    wanted = []
    for trajectory in batch:
        paid, values = [], []
        for turn, r, p in zip(trajectory.turns, trajectory.scores["r"], trajectory.scores["tool"], strict=True):
            row = turn.action.values
            paid += [r + p / scale] if level == "step" else [0.0] * (len(row) - 1) + [r + p / scale]
            values += row[:1] if level == "step" else row
        values.append(0.0)
        deltas = [reward + gamma * values[n + 1] - values[n] for n, reward in enumerate(paid)]
        wanted += [sum((gamma * lam) ** k * d for k, d in enumerate(deltas[n:])) for n in range(len(deltas))]
    assert same(AgentR1(process=["tool"], level=level, gamma=gamma, lam=lam)(batch), whitened(wanted))


@pytest.mark.parametrize("seed", SEEDS)
def test_empg_as_its_paper_writes_it(seed):
    batch, k, k_future, zeta = played(seed), 1.3, 0.7, 0.1
    entropy = [fmean(turn.action.entropies) for t in batch for turn in t.turns]
    h = [(e - min(entropy)) / (max(entropy) - min(entropy) + 1e-8) for e in entropy]
    g = np.exp(-k * np.array(h)) / np.mean(np.exp(-k * np.array(h)))
    base = [advantage for row in Grpo()(batch) for advantage in row]
    ends = [turn == len(batch[a].turns) - 1 for _, a, turn in rows(batch)]
    bonus = [0.0 if end else zeta * np.exp(-k_future * h[n + 1]) for n, end in enumerate(ends)]
    modulated = base * g + bonus
    assert same(Empg(Grpo(), k=k, k_future=k_future, zeta=zeta)(batch), modulated - modulated.mean())
