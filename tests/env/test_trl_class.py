import pytest

from agenttrain.env.trl_class import TrlClass
from agenttrain.errors import UserError
from agenttrain.types import Environment, Episode, InfraError, Task

GAMES = '''
from agenttrain.types import InfraError


class Guess:
    """With everything that TRL 1.16 asks for, and nothing more."""

    def __init__(self):
        self.tries = 0

    def reset(self, secret: int, **row) -> str | None:
        self.secret, self.row, self.won = secret, row, False
        self.row["hints"].append("seen")
        return " Between 1 and 9."

    def guess(self, number: int) -> str:
        """Guess the number.

        Args:
            number: your guess

        Returns:
            what is known now
        """
        if number > 9:
            raise ValueError("nine is the most")
        self.tries += 1
        self.won = number == self.secret
        return "right" if self.won else "wrong"

    async def wait(self) -> str:
        """Wait a while."""
        return "time passes"

    def unplug(self) -> str:
        """Pull the plug."""
        raise InfraError("no power")

    def get_reward(self) -> float:
        return 1.0 / self.tries if self.won else 0.0

    def _helper(self, undocumented):
        pass


class Climb:
    """Tells its end, its return so far and its outcome, and wants closing."""

    closed = 0

    def reset(self) -> None:
        self.height, self.reward, self.done = 0, 0.0, False

    @property
    def success(self) -> bool:
        return self.height == 2

    def up(self) -> str:
        """Climb a step."""
        self.height += 1
        self.reward += 0.25
        self.done = self.height == 2
        return f"height {self.height}"

    def close(self):
        Climb.closed += 1


class Silent:
    def reset(self):
        pass

    def act(self, x):
        pass


class Motionless:
    pass
'''


@pytest.fixture(autouse=True)
def _games(tmp_path, monkeypatch):
    (tmp_path / "trl_games.py").write_text(GAMES)
    monkeypatch.syspath_prepend(tmp_path)


def calls(*pairs):
    functions = [{"name": name, "arguments": arguments} for name, arguments in pairs]
    return {"role": "assistant", "tool_calls": [{"id": f"c{i}", "function": f} for i, f in enumerate(functions)]}


def start(name="Guess", env=None, **data):
    messages = [{"role": "system", "content": "Play."}, {"role": "user", "content": "Guess."}]
    task = Task("t", messages, answer=7, data={"secret": 7, "hints": [], **data})
    env = env or TrlClass(f"trl_games:{name}")
    assert isinstance(env, Environment)
    episode = env.episode(task, seed=11)
    assert isinstance(episode, Episode)
    return task, episode, episode.start()


def test_reset_gets_the_row_and_adds_to_the_last_message():
    task, episode, messages = start()
    assert [m["content"] for m in messages] == ["Play.", "Guess. Between 1 and 9."]
    assert episode.game.row == {"seed": 11, "prompt": task.messages, "answer": 7, "hints": ["seen"]}
    assert task.data["hints"] == []  # an instance that writes into its row spoils no other attempt


def test_public_methods_are_the_tools():
    _, episode, _ = start()
    assert [t["function"]["name"] for t in episode.tools] == ["guess", "unplug", "wait"]
    assert episode.tools[0]["function"] == {
        "name": "guess",
        "description": "Guess the number.",
        "parameters": {
            "type": "object",
            "properties": {"number": {"type": "integer", "description": "your guess"}},
            "required": ["number"],
            "additionalProperties": False,
        },
    }
    assert [t["function"]["name"] for t in start("Climb")[1].tools] == ["up"]


def test_a_message_without_a_call_ends_it_and_get_reward_scores_it():
    _, episode, _ = start()
    first = episode.step(calls(("guess", {"number": 3})))
    second = episode.step(calls(("guess", {"number": 7})))
    last = episode.step({"role": "assistant", "content": "It is 7."})
    assert (first.messages[0]["content"], second.messages[0]["content"]) == ("wrong", "right")
    assert [o.reward for o in (first, second, last)] == [0, 0, 0.5]
    assert [o.done for o in (first, second, last)] == [False, False, True]
    assert last.feedback == {"success": False}
    assert last.messages == []


def test_success_begins_where_told():
    _, episode, _ = start(env=TrlClass("trl_games:Guess", success_at=0.5))
    episode.step(calls(("guess", {"number": 3})))
    episode.step(calls(("guess", {"number": 7})))
    assert episode.step({"role": "assistant", "content": "7"}).feedback == {"success": True}


def test_errors_are_answered_and_failures_of_the_surroundings_raised():
    _, episode, _ = start()
    too_high = episode.step(calls(("guess", {"number": 10})))
    assert too_high.messages[0]["content"] == "Error: nine is the most"
    assert too_high.feedback == {"tool_error": "nine is the most"}
    for misfit in [("guess", {}), ("guess", {"number": "7"}), ("guess", {"number": 7, "x": 1}), ("reset", {})]:
        assert "invalid_call" in episode.step(calls(misfit)).feedback
    with pytest.raises(InfraError):
        episode.step(calls(("unplug", {})))


def test_every_call_of_an_action_is_executed_async_ones_too():
    _, episode, _ = start()
    observation = episode.step(calls(("wait", {}), ("fly", {}), ("guess", {"number": 7})))
    assert [m["tool_call_id"] for m in observation.messages] == ["c0", "c1", "c2"]
    assert [observation.messages[i]["content"] for i in (0, 2)] == ["time passes", "right"]
    assert "fly" in observation.feedback["invalid_call"]


def test_a_class_may_tell_its_end_return_and_outcome():
    _, episode, messages = start("Climb")
    assert messages[-1]["content"] == "Guess."
    lost = episode.step({"role": "assistant", "content": "Where am I?"})
    first, second = episode.step(calls(("up", {}))), episode.step(calls(("up", {})))
    assert (lost.done, first.done, second.done) == (False, False, True)
    assert "Call one of: up" in lost.messages[0]["content"]
    assert lost.feedback["invalid_call"]
    assert (lost.reward, first.reward, second.reward) == (0, 0.25, 0.25)
    assert second.feedback == {"success": True}
    before = episode.game.closed
    episode.close()
    assert episode.game.closed == before + 1


def test_states_are_equal_where_the_histories_are():
    def state(*numbers):
        _, episode, _ = start()
        return [episode.step(calls(("guess", {"number": n}))).state for n in (*numbers, 1)][-1]

    assert state() == state()
    assert state(3) == state(3)
    assert len({state(), state(3), state(4), state(3, 4)}) == 4


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("no_such_module:Game", "No module named 'no_such_module'"),
        ("trl_games:Missing", "Missing"),
        ("trl_games", "package.module:Class"),
        (":Guess", "package.module:Class"),
        ("trl_games:Motionless", "no class with a method reset"),
        ("json:dumps", "no class with a method reset"),
        ("trl_games:Silent", "no tool"),
    ],
)
def test_a_class_that_trl_would_not_take_is_told(target, reason):
    with pytest.raises(UserError, match=reason):
        TrlClass(target).episode(Task("t", []), seed=0)


def test_it_costs_no_import_before_the_first_episode():
    TrlClass("no_such_module:Game")


def test_the_version_is_of_the_file_that_holds_the_class():
    assert TrlClass("trl_games:Guess").versions.keys() == {"trl_games.py"}
