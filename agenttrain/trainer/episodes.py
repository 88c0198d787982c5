"""Task -> rollout -> Reward -> Credit for one step of training: the flow as a trainer sees it. No torch here."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from statistics import fmean
from typing import TYPE_CHECKING, Literal

import numpy as np

from agenttrain.combine import Terms
from agenttrain.errors import UserError
from agenttrain.groups import whole
from agenttrain.overlap import overlapped
from agenttrain.rollout import Attempt, Limits, rollout, stable_seed
from agenttrain.trainer.diversity import action_key, diversity
from agenttrain.trainer.tokens import numbers
from agenttrain.types import (
    FAILED_BY_US,
    Action,
    Advantage,
    Credit,
    CriticCredit,
    Environment,
    Observation,
    Policy,
    Task,
    Trajectory,
    Turn,
)

if TYPE_CHECKING:
    from agenttrain.model.chat import Chat

KlIn = Literal["loss", "reward"]
"""Where divergence from a reference model counts: in each token's loss, or as a cost of each turn that credit sees."""

TRUNCATED = frozenset({"max_turns", "max_tokens"})


@dataclass
class Flow:
    """What turns tasks into scored trajectories, and those into advantages."""

    tasks: Sequence[Task]
    env: Environment
    policy: Policy
    limits: Limits
    score: Callable[[Trajectory], Trajectory]
    """Fills a trajectory's scores and weights."""
    credit: Credit
    seed: int = 0
    combine: Terms = field(default_factory=Terms)
    """Gives each term of a scored trajectory its weight."""
    at_once: int = 1
    """Episodes that are scored at once, while others are played."""
    compare: Callable[[Sequence[Trajectory]], Sequence[Trajectory]] | None = None
    """Adds the scores that come of comparing the attempts of a whole group, if there are any."""

    def owed(self, task: int, attempt: int, step: int) -> Attempt:
        """A group starts from one state: its seed depends on the run's seed, the task and the step, not the attempt."""
        chosen = self.tasks[task]
        return Attempt(chosen, attempt, stable_seed(self.seed, chosen.id, step))

    def play(self, owed: Sequence[Attempt]) -> Iterator[Trajectory]:
        """Each episode with its scores, as it ends; where groups are compared, with the last of its group in `owed`."""
        ended = rollout(owed, self.env, self.policy, self.limits)
        scored = overlapped(self.score, ended, self.at_once)
        if self.compare:
            sizes = Counter(attempt.task.id for attempt in owed)
            groups = whole(scored, lambda trajectory: trajectory.task.id, sizes)
            scored = chain.from_iterable(overlapped(self.compare, groups, self.at_once))
        for trajectory in scored:
            yield self.combine.weigh(trajectory)


def schedule(count: int, per_step: int, steps: int, seed: int) -> list[list[int]]:
    """Which of `count` tasks each step plays: shuffled passes over all, no task twice in a step.

    Laid out for the whole run, so that a resumed one goes on with the very tasks it owed. A pass's remainder, too small
    for a step, is left out of that pass.
    """
    shuffled = random.Random(seed)
    plan: list[list[int]] = []
    while len(plan) < steps:
        order = shuffled.sample(range(count), count)
        plan += [order[start : start + per_step] for start in range(0, count - per_step + 1, per_step)]
    return plan[:steps]


def light(trajectory: Trajectory) -> Trajectory:
    """What credit and figures need, without tokens and texts: small enough to send to every process."""
    turns = [
        Turn(
            Action(
                {"key": action_key(turn.action.message)}, entropies=turn.action.entropies, values=turn.action.values
            ),
            replace(turn.observation, messages=[]),
        )
        for turn in trajectory.turns
    ]
    meta = {key: trajectory.meta[key] for key in ("disagreement",) if key in trajectory.meta}
    return replace(trajectory, task=Task(trajectory.task.id, []), turns=turns, messages=[], tools=[], meta=meta)


def figures(batch: Sequence[Trajectory], advantages: Sequence[Sequence[Advantage]]) -> dict[str, float]:
    """What a step's episodes show. Shares are over the episodes that say something about the agent, or their turns; nan
    where there are none."""
    played = [t for t in batch if t.stop not in FAILED_BY_US]
    seen: list[Observation] = [turn.observation for t in played for turn in t.turns]
    groups = _groups(played)
    flat = np.array([number for row in advantages for advantage in row for number in numbers(advantage)])

    def share(facts: Iterable[object], among: int) -> float:
        return sum(map(bool, facts)) / among if among else math.nan

    scored = {
        f"reward/{name}": sum(sum(t.scores.get(name, [])) for t in played) / max(len(played), 1)
        for name in sorted({name for t in played for name in t.scores})
    }
    return {
        "success": share((t.success for t in played), len(played)),
        **scored,
        "turns": len(seen) / len(played) if played else math.nan,
        "invalid_calls": share((o.feedback.get("invalid_call") for o in seen), len(seen)),
        "tool_errors": share((o.feedback.get("tool_error") for o in seen), len(seen)),
        **_violations(played),
        **_disagreement(played),
        "truncated": share((t.stop in TRUNCATED for t in played), len(played)),
        "failed_by_us": float(len(batch) - len(played)),
        "reward_errors": float(sum(t.stop == "reward_error" for t in batch)),
        "lost_step": float(not played),
        "groups_without_variance": share(map(_even, groups), len(groups)),
        **diversity(groups),
        "advantage_std": float(flat.std()) if len(flat) else 0.0,
    }


def check_episodes(episodes: Sequence[Trajectory], chat: Chat) -> None:
    """The lint before the first step: what is trained must be what was sampled, each turn extending the last.

    Raises:
        UserError: every episode failed around the agent, the policy gave no tokens, or history was rendered again.
    """
    played = [t for t in episodes if t.stop not in FAILED_BY_US and t.turns]
    if not played:
        raise UserError(f"None of the {len(episodes)} episodes of the first step could be played: {episodes[0].error}")
    for trajectory in played:
        where = f"attempt {trajectory.attempt} at task {trajectory.task.id!r}"
        shown = chat.open(trajectory.messages, trajectory.tools)
        for number, turn in enumerate(trajectory.turns):
            action = turn.action
            if len(action.token_ids) != len(action.logprobs):
                raise UserError(f"Turn {number} of {where} lacks tokens or log-probs: rl needs policy=local.")
            if action.prompt_ids != shown:
                raise UserError(f"Turn {number} of {where} was sampled after other tokens than its messages have.")
            shown = chat.extend(turn.observation.messages)


def check_tasks(tasks: Sequence[Task], per_step: int) -> None:
    """Raises UserError where a step wants more tasks than there are, or two share an id and would be one group."""
    if len(tasks) < per_step:
        raise UserError(
            f"algo.tasks_per_step={per_step}, but there are {len(tasks)} tasks. Lower it or take more tasks."
        )
    doubled = [task for task, count in Counter(task.id for task in tasks).items() if count > 1]
    if doubled:
        raise UserError(f"{len(doubled)} ids stand for several tasks, the first is {doubled[0]!r}. Make ids unique.")


def needs_critic(credit: Credit) -> bool:
    """Whether this credit, or the one it modulates, reads a critic's values."""
    base = getattr(credit, "base", None)
    return isinstance(credit, CriticCredit) if base is None else needs_critic(base)


def _violations(played: Sequence[Trajectory]) -> dict[str, float]:
    """Where `reward=safety` looked: share of episodes with a violation, and violations of each principle an episode."""
    told = [[turn.observation.feedback.get("violations") for turn in t.turns] for t in played]
    if not any(names is not None for turns in told for names in turns):
        return {}
    count = Counter(name for turns in told for names in turns for name in names or ())
    unsafe = sum(any(turns) for turns in told) / len(played)
    return {"unsafe": unsafe} | {f"violations/{name}": n / len(played) for name, n in sorted(count.items())}


def _disagreement(played: Sequence[Trajectory]) -> dict[str, float]:
    """Mean share of a comparison's pairs that were ranked oppositely when shown in the opposite order."""
    told = [t.meta["disagreement"] for t in played if "disagreement" in t.meta]
    names = sorted({name for shares in told for name in shares})
    return {f"disagreement/{name}": fmean(shares[name] for shares in told if name in shares) for name in names}


def _groups(batch: Iterable[Trajectory]) -> list[list[Trajectory]]:
    groups: dict[str, list[Trajectory]] = {}
    for trajectory in batch:
        groups.setdefault(trajectory.task.id, []).append(trajectory)
    return list(groups.values())


def _even(group: Sequence[Trajectory]) -> bool:
    """All attempts returned the same sum, so that comparing them with their mean tells nothing."""
    returns = [sum(t.turn_rewards) for t in group]
    return max(returns) - min(returns) < 1e-9
