"""What a folder holds is read, also while it is being written, and a wrong one is told."""

import json
import shutil
from pathlib import Path

import pytest

from agenttrain import store
from agenttrain.errors import UserError
from agenttrain.report import run

TINY = Path(__file__).parents[2] / "agenttrain/model/tiny_tokenizer"


def test_a_run_is_read_whole(folder):
    read = run.read(folder, "mine", 100)
    assert (read.command, len(read.kept), read.kept.seen) == ("rl", 12, 12)
    assert dict(read.chosen()) == {"seed": "7", "credit": "gigpo", "reward": "rlvf"}
    assert [row["step"] for row in read.rows] == [1, 2, 3]
    first = read.rows[0]
    assert (first["episodes"], first["sampled_tokens"], first["episode_tokens"]) == (4, 4, 8)
    assert (first["env_seconds"], first["policy_seconds"]) == (16, 4)
    assert first["success"] == 0.125


def test_several_lines_of_one_step_are_one_row_and_a_torn_last_one_is_left_out(folder):
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "heldout_loss": 0.5}\n{"step": 4, "succ')
    rows = run.read(folder, "mine", 100).rows
    assert len(rows) == 3
    assert (rows[2]["heldout_loss"], rows[2]["success"]) == (0.5, 0.375)


def test_a_broken_line_between_others_is_told(folder):
    (folder / "metrics.jsonl").write_text('{"step": 1}\nnonsense\n{"step": 2}\n')
    with pytest.raises(UserError, match=r"metrics\.jsonl:2"):
        run.read(folder, "mine", 100)


def test_files_of_further_processes_and_runs_without_episodes_count(folder, episode):
    store.append(folder / "trajectories.1.jsonl", episode("third", 0, step=2))
    assert run.read(folder, "mine", 100).kept.seen == 13
    for file in folder.glob("trajectories*"):
        file.unlink()
    read = run.read(folder, "mine", 100)
    assert (len(read.kept), len(read.rows)) == (0, 3)


def test_a_trajectory_file_will_do(folder):
    read = run.read(folder / "trajectories.jsonl", "mine", 100)
    assert (len(read.kept), [row["episodes"] for row in read.rows]) == (12, [4, 4, 4])


@pytest.mark.parametrize("place", ["nothing", "empty"])
def test_a_place_without_a_run_is_told(tmp_path, place):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="out folder"):
        run.read(tmp_path / place, "mine", 100)


def test_the_tokenizer_is_the_models_or_the_one_that_is_named(folder, tmp_path):
    assert not run.read(folder, "mine", 100).words.known
    assert run.read(folder, "mine", 100, TINY).words.known
    with pytest.raises(UserError, match=r"tokenizer\.json"):
        run.read(folder, "mine", 100, tmp_path)
    shutil.copytree(TINY, folder / "model")
    assert run.read(folder, "mine", 100).words.known


def test_the_runs_own_summary_is_taken_along(folder):
    assert run.read(folder, "mine", 100).summary == ""
    (folder / "report.md").write_text("# What came of it")
    assert run.read(folder, "mine", 100).summary == "# What came of it"
    assert run.read(folder / "trajectories.jsonl", "mine", 100).summary == ""


def test_an_evaluation_of_another_version_does_not_stop_a_report(folder):
    (folder / "eval.json").write_text(json.dumps({"schema": "agenttrain.eval/0"}))
    assert run.read(folder, "mine", 100).facts == [("eval.json", "not shown: another version of agenttrain wrote it")]
