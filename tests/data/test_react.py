from agenttrain.data import react


def test_what_was_said_and_what_was_seen_come_apart():
    text = "Thought: a\nAction: search[b]\nObservation: c\nover two lines\nThought 2: d\nAction 2: finish[e]\n"
    assert [(m["role"], m["content"]) for m in react.split(text)] == [
        ("assistant", "Thought: a\nAction: search[b]"),
        ("user", "Observation: c\nover two lines"),
        ("assistant", "Thought 2: d\nAction 2: finish[e]"),
    ]


def test_an_action_is_read_with_brackets_and_lines_inside_it():
    assert react.read_action("Thought: a\nAction: b\nAction: search[x [y]\nz]") == (
        "a\nAction: b",
        "search",
        "x [y]\nz",
    )
    assert react.read_action("Action: finish[e]") == ("", "finish", "e")
    assert react.read_action("Thought 3: a\nAction 3: finish[]") == ("a", "finish", "")
    assert react.read_action("Thought: I should take action: search[x] soon") is None


def test_an_unknown_action_stays_text_and_so_does_its_answer():
    said = [{"role": "assistant", "content": "Action: click[x]"}, {"role": "user", "content": "Observation: no"}]
    assert react.as_calls(said, {"search": "query"}) == said
