"""scripts/recipes/preference.py reads what `eval` left, and tells each arm's gain on the clone and on imitation."""

import importlib.util
import json
import sys
from pathlib import Path

FILE = Path(__file__).parents[2] / "scripts" / "recipes" / "preference.py"


def load():
    before = list(sys.path)
    sys.path.insert(0, str(FILE.parent))
    spec = importlib.util.spec_from_file_location("preference", FILE)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    sys.path[:] = before
    return script


def test_every_step_is_a_command_and_success_is_that_of_eval(tmp_path, monkeypatch):
    script, typed = load(), []

    def command(out, name, *words):
        typed.append((name, out.name, words))
        out.mkdir(parents=True)
        (out / "eval.json").write_text(json.dumps({"success": {"value": len(typed) / 100}}))

    monkeypatch.setattr(script, "command", command)
    row = script.one_seed(tmp_path, 9, 5)
    assert [(command, name) for command, name, _ in typed if command in ("sft", "dpo")] == [
        ("sft", "clone"),
        ("sft", "sft"),
        ("dpo", "dpo"),
        ("dpo", "dpo-nll"),
    ]
    assert row == {"clone": 0.07, "sft": 0.08, "dpo": 0.09, "dpo, nll": 0.10}
    models = [words[1] for command, _, words in typed if command == "eval"]
    assert models == [f"model.path={tmp_path / '5' / name}/model" for name in ("clone", "sft", "dpo", "dpo-nll")]
    assert "algo.nll=1" in typed[5][2]
    assert "algo.nll=1" not in typed[4][2]


def test_the_table_has_means_and_paired_differences():
    text = load().table([0, 4], [{"clone": 0.3, "sft": 0.5, "dpo": 0.4}, {"clone": 0.4, "sft": 0.6, "dpo": 0.5}])
    assert "| mean | 35.0% | 55.0% | 45.0% |" in text
    assert "| sft - clone | +20.0 (+20.0 to +20.0) |" in text
    assert "| dpo - sft | -10.0 (-10.0 to -10.0) |" in text
