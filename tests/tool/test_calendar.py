"""The calendar tells the day it is given, not the machine's."""

from datetime import date

from agenttrain.tool.calendar import Calendar


def test_it_tells_the_day_that_it_is_given():
    assert Calendar().run("", date(2023, 1, 30)) == "Today is Monday, January 30, 2023."
    assert Calendar().run(" ", date(2024, 2, 9)) == "Today is Friday, February 9, 2024."


def test_an_argument_has_no_answer():
    assert Calendar().run("tomorrow", date(2023, 1, 30)) is None
