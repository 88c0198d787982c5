"""With the real Gymnasium: its FrozenLake and Blackjack."""

import pytest

from agenttrain.env.gymnasium import Gymnasium
from agenttrain.errors import UserError
from agenttrain.promises import PROMISES, Setting
from agenttrain.rollout import Limits
from agenttrain.types import Environment, Episode, Task

pytest.importorskip("gymnasium", reason="gymnasium is not installed: pip install 'agenttrain[gymnasium]'")
NAMES = ["left", "down", "right", "up"]
LAKE = Gymnasium("FrozenLake-v1", {"is_slippery": False}, NAMES)
WAY = ["down", "down", "right", "right", "down", "right"]


def act(action):
    function = {"name": "act", "arguments": {"action": action}}
    return {"role": "assistant", "content": "", "tool_calls": [{"function": function}]}


def start(env=LAKE, seed=0):
    assert isinstance(env, Environment)
    episode = env.episode(Task("t", [{"role": "user", "content": "Reach G."}]), seed)
    assert isinstance(episode, Episode)
    return episode, episode.start()


def test_an_episode_is_seen_as_text_and_ends_with_success():
    episode, messages = start()
    assert messages[-1]["content"] == "Reach G.\n[S]FFF\nFHFH\nFFFH\nHFFG"
    turns = [episode.step(act(action)) for action in WAY]
    assert turns[0].messages[0]["content"] == "(Down)\nSFFF\n[F]HFH\nFFFH\nHFFG"
    assert [turn.done for turn in turns] == [False] * 5 + [True]
    assert turns[-1].feedback == {"success": True, "truncated": False}
    assert sum(turn.reward for turn in turns) == 1.0
    episode.close()
    lost = start()[0]
    lost.step(act("right"))
    assert lost.step(act("down")).feedback == {"success": False, "truncated": False}


def test_states_are_equal_where_the_observations_are():
    one, two = start()[0], start()[0]
    states = [one.step(act(action)).state for action in ("down", "up", "right", "left")]
    assert states[0] == states[2] == two.step(act("left")).state
    assert states[1] != states[0] != states[3]


def test_chance_comes_from_the_seed_alone():
    def play(seed):
        episode, _ = start(Gymnasium("FrozenLake-v1", actions=NAMES), seed)
        return [episode.step(act("down")).messages[0]["content"] for _ in range(3)]

    assert play(1) == play(1)
    assert len({tuple(play(seed)) for seed in range(20)}) > 1


def test_a_limit_of_the_environment_is_a_truncation():
    episode, _ = start(Gymnasium("FrozenLake-v1", {"is_slippery": False, "max_episode_steps": 2}, NAMES))
    episode.step(act("left"))
    assert episode.step(act("left")).feedback == {"success": False, "truncated": True}


def test_without_a_rendering_the_observation_is_shown_and_actions_are_numbers():
    episode, messages = start(Gymnasium("Blackjack-v1", max_chars=10))
    assert messages[-1]["content"].startswith("Reach G.\n(")
    assert episode.tools[0]["function"]["parameters"]["properties"]["action"]["enum"] == ["0", "1"]
    assert episode.step(act("0")).done


@pytest.mark.parametrize("action", [{"role": "assistant", "content": "hm"}, act("north"), act(1)])
def test_a_malformed_action_is_answered(action):
    turn = start()[0].step(action)
    assert turn.feedback["invalid_call"] == turn.messages[0]["content"]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"id": "NoSuch-v0"}, "cannot be made"),
        ({"id": "no_such_package:Game-v0"}, "cannot be made"),
        ({"id": "FrozenLake-v1", "options": {"wind": 1}}, "cannot be made"),
        ({"id": "FrozenLake-v1", "actions": ["left"]}, "has 4 actions, env.actions names 1"),
        ({"id": "Pendulum-v1"}, "takes Discrete and Text"),
    ],
)
def test_what_cannot_be_played_is_told(settings, reason):
    with pytest.raises(UserError, match=reason):
        Gymnasium(**settings).episode(Task("t", []), 0)


@pytest.mark.parametrize("promise", PROMISES)
def test_it_keeps_every_promise(promise):
    tasks = [Task(f"lake/{n}", [{"role": "user", "content": "Reach G."}]) for n in range(3)]
    assert list(PROMISES[promise](Setting(LAKE, tasks, None, Limits(), 0))) == []


def test_the_version_of_the_package_is_told():
    import gymnasium

    assert LAKE.versions == {"gymnasium": gymnasium.__version__}
    assert Gymnasium("gymnasium:FrozenLake-v1").versions == LAKE.versions
