"""What is held out is never trained on, not even as another answer to the same question."""

from agenttrain.trainer.heldout import split
from agenttrain.trainer.tokens import Tokens
from agenttrain.types import Example

ANSWER = {"role": "assistant", "content": "A.", "train": True}


def test_records_with_the_same_question_stay_on_one_side():
    rows = [
        (Example(str(n), [{"role": "user", "content": f"Question {n % 10}?"}, ANSWER]), Tokens([n], [n], [0]))
        for n in range(40)
    ]
    train, heldout = split(rows, 0.25, seed=0)
    asked = {row[1].ids[0] % 10 for row in heldout}
    assert 8 <= len(heldout) <= 13
    assert not asked & {row[1].ids[0] % 10 for row in train}
    assert len(train) + len(heldout) == 40
    shuffled = split(rows[::-1], 0.25, seed=0)[1]
    assert {row[1].ids[0] for row in shuffled} == {row[1].ids[0] for row in heldout}
    assert split(rows, 0.0, seed=0)[1] == []
    assert split(rows[:1], 0.5, seed=0) == (rows[:1], [])
