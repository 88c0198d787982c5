import json
import math

import pytest

from agenttrain import store
from agenttrain.commands.generate_trajectories import generate_trajectories
from agenttrain.commands.reward_model import reward_model
from agenttrain.commands.turn_values import read_values, turn_values
from agenttrain.config.compose import compose
from agenttrain.env.craft import Craft
from agenttrain.errors import UserError
from agenttrain.model.scorer import read
from agenttrain.model.tiny import Tiny
from agenttrain.policy.craft_expert import CraftExpert
from agenttrain.policy.local import Local
from agenttrain.rollout import Limits
from agenttrain.task.craft import Craft as Tasks
from agenttrain.trainer.reward_model import RewardModel

SMALL = Tiny(layers=1, hidden=32, heads=2, kv_heads=1, head_dim=16, intermediate=32)


@pytest.fixture
def own(tmp_path):
    """Episodes of an expert that errs, in a world that forgives a few errors."""
    settings = {"task": Tasks(n=5), "env": Craft(), "model": None, "rollout": Limits(), "attempts": 3}
    generate_trajectories(policy=CraftExpert(error=0.3), out=tmp_path / "own", **settings)
    return tmp_path / "own"


def value(path, out, **changed):
    settings = {"env": Craft(), "policy": CraftExpert(), "model": None, "rollout": Limits(), "continuations": 1}
    turn_values(**settings | changed, path=path, out=out)
    return json.loads((out / "figures.json").read_text())


def test_an_expert_succeeds_from_where_enough_steps_are_left(own, tmp_path):
    figures = value(own, tmp_path / "values")
    values = read_values(tmp_path / "values")
    seen = {0.0: 0, 1.0: 0}
    for t in store.read(own / "trajectories.jsonl"):
        found = list(values[t.task.id, t.attempt, t.seed, None].values())
        assert found == sorted(found, reverse=True)  # what is lost here is lost
        assert found[-1] == t.success
        spare = math.ceil(t.task.data["optimal"] * 1.25) - t.task.data["optimal"]
        wasted = 0
        for turn, value_of_turn in zip(t.turns, found, strict=True):
            wasted += not turn.observation.feedback.get("needed")
            if wasted == 0 or wasted > spare:
                assert value_of_turn == (wasted == 0)
                seen[value_of_turn] += 1
    assert min(seen.values()) > 3
    assert figures["continuations"] == figures["turns_valued"] - figures["trajectories"]
    assert (figures["turns_without"], figures["continuations_diverged"]) == (0, 0)


def test_the_value_is_the_share_of_the_continuations_that_succeed(own, tmp_path):
    value(own, tmp_path / "values", policy=CraftExpert(error=0.3), continuations=4, episodes=5)
    values = read_values(tmp_path / "values")
    assert len(values) == 5
    recorded = {t.attempt for t in store.read(own / "trajectories.jsonl")}
    assert not recorded & {t.attempt for t in store.read(tmp_path / "values/trajectories.jsonl")}
    assert {v for turns in values.values() for v in turns.values()} > {0.25, 0.5}


def test_without_continuations_each_turn_has_the_outcome_of_its_own_episode_and_nobody_plays(own, tmp_path):
    figures = value(own, tmp_path / "values", continuations=0, policy=None)
    values = read_values(tmp_path / "values")
    for t in store.read(own / "trajectories.jsonl"):
        assert values[t.task.id, t.attempt, t.seed, None] == dict.fromkeys(range(len(t.turns)), float(t.success))
    assert (figures["continuations"], figures["environment_steps"]) == (0, 0)


def test_its_cost_is_told_in_steps_of_the_environment(own, tmp_path):
    figures = value(own, tmp_path / "values", continuations=2, episodes=2)
    played = list(store.read(tmp_path / "values/trajectories.jsonl"))
    assert figures["environment_steps"] == sum(len(t.turns) for t in played)
    lengths = [len(turns) for turns in read_values(tmp_path / "values").values()]
    assert figures["of_these_done_again"] == sum(n * (n - 1) for n in lengths)  # twice 1 + 2 + ... + (n - 1)


def test_a_replay_that_diverges_gives_no_value(own, tmp_path):
    path = own / "trajectories.jsonl"
    first, second, *_ = store.read(path)
    first.turns[1].observation.messages[0]["content"] += " And a dragon."
    path.unlink()
    for trajectory in (first, second):
        store.append(path, trajectory)
    figures = value(own, tmp_path / "values")
    kept = read_values(tmp_path / "values")[first.task.id, first.attempt, first.seed, None]
    last = len(first.turns) - 1
    assert set(kept) == {0, last}  # before the difference; and the outcome, which needs no replay
    assert figures["continuations_diverged"] == figures["turns_without"] == last - 1
    with pytest.raises(UserError, match="No replay went as recorded"):
        value(own, tmp_path / "hints", env=Craft(hints=True))


def test_the_wrong_environment_is_told_before_anybody_plays(own, tmp_path):
    from agenttrain.env.corridor import Corridor

    with pytest.raises(UserError, match="was played in env=craft"):
        value(own, tmp_path / "values", env=Corridor())


def test_resumed_it_plays_what_is_owed_and_finds_the_same(own, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    value(own, whole, policy=CraftExpert(error=0.3), continuations=2, episodes=3)
    lines = (whole / "trajectories.jsonl").read_text().splitlines(keepends=True)
    killed.mkdir()
    (killed / "trajectories.jsonl").write_text("".join(lines[:7]) + lines[7][:50])
    value(own, killed, policy=CraftExpert(error=0.3), continuations=2, episodes=3, resume=True)
    assert (killed / "trajectories.jsonl").read_text().startswith("".join(lines[:7]))
    assert read_values(killed) == read_values(whole)
    with pytest.raises(UserError, match="resume=true"):
        value(own, killed)


def test_a_model_goes_on_from_the_middle(own, tmp_path):
    figures = value(own, tmp_path / "values", policy=Local(), model=SMALL, rollout=Limits(max_tokens=2), episodes=1)
    assert figures["continuations"] == figures["turns_valued"] - 1 > 3
    chat = SMALL.load().chat
    for t in store.read(tmp_path / "values/trajectories.jsonl"):
        *recorded, new = t.turns
        context = chat.open(t.messages, t.tools)
        for turn in recorded:
            context += chat.reply(turn.action.message) + chat.extend(turn.observation.messages)
        assert new.action.prompt_ids == context


def test_what_is_no_file_of_values_is_told(tmp_path):
    with pytest.raises(UserError, match="agenttrain turn-values"):
        read_values(tmp_path / "none")
    (tmp_path / "values.jsonl").write_text('{"task": 3}\n')
    with pytest.raises(UserError, match="holds no values of turns"):
        read_values(tmp_path)


def test_a_reward_model_learns_the_values(own, tmp_path):
    value(own, tmp_path / "values")
    algo = RewardModel(objective="turns", epochs=6, learning_rate=1e-2, batch_size=4)
    reward_model(SMALL, algo, str(own), tmp_path / "prm", values=tmp_path / "values", heldout=0.34)
    error = json.loads((tmp_path / "prm/figures.json").read_text())["held_out_turns"]
    assert error["turns"] > 10
    values = read_values(tmp_path / "values")
    good, bad = [], []
    for t in store.read(own / "trajectories.jsonl"):
        for turn, logit in enumerate(read(str(tmp_path / "prm/model")).score([t])[0]):
            (good if values[t.task.id, t.attempt, t.seed, None][turn] else bad).append(logit)
    assert sum(good) / len(good) > sum(bad) / len(bad) + 0.5
    with pytest.raises(UserError, match="belong together"):
        reward_model(SMALL, RewardModel(), str(own), tmp_path / "other", values=tmp_path / "values")


def test_the_command_composes():
    composed = compose("turn-values", ["path=runs/own", "env=corridor", "model.path=runs/sft/model"])
    assert composed.choices["env"] == "corridor"
