"""A held-out record that training has seen is counted, however it was dressed."""

from agenttrain.trainer.leakage import leaks
from agenttrain.types import Example

LONG = "first look up the river then look up the country that it runs through and say its capital"


def record(asked, said, train=True, source=""):
    messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": said, "train": train}]
    return Example("r", messages, source=source)


def test_the_same_question_is_a_leak_whatever_is_answered_to_it():
    train = [record("Where is Lima?", "In Peru."), record("Where is Oslo?", "In Norway.")]
    found = leaks(train, [record("where is  LIMA", "There."), record("Where is Rome?", "In Peru.")])
    assert (found.records, found.asked, found.said) == (2, 1, 0)
    assert str(found) == "1 of 2 (1 by the question, 0 by what they say)"


def test_what_is_said_leaks_where_most_of_its_words_stand_in_the_data():
    train = [record("Q?", f"Well: {LONG.upper()}!")]
    assert leaks(train, [record("Other?", LONG)]).said == 1
    assert leaks(train, [record("Other?", f"{LONG} of all the towns there")]).said == 0  # 18 of 23 words
    assert leaks(train, [record("Other?", " ".join(reversed(LONG.split())))]).said == 0
    assert leaks([record("Q?", LONG, train=False)], [record("Other?", LONG)]).said == 0


def test_texts_and_calls_count_and_short_answers_do_not():
    function = {"name": "search", "arguments": {"query": LONG}}
    called = record("Q?", "")
    called.messages[1]["tool_calls"] = [{"type": "function", "function": function}]
    assert leaks([called], [record("Other?", LONG)]).said == 1
    assert leaks([Example("t", [], text=LONG)], [Example("u", [], text=f"{LONG}.")]).asked == 1
    assert leaks([record("Q?", "Yes.")], [record("Other?", "Yes.")]).said == 0


def test_repeated_draws_of_a_mixture_are_read_once():
    def draws():
        for _ in range(3):
            yield record("Q?", LONG, source="a:1")
            yield record("P?", "Yes.", source="a:2")

    assert leaks(draws(), [record("P?", "No."), record("Other?", LONG)]) == leaks(
        [record("Q?", LONG), record("P?", "Yes.")], [record("P?", "No."), record("Other?", LONG)]
    )
