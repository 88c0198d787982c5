import pytest

from agenttrain.env.functions import Functions
from agenttrain.errors import UserError
from agenttrain.types import Environment, Episode, InfraError, Task

SHOP = '''
from json import dumps

from agenttrain.types import InfraError

cart = []


def _start(seed, stock, **rest):
    cart.clear()
    stock.append("seen")
    return f"In stock: {stock[0]}, number {seed}."


def add(item: str, count: int = 1) -> str:
    """Put something into the cart.

    Args:
        item: what
        count: how many
    """
    if count > 9:
        raise ValueError("nine is the most")
    cart.extend([item] * count)
    return dumps(cart)


async def wait() -> str:
    """Wait a while."""
    return "x" * 100


def unplug() -> str:
    """Unplug the server."""
    raise InfraError("gone")


def _hidden():
    """No tool."""
'''
VERIFY = "\ndef _verify(given, answer):\n    return given in answer\n"


def act(name, **arguments):
    return {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": name, "arguments": arguments}}]}


@pytest.fixture
def shop(tmp_path):
    (tmp_path / "shop.py").write_text(SHOP)
    return tmp_path / "shop.py"


def start(module, **settings):
    task = Task("t", [{"role": "user", "content": "Buy."}], "The Rope", {"stock": ["rope"]})
    env = Functions(str(module), **settings)
    assert isinstance(env, Environment)
    episode = env.episode(task, seed=5)
    assert isinstance(episode, Episode)
    return episode, episode.start()


def test_an_episode_from_its_scene_to_the_answer(shop):
    episode, messages = start(shop)
    assert messages == [{"role": "user", "content": "Buy.\nIn stock: rope, number 5."}]
    assert [tool["function"]["name"] for tool in episode.tools] == ["add", "wait", "unplug", "finish"]
    first, again = (episode.step(act("add", item="rope")) for _ in range(2))
    assert [turn.messages[0]["content"] for turn in (first, again)] == ['["rope"]', '["rope", "rope"]']
    assert first.state != again.state
    last = episode.step(act("finish", answer="rope!"))
    assert (last.done, last.reward, last.feedback) == (True, 1.0, {"success": True})
    assert start(shop)[0].step(act("finish", answer="net")).feedback == {"success": False}


def test_variables_are_the_episodes_own(shop):
    one, other = start(shop)[0], start(shop)[0]
    one.step(act("add", item="a"))
    assert other.step(act("add", item="b")).messages[0]["content"] == '["b"]'


def test_a_file_may_judge_the_answer_itself(shop):
    shop.write_text(SHOP + VERIFY)
    assert start(shop)[0].step(act("finish", answer="Rop")).feedback == {"success": True}


def test_errors_are_answered_and_failures_of_the_surroundings_raised(shop):
    episode, _ = start(shop, max_chars=20)
    over = episode.step(act("add", item="a", count=10))
    assert over.messages[0]["content"] == "Error: nine is the most"
    assert over.feedback == {"tool_error": "nine is the most"}
    assert episode.step(act("wait")).messages[0]["content"] == "x" * 20
    for misfit in (act("add"), act("add", item=3), act("_hidden"), act("dumps"), {"role": "assistant", "content": ""}):
        assert "invalid_call" in episode.step(misfit).feedback
    with pytest.raises(InfraError):
        episode.step(act("unplug"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x = 1", "no public function"),
        ("def f(a):\n    '''F.'''", "no tool"),
        ("def f(a: int):\n    return a", "no tool"),
        ("1 / 0", "ZeroDivisionError"),
        ("def (", "SyntaxError"),
        (None, "no file of Python"),
    ],
)
def test_a_file_that_is_none_is_told(tmp_path, text, reason):
    if text is not None:
        (tmp_path / "f.py").write_text(text)
    with pytest.raises(UserError, match=reason):
        Functions(str(tmp_path / "f.py")).episode(Task("t", []), 0)


def test_a_change_of_the_file_is_another_version(shop):
    before = Functions(str(shop)).versions
    assert before.keys() == {"shop.py"}
    assert Functions(str(shop)).versions == before
    shop.write_text(SHOP.replace("cart.extend", "cart.append"))
    assert Functions(str(shop)).versions["shop.py"] != before["shop.py"]
