"""`conf=toolformer`: a corpus is annotated batch by batch, and continuations are judged like episodes."""

import json
from pathlib import Path

import pytest

from agenttrain import store
from agenttrain.commands.toolformer import annotate, evaluate
from agenttrain.config.compose import compose
from agenttrain.errors import UserError
from agenttrain.model.tiny import Tiny
from agenttrain.tool.calculator import Calculator
from agenttrain.tool.calendar import Calendar
from agenttrain.toolformer.annotate import Annotator
from agenttrain.toolformer.decode import Decoder

MODEL = Tiny(layers=1, hidden=32, heads=2, kv_heads=1, head_dim=16, intermediate=32)
TOOLS = {"calculator": Calculator(k=2, m=1), "calendar": Calendar(tau_s=0.0, k=1, m=1)}


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "texts.jsonl"
    records = [{"text": f"Ada has {n} stamps and gets {n} more.", "date": f"2023-01-{n:02d}"} for n in range(1, 8)]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(path)


def run(corpus, out, **values):
    out.mkdir(exist_ok=True)
    annotate(MODEL, TOOLS, Annotator(max_tokens=4), corpus, out, batch=2, **values)
    return [(out / name).read_text() for name in ("annotated.jsonl", "candidates.jsonl")]


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def test_every_text_has_a_line_and_every_candidate_a_row(corpus, tmp_path, capsys):
    texts, candidates = map(lines, run(corpus, tmp_path / "out"))
    assert [line["text"] for line in texts] == [line["text"] for line in lines(Path(corpus).read_text())]
    assert len(candidates) == 7 * (2 + 1)
    wanted = "text tool position at p call result loss_empty loss_call loss_result gain kept reason"
    assert set(candidates[0]) == set(wanted.split())
    report = (tmp_path / "out/report.md").read_text()
    assert "| texts in | 7 |" in report
    assert "| Calculator, candidates | 14 |" in report
    assert "| Calculator, dropped, not in form | 14 |" in report
    assert "Calendar, kept" in capsys.readouterr().out


def test_a_killed_run_goes_on_to_the_same_files(corpus, tmp_path):
    whole = run(corpus, tmp_path / "whole")
    files = [tmp_path / "killed" / name for name in ("annotated.jsonl", "candidates.jsonl")]
    run(corpus, tmp_path / "killed")
    files[0].write_text("".join(whole[0].splitlines(keepends=True)[:3]) + '{"text": "torn')
    files[1].write_text(whole[1][:-30])
    assert run(corpus, tmp_path / "killed", resume=True) == whole
    assert run(corpus, tmp_path / "killed", resume=True) == whole


def test_another_corpus_is_not_gone_on_with(corpus, tmp_path):
    run(corpus, tmp_path / "out")
    other = tmp_path / "other.jsonl"
    other.write_text('{"text": "Something else."}\n')
    with pytest.raises(UserError, match="another corpus"):
        run(str(other), tmp_path / "out", resume=True)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("", "holds no record"),
        ('{"text": " "}\n', "holds no text"),
        ('{"question": "?"}\n', "'text' is missing"),
        ('{"text": "x", "date": "30.1.2023"}\n', "is no date"),
    ],
)
def test_a_corpus_of_another_form_is_told_and_nothing_is_written(content, fault, tmp_path):
    (tmp_path / "texts.jsonl").write_text(content)
    with pytest.raises(UserError, match=fault):
        run(str(tmp_path / "texts.jsonl"), tmp_path / "out")
    assert not any((tmp_path / "out").iterdir())


def test_evaluation_leaves_what_every_evaluation_leaves(tmp_path):
    (tmp_path / "q.jsonl").write_text('{"text": "Ada has", "answer": "7"}\n{"text": "Otto has", "answer": "8"}\n')
    out = tmp_path / "out"
    out.mkdir()
    evaluate(MODEL, TOOLS, Decoder(k=2048, max_tokens=4), str(tmp_path / "q.jsonl"), out)
    figures = json.loads((out / "eval.json").read_text())
    assert figures["results"] == {"0": [False], "1": [False]}
    assert figures["facts"] == {"call_executed": 0.0, "call_opened": 1.0}  # k is the whole vocabulary
    assert [t.task.answer for t in store.read(out / "trajectories.jsonl")] == ["7", "8"]
    assert "success" in (out / "report.md").read_text()


@pytest.mark.parametrize(
    ("match", "answer", "said", "right"),
    [
        ("number", "7", " 7 stamps", True),
        ("number", "7", " 77 stamps", False),
        ("number", "7", " 8, not 7", False),
        ("number", "-7.5", " -7.5", True),
        ("words", "New York", " the city of New York", True),
        ("words", "New York", " in the far city of New York", False),
        ("words", "York", " Yorkshire", False),
    ],
)
def test_what_counts_as_right(match, answer, said, right):
    from agenttrain.commands.toolformer import _episode
    from agenttrain.toolformer.decode import Continuation
    from agenttrain.types import Task

    task = Task("0", [{"role": "user", "content": "x"}], answer)
    assert _episode(task, Continuation(said, said), match, {}).success is right


@pytest.mark.parametrize("word", ["attempts=2", "env=craft", "policy.error=0.1", "task.n=3"])
def test_a_setting_that_the_recipe_has_no_part_for_is_refused(word):
    with pytest.raises(UserError, match="has no effect"):
        compose("generate-trajectories", ["conf=toolformer", "corpus=x", "model=tiny", word])


def test_tools_are_added_and_taken_away():
    words = ["conf=toolformer", "corpus=x", "model=tiny", "~tools.calendar"]
    added = ["+tool@tools.search=search", "tools.search.path=passages.jsonl"]
    assert set(compose("generate-trajectories", words + added).values["tools"]) == {"calculator", "search"}
