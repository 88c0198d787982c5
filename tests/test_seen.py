from agenttrain import seen
from agenttrain.types import Example, Task, Trajectory


def task(name, wood=2):
    return Task(name, [{"role": "user", "content": f"Craft {wood} planks."}], wood)


def record(text, **about):
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": text},
        {"role": "assistant", "content": "Yes.", "train": True},
        {"role": "user", "content": "And then?"},
    ]
    return Example("r", messages, **about)


def played(some, asked="Go on."):
    return Trajectory(some, [], "done", [{"role": "user", "content": asked}])


def test_a_task_is_known_by_its_content_and_a_record_by_its_question(tmp_path):
    seen.write(tmp_path, "tiny-0", [seen.of_task(task("a")), seen.of_example(record("Who wrote  it, then?"))])
    marks = seen.read(str(tmp_path))
    assert seen.tasks_seen([played(task("b")), played(task("c", 3))], marks) == {"b"}
    assert seen.tasks_seen([played(task("d", 4), "who wrote it then"), played(task("e", 4))], marks) == {"d"}


def test_a_record_of_a_task_is_known_by_that_alone():
    """Many environments open every episode with the same words."""
    of_task = seen.of_example(record("Go on.", task="0123456789abcdef"))
    assert of_task == "task 0123456789abcdef"
    assert seen.tasks_seen([played(task("a"))], {of_task}) == set()


def test_what_asks_nothing_is_no_question(tmp_path):
    assert seen.of_example(Example("r", [], text="Once upon a time.")) is None
    seen.write(tmp_path, "tiny-0", [None])
    assert seen.read(str(tmp_path)) == set()
    assert seen.read(str(tmp_path / "elsewhere")) is None, "nobody said so is not nothing"


def test_training_goes_on_from_what_the_base_has_seen(tmp_path):
    base, then = tmp_path / "base", tmp_path / "then"
    base.mkdir(), then.mkdir()
    seen.write(base, "tiny-0", [seen.of_task(task("a"))])
    seen.write(then, str(base), [seen.of_task(task("b", 3))])
    assert seen.tasks_seen([played(task("x")), played(task("y", 3))], seen.read(str(then))) == {"x", "y"}
