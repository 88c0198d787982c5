import pytest

from agenttrain.terminal import visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        ("done\rfail\x08\x7f", r"done\rfail\x08\x7f"),
        ("\x9b31m", r"\x9b31m"),
        ("evil\u202etxt.exe\u2066", r"evil\u202etxt.exe\u2066"),
        ("a\tb\n語 é 👩\u200d🔬", "a\tb\n語 é 👩\u200d🔬"),
    ],
)
def test_what_steers_a_terminal_is_shown_instead(text, shown):
    assert visible(text) == shown
