import pytest

from agenttrain.errors import UserError
from agenttrain.policy.miniwob_expert import MiniwobExpert
from agenttrain.types import Conversation

BUTTONS = '[1] button "Cancel"\n[2] button "Yes"\n[3] button "Submit"'
FIELDS = 'text "Password"\n[1] textbox ""\n[2] textbox ""\n[3] button "Submit"\n[4] button "Login"'


def steps(sentence, page, count):
    """Its first calls, each as a tool and its arguments."""
    messages, made = [{"role": "user", "content": f"{sentence}\nPage /x\n{page}"}], []
    for turn in range(count):
        action = MiniwobExpert().act(Conversation("c", messages, [], seed=1, turn=turn))
        function = action["tool_calls"][0]["function"]
        made.append((function["name"], *function["arguments"].values()))
        messages = [*messages, action, {"role": "tool", "content": "Nothing changed."}]
    return made


@pytest.mark.parametrize(
    ("sentence", "page", "wanted"),
    [
        ('Click on the "Yes" button.', BUTTONS, [("click", 2)]),
        ("Click button Yes, then click button Cancel.", BUTTONS, [("click", 2), ("click", 1)]),
        ("Select b, c and click Submit.", '[1] checkbox "b"\n[2] checkbox "a"\n[3] checkbox "c"\n[4] button "Submit"',
         [("click", 1), ("click", 3), ("click", 4)]),
        ("Select Ada from the list and click Submit.", '[1] combobox "Ben" of "Ben" "Ada"\n[2] button "Submit"',
         [("select", 1, "Ada"), ("click", 2)]),
        ('Enter the password "x" into both text fields and press submit.', FIELDS,
         [("type", 1, "x"), ("type", 2, "x"), ("click", 3)]),
        ('Enter the username "u" and the password "p" into the text fields and press login.', FIELDS,
         [("type", 1, "u"), ("type", 2, "p"), ("click", 4)]),
        ("Enter 10/16/2012 as the date and hit submit.", FIELDS, [("type", 1, "2012-10-16"), ("click", 3)]),
        ("Enter 1:05 PM as the time and press submit.", FIELDS, [("type", 1, "13:05"), ("click", 3)]),
        ("Focus into the 2nd input textbox.", FIELDS, [("click", 2)]),
        ("Enter the value of Gender into the text field and press Submit.",
         'text "Year"\ntext "1980"\ntext "Gender"\ntext "Male"\n[1] textbox ""\n[2] button "Submit"',
         [("type", 1, "Male"), ("click", 2)]),
    ],
)  # fmt: skip
def test_it_does_what_the_sentence_says(sentence, page, wanted):
    assert steps(sentence, page, len(wanted)) == wanted


def test_it_errs_as_often_as_told():
    conversation = Conversation(
        "c", [{"role": "user", "content": f'Click on the "Yes" button.\nPage /x\n{BUTTONS}'}], [], 3
    )
    clicked = set()
    for conversation.seed in range(20):
        clicked.add(MiniwobExpert(error=1.0).act(conversation)["tool_calls"][0]["function"]["arguments"]["element"])
    assert clicked == {1, 2, 3}


def test_a_page_it_does_not_know_is_told():
    with pytest.raises(UserError, match="does not know this page: Draw a circle"):
        steps("Draw a circle.", BUTTONS, 1)
