import json

import pytest

from agenttrain.card.course import trained_by
from agenttrain.errors import UserError


def run(folder, successes):
    (folder / "mine.py").write_text("def reward(trajectory): ...")
    (folder / "config.yaml").write_text(f"reward: {{card: {{path: {folder / 'mine.py'}}}}}")
    rows = [{"step": n, "success": s, "reward": 2 * s, "turns": 9.0} for n, s in enumerate(successes)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"train_loss": 0.1}]))
    return folder


def test_the_course_is_told_in_fifths(tmp_path):
    source, told = trained_by(run(tmp_path, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.0, 1.0, 0.5, 0.0]))
    assert source == "def reward(trajectory): ..."
    assert "for 10 steps. In 5 parts" in told
    assert "succeeded was 0.1, 0.5, 0.9, 1, 0.25;" in told
    assert "reward 0.2, 1, 1.8, 2, 0.5;" in told
    assert "9, 9, 9, 9, 9 turns" in told


def test_what_is_no_such_run_is_told(tmp_path):
    with pytest.raises(UserError, match="is no run of rl by reward=card"):
        trained_by(tmp_path)
    run(tmp_path, [])
    with pytest.raises(UserError, match="has no step"):
        trained_by(tmp_path)
    (tmp_path / "config.yaml").write_text("reward: {rlvf: {}}")
    with pytest.raises(UserError, match="KeyError: 'card'"):
        trained_by(tmp_path)
