"""Of what people answered: who was preferred by more of them, and what a turn is worth to them together."""

import pytest

from agenttrain.errors import UserError
from agenttrain.labels import Labels, Question, content
from agenttrain.types import Action, Observation, Task, Trajectory, Turn
from agenttrain.votes import account, people, preferred, turn_values


def episode(task, attempt, said="well", turns=2):
    done = [Turn(Action({"role": "assistant", "content": said}), Observation([])) for _ in range(turns)]
    return Trajectory(Task(task, []), done, "done", attempt=attempt)


A, B, C, OTHER = episode("t", 0), episode("t", 1), episode("t", 2), episode("u", 0)
ALL = [A, B, C, OTHER]


@pytest.fixture
def ask(tmp_path):
    """Somebody who is asked, and answers in a file of a name."""

    def asked(name="labels", **answers):
        labels = Labels(tmp_path / f"{name}.jsonl")
        for kind, given in answers.items():
            for shown, answer in given:
                episodes, turn = ((shown[0],), shown[1]) if kind == "turns" else (shown, None)
                labels.write(Question(kind, episodes, turn), answer)
        return labels

    return asked


def pairs(*everyone, most=8, played=ALL):
    return {(pair.chosen.attempt, pair.rejected.attempt) for pair in preferred(everyone, played, most, seed=0)}


def test_whom_a_person_preferred_is_chosen_whichever_stood_first(ask):
    assert pairs(ask(pairs=[((A, B), "first"), ((C, B), "second"), ((A, C), "equal")])) == {(0, 1), (1, 2)}


def test_marks_make_pairs_within_a_task_unless_a_comparison_says_otherwise(ask):
    marks = [((A,), 5), ((B,), 2), ((C,), 2), ((OTHER,), 1)]
    assert pairs(ask(ratings=marks)) == {(0, 1), (0, 2)}
    assert len(pairs(ask(ratings=marks), most=1)) == 1
    assert pairs(ask(ratings=marks, pairs=[((A, B), "second"), ((C, A), "equal")])) == {(1, 0)}


def test_an_answer_never_stands_for_another_episode(ask):
    again = episode("t", 0, said="something else")
    assert pairs(ask(pairs=[((A, B), "first")]), played=[again, B]) == set()


def test_of_several_people_the_greater_number_counts_and_a_draw_makes_no_pair(ask):
    anna = ask("anna", pairs=[((A, B), "first"), ((B, C), "first"), ((A, C), "first")])
    ben = ask("ben", pairs=[((B, A), "second"), ((C, B), "first"), ((A, C), "equal")])
    assert pairs(anna, ben) == {(0, 1), (0, 2)}
    cem = ask("cem", pairs=[((A, B), "second"), ((C, B), "first"), ((C, A), "first")])
    assert pairs(anna, ben, cem) == {(0, 1), (2, 1)}


def test_the_report_tells_what_became_of_every_answer(ask):
    anna = ask("anna", pairs=[((A, B), "first"), ((B, C), "first"), ((A, C), "skip")], turns=[((A, 1), "good")])
    ben = ask("ben", pairs=[((A, B), "second"), ((B, episode("t", 7)), "first")], ratings=[((B,), 3), ((C,), 3)])
    assert account([anna, ben], ALL) == {
        "answers": "7, in 2 files",
        "about episodes that are not here": "1",
        "pairs of which neither was preferred": "1",
    }
    assert account([ask("cem", pairs=[((A, B), "first")])], ALL) == {"answers": "1, in 1 file"}


def test_marks_of_two_people_are_not_compared_with_each_other(ask):
    strict = ask("strict", ratings=[((A,), 2), ((B,), 1)])
    mild = ask("mild", ratings=[((C,), 5), ((B,), 4)])
    assert pairs(strict, mild) == {(0, 1), (2, 1)}, "nothing of A and C, which nobody marked both"


def test_a_comparison_of_one_person_outweighs_the_marks_of_others(ask):
    marks = [ask(name, ratings=[((A,), 5), ((B,), 1)]) for name in ("anna", "ben")]
    assert pairs(*marks) == {(0, 1)}
    assert pairs(*marks, ask("cem", pairs=[((A, B), "second")])) == {(1, 0)}


def test_marks_of_turns_are_values_and_of_several_people_their_mean(ask):
    anna = ask("anna", turns=[((A, 0), "bad"), ((A, 1), "good"), ((B, 1), "skip"), ((C, 1), "neutral")])
    assert turn_values([anna], ALL) == {content(A): {0: 0.0, 1: 1.0}, content(C): {1: 0.5}}
    assert turn_values([anna], [B]) == {}
    ben = ask("ben", turns=[((A, 1), "neutral"), ((B, 1), "good")])
    found = {content(A): {0: 0.0, 1: 0.75}, content(B): {1: 1.0}, content(C): {1: 0.5}}
    assert turn_values([anna, ben], ALL) == found


def test_a_file_that_is_not_there_or_holds_nothing_is_told_whoever_else_answered(ask, tmp_path):
    anna = ask("anna", pairs=[((A, B), "first")])
    assert [one.path for one in people(str(anna.path))] == [anna.path]
    assert len(people([str(anna.path), str(ask("ben", pairs=[((A, B), "skip")]).path)])) == 2
    with pytest.raises(UserError, match=r"there is no file .*ban\.jsonl"):
        people([str(anna.path), str(tmp_path / "ban.jsonl")])
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(UserError, match=r"holds no answer\. `agenttrain label` asks"):
        people(str(tmp_path / "empty.jsonl"))
