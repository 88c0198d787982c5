import pytest

from agenttrain.terminal import plain, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        ("done\rfail\x08\x7f", r"done\rfail\x08\x7f"),
        ("\x9b31m", r"\x9b31m"),
        ("evil\u202etxt.exe\u2066", r"evil\u202etxt.exe\u2066"),
        ("pay\u200bpal\U000e0041\ufeff", r"pay\u200bpal\U000e0041\ufeff"),
        ("a\tb\n語 é 👩\u200d🔬", "a\tb\n語 é 👩\u200d🔬"),
    ],
)
def test_what_steers_a_terminal_is_shown_instead(text, shown):
    assert visible(text) == shown


def test_a_programs_output_is_one_text_with_its_middle_left_out():
    assert plain("a\r\nb\u202ec\x9b\n", 100) == "a\nb\\u202ec\\x9b"
    assert plain("a" * 10 + "b" * 1000 + "c" * 10, 20) == "a" * 10 + "\n[1,000 characters left out]\n" + "c" * 10
