import json

import pytest

from agenttrain import seen
from agenttrain.commands.eval import eval
from agenttrain.env.craft import Craft as Env
from agenttrain.errors import UserError
from agenttrain.model.pretrained import Pretrained
from agenttrain.model.tiny import Tiny
from agenttrain.policy.craft_expert import CraftExpert
from agenttrain.policy.local import Local
from agenttrain.rollout import Limits
from agenttrain.store import read
from agenttrain.task.craft import Craft as Tasks
from agenttrain.types import InfraError

LIMITS = Limits(retries=0)


def evaluated(out, policy=None, env=None, n=6, model=None, **options):
    out.mkdir(exist_ok=True)
    policy = policy or CraftExpert(error=0.3)
    eval(model or Tiny(), Tasks("heldout", n=n), env or Env(), policy, LIMITS, out, **options)
    return json.loads((out / "eval.json").read_text())


class Down(CraftExpert):
    """An endpoint that refuses every request, or every request about some of the tasks."""

    def __init__(self, tasks=""):
        super().__init__(error=0.3)
        self._tasks = tasks

    def act(self, conversation):
        if self._tasks in conversation.id:
            raise InfraError("connection refused")
        return super().act(conversation)

    def describe(self):
        return CraftExpert(error=0.3).describe()


def test_an_evaluation_leaves_episodes_figures_and_a_report(tmp_path, capsys):
    found = evaluated(tmp_path / "run", attempts=2)
    episodes = list(read(tmp_path / "run" / "trajectories.jsonl"))
    assert len(episodes) == 12
    won = {(t.task.id, t.attempt): t.success for t in episodes}
    assert found["results"] == {task: [won[task, 0], won[task, 1]] for task, _ in sorted(won)}
    assert (found["tasks"], found["attempts"], found["env"], found["seed"]) == (6, 2, "craft", 0)
    assert found["policy"] == {"name": "CraftExpert", "error": 0.3}
    assert found["versions"]["python"]
    assert (tmp_path / "run" / "report.md").read_text().startswith("# ")
    (row,) = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert row["success"] == found["success"]["value"]
    shown = capsys.readouterr()
    assert "success (95 % interval)" in shown.out
    assert "evaluation: 12/12 episodes" in shown.err


def test_tasks_that_the_model_was_trained_on_are_told(tmp_path, capsys):
    shape = {"layers": 1, "hidden": 32, "heads": 2, "kv_heads": 1, "intermediate": 32}
    loaded = Tiny(**shape).load()
    loaded.save(tmp_path / "model")
    model = Pretrained(path=str(tmp_path / "model"))
    assert evaluated(tmp_path / "unknown", Local(slots=4), n=3, model=model)["seen_in_training"] is None
    tasks = list(Tasks("heldout", n=3))
    seen.write(tmp_path / "model", "tiny-0", [seen.of_task(tasks[1])])
    found = evaluated(tmp_path / "known", Local(slots=4), n=3, model=model)
    assert found["seen_in_training"] == [tasks[1].id]
    told = f"The model was trained on 1 of 3 tasks, the first is {tasks[1].id!r}"
    assert told in capsys.readouterr().out
    assert told in (tmp_path / "known" / "report.md").read_text()


def test_prices_say_what_was_spent_and_one_alone_is_refused(tmp_path, capsys):
    tiny = Local(slots=4)
    found = evaluated(tmp_path / "run", policy=tiny, prompt_price=2.0, completion_price=10.0)
    spent = sum(
        2.0 * turn.action.usage["prompt_tokens"] + 10.0 * turn.action.usage["completion_tokens"]
        for t in read(tmp_path / "run" / "trajectories.jsonl")
        for turn in t.turns
    )
    assert found["cost"]["total"] == pytest.approx(spent / 1e6)
    assert "cost per episode" in capsys.readouterr().out
    with pytest.raises(UserError, match="needs both prices"):
        evaluated(tmp_path / "other", prompt_price=2.0)


def test_any_policy_that_acts_with_a_model_is_given_it(tmp_path):
    class Own(CraftExpert):
        def attach(self, model, chat, name):
            self._attached = (type(model).__name__, name)

    policy = Own()
    evaluated(tmp_path / "run", policy, n=1, model=Tiny(layers=1, hidden=32, heads=2, kv_heads=1, intermediate=32))
    assert policy._attached == ("Qwen3ForCausalLM", "tiny-0")


def test_the_task_set_is_known_by_its_content(tmp_path):
    one, same, other = (evaluated(tmp_path / name, n=n) for name, n in (("a", 3), ("b", 3), ("c", 4)))
    assert one["task_set"] == same["task_set"] != other["task_set"]


def test_conditions_come_from_the_runs_own_configuration(tmp_path):
    (tmp_path / "config.yaml").write_text("env: {slack: 1.25}\nrollout: {max_turns: 40}\nout: x\n")
    assert evaluated(tmp_path)["conditions"] == {"env": {"slack": 1.25}, "rollout": {"max_turns": 40}}


def test_the_model_that_is_measured_is_the_configured_one(tmp_path):
    policy = Local(temperature=0.0, slots=4, context=512)
    found = evaluated(tmp_path, policy, n=2, model=Tiny(seed=3))
    assert found["policy"] == {"name": "tiny-3", "temperature": 0.0, "top_p": 1.0}
    assert found["figures"]["tokens"] > 0


def test_a_failing_server_is_counted_apart_and_its_tasks_are_played_again_on_resume(tmp_path, capsys):
    tasks = [task.id for task in Tasks("heldout", n=6)]
    partial = evaluated(tmp_path, Down(tasks[0]))
    assert partial["stops"]["infra_error"] == 1
    assert tasks[0] not in partial["results"]
    assert "1 of 6 episodes failed through no fault of the agent" in capsys.readouterr().out
    whole = evaluated(tmp_path, resume=True)
    assert "evaluation: 1/1 episodes" in capsys.readouterr().err  # nothing else was played again
    assert len(whole["results"]) == 6
    assert "infra_error" not in whole["stops"]


def test_a_run_in_which_only_the_server_failed_ends_with_code_1_and_the_error(tmp_path):
    with pytest.raises(SystemExit, match=r"every episode failed .*connection refused"):
        evaluated(tmp_path, Down())
    assert not (tmp_path / "eval.json").exists()


def test_success_below_the_demanded_one_ends_with_a_message_after_everything_is_written(tmp_path):
    with pytest.raises(SystemExit, match=r"below min_success=0\.999"):
        evaluated(tmp_path, CraftExpert(error=1.0), min_success=0.999)
    success = json.loads((tmp_path / "eval.json").read_text())["success"]["value"]
    evaluated(tmp_path, CraftExpert(error=1.0), resume=True, min_success=success)  # reached: no exit


def test_a_demand_in_percent_is_refused_before_anything_is_played(tmp_path):
    with pytest.raises(UserError, match="min_success=50 is no success rate"):
        evaluated(tmp_path, min_success=50)
    assert list(tmp_path.iterdir()) == []


def test_another_policy_cannot_resume_an_evaluation(tmp_path):
    evaluated(tmp_path)
    with pytest.raises(UserError, match="were played by"):
        evaluated(tmp_path, CraftExpert(error=0.0), resume=True)


def test_an_earlier_evaluation_is_not_overwritten(tmp_path):
    evaluated(tmp_path)
    with pytest.raises(UserError, match="resume=true"):
        evaluated(tmp_path)


def test_an_empty_task_set_is_said(tmp_path):
    with pytest.raises(UserError, match="nothing to evaluate"):
        evaluated(tmp_path, attempts=0)
