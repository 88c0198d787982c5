"""Several environments in one run, through the commands."""

import json

from typer.testing import CliRunner

from agenttrain import cli


def test_several_environments_are_generated_trained_and_evaluated_together(tmp_path):
    def run(command, *words):
        done = CliRunner().invoke(cli.app, [command, "env=[craft,corridor]", *words])
        assert done.exit_code == 0, done.output
        return done

    tiny = "layers=1 hidden=32 heads=2 kv_heads=1 head_dim=16 intermediate=32"
    model = ["model=tiny", *(f"model.{word}" for word in tiny.split()), "rollout.max_turns=2", "rollout.max_tokens=8"]
    run("generate-trajectories", "task.n=6", "policy.of.corridor.error=0.2", f"out={tmp_path}/experts")
    played = [json.loads(line) for line in (tmp_path / "experts/trajectories.jsonl").read_text().splitlines()]
    assert all(row["success"] for row in played if row["task_id"].startswith("craft"))
    assert played[0]["policy"]["corridor"]["error"] == 0.2
    assert "| success in craft | 100.0 % (" in (tmp_path / "experts/report.md").read_text()
    run("eval", *model, "policy=local", "task.n=4", "task.shares.craft=3", f"out={tmp_path}/eval")
    played = [json.loads(line) for line in (tmp_path / "eval/trajectories.jsonl").read_text().splitlines()]
    assert sorted(row["task_id"].split("/")[0] for row in played) == ["corridor"] + ["craft"] * 3
    steps = "algo.steps=2 algo.tasks_per_step=2 algo.group_size=2 algo.batch_size=4 task.n=4"
    run("rl", *model, *steps.split(), f"out={tmp_path}/rl")
    played = [json.loads(line) for line in (tmp_path / "rl/trajectories.jsonl").read_text().splitlines()]
    assert {row["task_id"].split("/")[0] for row in played} == {"craft", "corridor"}
