from agenttrain.policy.scripted import Scripted, call, dice
from agenttrain.types import Action, Conversation, Policy


class Echo(Scripted):
    def __init__(self, volume: int = 1):
        super().__init__()
        self.volume = volume

    def act(self, conversation):
        if not conversation.messages:
            raise ValueError("nothing to echo")
        return call(conversation, "say", text=conversation.messages[-1]["content"] * self.volume)


def talk(name: str, *texts: str, seed: int = 0, turn: int = 0) -> Conversation:
    return Conversation(name, [{"role": "user", "content": text} for text in texts], [], seed, turn)


def test_every_submitted_conversation_is_answered_once():
    policy = Echo(volume=2)
    assert isinstance(policy, Policy)
    first, second = talk("a", "x"), talk("b", "y")
    policy.submit(first)
    policy.submit(second)
    answers = policy.poll(0)
    assert [conversation for conversation, _ in answers] == [first, second]
    assert all(isinstance(action, Action) for _, action in answers)
    functions = [action.message["tool_calls"][0]["function"] for _, action in answers]
    assert [function["arguments"]["text"] for function in functions] == ["xx", "yy"]
    assert policy.poll(0) == []


def test_a_released_conversation_is_answered_no_more():
    policy = Echo()
    first, second = talk("a", "x"), talk("b", "y")
    policy.submit(first)
    policy.submit(second)
    policy.release(first)
    assert [conversation for conversation, _ in policy.poll(0)] == [second]


def test_a_failing_script_spoils_no_other_conversation():
    policy = Echo()
    bad, good = talk("a"), talk("b", "y")
    policy.submit(bad)
    policy.submit(good)
    (_, error), (_, action) = policy.poll(0)
    assert isinstance(error, ValueError)
    assert isinstance(action, Action)


def test_describe_tells_the_settings():
    assert Echo(volume=3).describe() == {"name": "Echo", "volume": 3}


def test_dice_depend_on_seed_and_turn_alone():
    def roll(**where):
        return dice(talk("any", **where)).random()

    assert roll(seed=1, turn=2) == roll(seed=1, turn=2)
    assert len({roll(seed=1, turn=2), roll(seed=1, turn=3), roll(seed=2, turn=2), roll(seed=12, turn=0)}) == 4
