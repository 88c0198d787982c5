"""`agenttrain reward audit`: canaries and an expert, played and scored -> what a reward pays for nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import islice
from statistics import fmean

from agenttrain import rollout as loop
from agenttrain.canaries import canaries
from agenttrain.combine import Terms
from agenttrain.errors import UserError
from agenttrain.eval.report import print_table
from agenttrain.ranges import Count, Whole
from agenttrain.reward.score import apart, score
from agenttrain.types import FAILED_BY_US, Environment, Policy, Reward, Tasks, Trajectory


def reward_audit(
    reward: dict[str, Reward],
    combine: Terms,
    env: Environment,
    task: Tasks,
    rollout: loop.Limits,
    policy: Policy | None = None,
    tasks: Count = 8,
    seed: Whole = 0,
    floor: float = 0.0,
    as_json: bool = False,
) -> None:
    """Play the first `tasks` tasks with each canary and with `policy`, the expert, and score all of it.

    A canary may earn `floor` at most (a mean over its episodes; those that it really solved do not count), the expert
    must earn more than that and more than every canary, and a reward must score the same episode the same twice.
    `as_json` prints one object in place of a table: mean return of each policy, and faults.

    Raises:
        UserError: there is no task, or a reward that compares attempts.
        SystemExit: status 1; the reward pays for nothing, or not for what is right.
    """
    if names := [*apart(reward)[1]]:
        raise UserError(
            f"reward={names[0]} only compares attempts with each other, so it has no floor to audit: audit one that "
            "marks each for itself, for example reward=judge."
        )
    combine.begin(reward)
    chosen = list(islice(task, tasks))
    if not chosen:
        raise UserError("nothing to audit with: the task set is empty")
    judge = _Judge(reward, combine, rollout.reward_timeout)
    players = canaries(chosen) | ({"the expert": policy} if policy else {})
    played: dict[str, list[Trajectory]] = {}
    for name, player in players.items():
        attempts = [loop.Attempt(one, 0, seed) for one in chosen]
        played[name] = [judge(trajectory) for trajectory in loop.rollout(attempts, env, player, rollout)]
    expert = played.pop("the expert", [])
    # What a canary really solved, it may be paid for: `env check` tells of that.
    means = {name: _mean([t for t in episodes if not t.success]) for name, episodes in played.items()}
    everything = [t for episodes in (*played.values(), expert) for t in episodes]
    faults = [
        *_paid_for_nothing(means, floor),
        *_not_on_top(means, expert, floor),
        *_failing(everything),
        *judge.wavering(everything),
    ]
    _tell(means, _mean(expert), faults, len(chosen), as_json)
    if faults:
        sys.exit(f"agenttrain: reward=[{','.join(reward)}] has {len(faults)} fault{'s' * (len(faults) > 1)}")


@dataclass
class _Judge:
    rewards: dict[str, Reward]
    combine: Terms
    timeout: float

    def __call__(self, trajectory: Trajectory) -> Trajectory:
        return self.combine.weigh(score(trajectory, self.rewards, self.timeout))

    def wavering(self, episodes: Sequence[Trajectory]) -> Iterator[str]:
        """Scored again, in the opposite order."""
        again = [self(trajectory) for trajectory in deepcopy(episodes[::-1])][::-1]
        for name in self.rewards:
            pairs = zip(episodes, again, strict=True)
            if differing := sum(one.scores.get(name) != other.scores.get(name) for one, other in pairs):
                yield f"{name} scores {differing} of {len(episodes)} episodes differently the second time"


def _paid_for_nothing(means: dict[str, float | None], floor: float) -> Iterator[str]:
    for name, mean in means.items():
        if mean is not None and mean > floor + 1e-9:
            yield f"a policy that {name} earns {mean:.3f}, above the floor of {floor:g}"


def _not_on_top(means: dict[str, float | None], expert: Sequence[Trajectory], floor: float) -> Iterator[str]:
    if not expert:
        return
    top = _mean(expert)
    if top is None:
        yield f"no episode of the expert could be scored: {expert[0].error}"
        return
    if top <= floor:
        yield f"the expert earns {top:.3f}, no more than the floor of {floor:g}"
    for name, mean in means.items():
        if mean is not None and floor < top <= mean:
            yield f"the expert earns {top:.3f}, no more than a policy that {name} ({mean:.3f})"


def _failing(episodes: Sequence[Trajectory]) -> Iterator[str]:
    errors = [str(t.error) for t in episodes if t.stop == "reward_error"]
    if errors:
        yield f"{len(errors)} of {len(episodes)} episodes could not be scored: {errors[0]}"


def _mean(episodes: Sequence[Trajectory]) -> float | None:
    """Mean return of those that could be played and scored."""
    returns = [sum(t.turn_rewards) for t in episodes if t.stop not in FAILED_BY_US]
    return fmean(returns) if returns else None


def _tell(
    means: dict[str, float | None], expert: float | None, faults: Sequence[str], tasks: int, as_json: bool
) -> None:
    if as_json:
        print(json.dumps({"returns": means | {"expert": expert}, "faults": faults}))
        return
    rows = [*((f"who {name}", mean) for name, mean in means.items()), ("the expert", expert)]
    print_table(
        ("policy", f"mean return on {tasks} tasks"),
        [(name, "none to judge" if mean is None else f"{mean:.3f}") for name, mean in rows],
    )
    for fault in faults:
        print(f"- {fault}")
