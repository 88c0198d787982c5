import json

from agenttrain.run_folder import summary


def test_of_training_the_last_of_each_figure_is_told(tmp_path):
    rows = [{"step": 1, "loss": 2.0, "heldout": 3.0}, {"step": 2, "loss": 1.0}]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "model").mkdir()
    told = summary(tmp_path)
    assert told == {
        "out": str(tmp_path),
        "files": ["metrics.jsonl", "model/"],
        "figures": {"step": 2, "loss": 1.0, "heldout": 3.0},
    }


def test_an_evaluation_is_told_whole(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n')
    (tmp_path / "eval.json").write_text('{"success": {"value": 0.5}}')
    assert summary(tmp_path)["figures"] == {"success": {"value": 0.5}}
