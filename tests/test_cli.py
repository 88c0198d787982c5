"""The front door as a user meets it: help, overrides, faults, runs, sweeps, completion."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
import typer
from typer.testing import CliRunner

from agenttrain import cli

COMMANDS = ["generate-trajectories", "sft", "rl", "eval", "credit-check"]
READY = ["model.path=runs/sft/model"]

PROBE = """
import errno, sys, time
from pathlib import Path
from agenttrain.errors import UserError


class Env:
    def __init__(self, slack: float = 1.0) -> None:
        if slack < 0:
            raise ValueError("slack must be 0 or more")


def command(env: Env, out: Path, seed: int, resume: bool, threads: int | None, **rest) -> None:
    (out / "started").write_text("")
    print(f"ran {type(env).__name__} seed={seed} out={type(out).__name__}", flush=True)
    if seed == 3:
        sys.exit(3)
    if seed == 4:
        time.sleep(60)
    if seed == 28:
        raise RuntimeError("saving failed") from OSError(errno.ENOSPC, "No space left on device")


def bug(**rest) -> None:
    1 / 0


def missing_file(out: Path, **rest) -> None:
    raise UserError("data.path=nowhere: no such file")
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty working directory; what is in it afterwards, a command has written."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="module")
def probe(tmp_path_factory):
    """A --config-dir with a module, an environment and a recipe of the user's own, and a command to observe."""
    folder = tmp_path_factory.mktemp("mine")
    (folder / "env").mkdir(parents=True)
    (folder / "conf/slow").mkdir(parents=True)
    (folder / "probe_module.py").write_text(PROBE)
    (folder / "env/probe_env.yaml").write_text("_target_: probe_module.Env\nslack: 1.5\n")
    (folder / "conf/slow/rl.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /credit: gigpo\nseed: 7\ncredit: {gamma: 0.5}\n"
    )
    (folder / "conf/torn").mkdir()
    (folder / "conf/torn/rl.yaml").write_text("# @package _global_\ncredit: {gama: 0.5}\n")
    return folder


def call(*line):
    return CliRunner().invoke(cli.app, [str(word) for word in line])


def probed(probe, *line):
    """Run the probe in place of `rl`."""
    target = ["_target_=probe_module.command", "env=probe_env", "task=craft", *READY]
    return call("rl", *target, *line, "--config-dir", probe)


FAULTS = {
    "unknown key": ("sft model.lora.rr=8", "no 'model.lora.rr' in sft. Did you mean model.lora.r?"),
    "key of another node": ("sft learning_rate=1e-3", "no 'learning_rate' in sft. Did you mean algo.learning_rate?"),
    "misspelt group": ("rl cridit=gigpo", "no 'cridit' in rl. Did you mean credit?"),
    "group of another command": ("sft credit=gigpo", "no group 'credit' in sft. It has: model, data, algo"),
    "unknown option": ("rl credit=gigpoo", "no option 'gigpoo' in group credit. Did you mean gigpo? It has: "),
    "unknown option in a list": ("rl reward=[rlvf,formt]", "no option 'formt' in group reward. Did you mean format?"),
    "unknown recipe": ("rl conf=fireactt", "no recipe 'fireactt'."),
    "text for int": ("sft model.lora.r=eight", "model.lora.r must be int >= 0, got 'eight'"),
    "bool for int": ("rl seed=true", "seed must be int >= 0, got true"),
    "fraction for int": ("sft algo.batch_size=2.5", "algo.batch_size must be int >= 1, got 2.5"),
    "a number out of range": ("rl algo.batch_size=0", "algo.batch_size must be int >= 1, got 0"),
    "no option of a list": ("rl reward=[]", "reward=[] chooses nothing. It has: card, format, "),
    "not one of": ("rl task.split=test", "task.split must be "),
    "wrong element": ("rl report_to=[1]", "report_to must be list"),
    "null where none may be": ("rl seed=null", "seed must be int >= 0, got null"),
    "an algorithm of another command": ("sft algo=grpo", "algo must be Sft, got Grpo"),
    "mandatory value": ("sft data=fireact", "data.path has no value in sft. Give one: data.path=<"),
    "no override at all": ("rl gigpo", "cannot read 'gigpo': an override is key=value or group=option"),
    "broken grammar": ("rl out=a(b", "cannot read 'out=a(b'. Quote the value: \"out='a(b'\""),
    "sweep without --multirun": ("rl credit=grpo,gigpo", "'credit=grpo,gigpo' is a sweep: add --multirun"),
    "unset variable": ("rl model.path=${oc.env:AGENTTRAIN_UNSET}", "'AGENTTRAIN_UNSET' not found"),
    "settings of Hydra": ("rl hydra.searchpath=[file:///]", "Hydra's own settings have no effect here"),
    "no such folder": ("rl --config-dir nowhere", "--config-dir nowhere: no such folder"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_told_in_a_line_and_nothing_is_written(fault, home):
    line, message = FAULTS[fault]
    result = call(*line.split())
    assert message in result.stderr
    assert result.exit_code == 2
    assert len(result.stderr.strip().splitlines()) <= 2
    assert list(home.iterdir()) == []


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "torch.load",
        "numpy.load",
        "builtins.eval",
        "agenttrain.cli.os.system",
        "agenttrain.sweep.subprocess.run",
        "agenttrain.sweep.subprocess",
        "agenttrain.config.compose.import_module",
        "agenttrain.config.compose.compose",
        "agenttrain.sweep._run_one",
        "hydra.utils.call",
        "system",
        "[a]",
    ],
)
def test_only_a_class_of_an_allowed_package_is_ever_called(target, home):
    result = call("rl", *READY, f"credit._target_={target}", "+credit.command=touch owned")
    assert result.exit_code == 2
    assert "credit._target_" in result.stderr
    assert list(home.iterdir()) == []


def test_a_target_hidden_deep_in_a_list_is_refused_too(home):
    result = call("rl", *READY, "report_to=[{_target_:os.system,command:'touch owned'}]")
    assert result.exit_code == 2
    assert "report_to[0]._target_=os.system is not allowed" in result.stderr
    assert list(home.iterdir()) == []


def test_a_fault_takes_less_than_a_second_and_loads_nothing_heavy(home):
    code = (
        "import sys; from agenttrain import cli\n"
        "try: cli.app(['rl', 'model.lora.rr=8'])\n"
        "except SystemExit as end: assert end.code == 2, end.code\n"
        "heavy = {'torch', 'transformers', 'trl', 'numpy', 'datasets'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    start = time.process_time(), os.times().children_user
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert os.times().children_user - start[1] < 1.0


def test_importing_the_command_line_is_light():
    code = (
        "import sys, agenttrain.cli\n"
        "heavy = {'hydra', 'omegaconf', 'torch', 'trl', 'transformers', 'numpy', 'rich', 'yaml'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_help_names_every_command():
    result = subprocess.run([sys.executable, "-m", "agenttrain", "--help"], capture_output=True, text=True)
    assert result.returncode == 0
    assert all(command in result.stdout for command in [*COMMANDS, "inspect", "compare"])


def test_help_lists_options_recipes_and_examples(probe):
    text = call("rl", "--help", "--config-dir", probe).stdout
    assert re.search(r"credit +.*gigpo.*grpo\*", text)
    assert re.search(r"env +.*craft\*.*probe_env", text)
    assert re.search(r"Recipes.*\n.*slow", text)
    assert "agenttrain rl model.path=" in text
    assert "slow" not in call("sft", "--help", "--config-dir", probe).stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_the_examples_of_the_help_compose(command, home):
    for example in cli.EXAMPLES[command]:
        words = [word for word in example.split() if word != "--multirun"]
        line = [word if "[" in word else word.split(",")[0] for word in words]
        assert call(command, *line, "--cfg", "choices").exit_code == 0, example


def test_cfg_prints_what_would_run_and_writes_nothing(home):
    job = call("rl", "credit=gigpo", "credit.gamma=0.5", "--cfg", "job")
    assert job.exit_code == 0
    assert "gamma: 0.5" in job.stdout
    assert "path: " in job.stdout
    choices = call("rl", "credit=gigpo", "env=hopqa", "reward=[rlvf,format]", "--cfg", "choices").stdout.splitlines()
    assert {"credit=gigpo", "env=hopqa", "task=hopqa", "reward=[rlvf,format]"} <= set(choices)
    assert list(home.iterdir()) == []


def test_dry_run_builds_the_light_objects_and_stops(home, probe):
    good = call("rl", *READY, "credit=gigpo", "seed=5", "--dry-run")
    assert good.exit_code == 0, good.stderr
    assert re.search(r"credit +gigpo", good.stdout)
    assert re.search(r"seed +5", good.stdout)
    bad = probed(probe, "env.slack=-1", "--dry-run")
    assert bad.exit_code == 2
    assert "env: slack must be 0 or more" in bad.stderr
    assert list(home.iterdir()) == []


def test_a_single_reward_needs_no_brackets():
    assert "reward=[format]" in call("rl", "reward=format", "--cfg", "choices").stdout


def test_a_recipe_overrides_the_command_and_the_user_overrides_the_recipe(probe):
    choices = call("rl", "conf=slow", "--cfg", "choices", "--config-dir", probe).stdout
    assert "conf=slow" in choices
    assert "credit=gigpo" in choices
    job = call("rl", "conf=slow", "seed=9", "--cfg", "job", "--config-dir", probe).stdout
    assert "gamma: 0.5" in job
    assert "seed: 9" in job
    assert "credit=turn" in call("rl", "conf=slow", "credit=turn", "~credit.gamma", "--cfg", "choices").stdout + (
        call("rl", "credit=turn", "--cfg", "choices").stdout
    )


def test_a_misspelt_key_in_a_recipe_is_found(probe):
    result = call("rl", *READY, "conf=torn", "credit=gigpo", "--config-dir", probe)
    assert result.exit_code == 2
    assert "no 'credit.gama' in rl. Did you mean credit.gamma?" in result.stderr


def test_a_recipe_without_a_part_for_the_command_says_what_it_has(probe):
    result = call("sft", "conf=slow", "--config-dir", probe)
    assert result.exit_code == 2
    assert "recipe 'slow' has no part for sft. It has: rl" in result.stderr


def test_a_run_gets_typed_objects_and_leaves_its_configuration(home, probe):
    result = probed(probe, "env.slack=2", "out=there")
    assert result.exit_code == 0, result.stderr
    assert "ran Env seed=0 out=PosixPath" in result.stdout
    assert "slack: 2" in (home / "there/config.yaml").read_text()


def test_a_filled_folder_is_refused_unless_resumed(home, probe):
    assert probed(probe).exit_code == 0
    again = probed(probe)
    assert again.exit_code == 2
    assert "runs/rl holds an earlier run. Choose another folder with out=..." in again.stderr
    assert probed(probe, "resume=true").exit_code == 0
    (home / "file").write_text("")
    assert "out=file is a file" in probed(probe, "out=file").stderr


def test_a_fault_found_by_the_command_leaves_no_folder_behind(home, probe):
    result = probed(probe, "_target_=probe_module.missing_file")
    assert result.exit_code == 2
    assert "data.path=nowhere: no such file" in result.stderr
    assert list(home.iterdir()) == []


def test_a_key_from_the_environment_is_used_and_never_written(home, probe, monkeypatch):
    monkeypatch.setenv("AGENTTRAIN_SECRET", "hush-hush")
    result = probed(probe, "model.path=${oc.env:AGENTTRAIN_SECRET}", "+model.revision=${model.path}")
    assert result.exit_code == 0, result.stderr
    assert "hush" not in (home / "runs/rl/config.yaml").read_text()
    assert "hush" not in probed(probe, "model.path=${oc.env:AGENTTRAIN_SECRET}", "--cfg", "job").stdout


def test_a_full_disk_is_told_in_a_line(home, probe):
    result = probed(probe, "seed=28")
    assert result.exit_code == 1
    assert "the disk is full" in result.stderr
    assert "Traceback" not in result.output


def test_a_checkpoint_that_torch_cannot_write_to_its_end_is_a_full_disk(capsys):
    with pytest.raises(typer.Exit) as end, cli.plain_faults():
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 1579008 vs 1578896")
    assert end.value.exit_code == 1
    assert "the disk is full" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_a_line(home, probe):
    for out in ("/dev/null/x", "/proc/x"):
        result = probed(probe, f"out={out}")
        assert result.exit_code == 2
        assert f"cannot write to out={out}: " in result.stderr


def test_a_refused_resumption_leaves_the_configuration_of_the_run(home, probe):
    assert probed(probe, "env.slack=2").exit_code == 0
    before = (home / "runs/rl/config.yaml").read_text()
    refused = ["_target_=probe_module.missing_file", *READY, "seed=13", "resume=true"]
    assert call("rl", *refused, "--config-dir", probe).exit_code == 2
    assert (home / "runs/rl/config.yaml").read_text() == before


def test_only_the_first_process_of_a_job_speaks_and_writes(home, probe, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    assert call("rl", "model.lora.rr=8").stderr == ""
    (home / "there").mkdir()
    (home / "there/metrics.jsonl").write_text("")  # what the first process has begun is no earlier run
    result = probed(probe, "out=there")
    assert result.exit_code == 0
    assert result.output.splitlines() == ["ran Env seed=0 out=PosixPath"]
    assert not (home / "there/config.yaml").exists()


def test_a_bug_keeps_its_traceback(home, probe):
    result = probed(probe, "_target_=probe_module.bug")
    assert isinstance(result.exception, ZeroDivisionError)


def start(probe, *line):
    words = ["rl", "_target_=probe_module.command", "env=probe_env", "task=craft", *READY, *line]
    return subprocess.Popen(
        [sys.executable, "-m", "agenttrain", *words, "--config-dir", str(probe)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_ctrl_c_ends_a_run_with_130_and_one_line(home, probe):
    process = start(probe, "seed=4", "env.slack=1")
    wait_for(home / "runs/rl/started")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert err.strip().splitlines() == ["agenttrain: interrupted; resume=true continues what can be continued"]


def test_multirun_runs_the_product_and_survives_a_failing_job(home, probe):
    process = start(probe, "seed=1,3", "env.slack=range(1,3)", "out=many", "--multirun")
    out, err = process.communicate(timeout=240)
    assert process.returncode == 1, err
    folders = sorted(folder.name for folder in (home / "many").iterdir())
    assert folders == [f"{i}-seed-{s}_env.slack-{k}" for i, (s, k) in enumerate([(1, 1), (1, 2), (3, 1), (3, 2)])]
    table = out[out.index("exit") :].splitlines()[1:]
    assert [line.split()[0] for line in table] == ["0", "0", "3", "3"]
    assert all(f"many/{name}" in line for name, line in zip(folders, table, strict=True))


def test_multirun_checks_every_job_before_the_first_starts(home, probe):
    result = probed(probe, "seed=1,two", "--multirun")
    assert result.exit_code == 2
    assert "seed must be int, got 'two'" in result.stderr
    assert list(home.iterdir()) == []
    dry = probed(probe, "seed=1,2", "--multirun", "--dry-run")
    assert dry.exit_code == 0
    assert "[2/2]" in dry.stdout
    assert list(home.iterdir()) == []


def test_ctrl_c_ends_the_jobs_of_a_multirun(home, probe):
    process = start(probe, "seed=4,1", "out=many", "--multirun")
    wait_for(home / "many/0-seed-4/started")
    process.send_signal(signal.SIGINT)  # to the parent alone, as `kill -INT` does; a terminal sends it to both
    process.communicate(timeout=120)
    assert process.returncode == 130
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    assert not (home / "many/1-seed-1").exists()


def wait_for(path):
    for _ in range(2400):
        if path.exists():
            return
        time.sleep(0.05)
    raise AssertionError(f"{path} did not appear")


def completed(line, monkeypatch):
    """What bash would offer: it hands over words split at "="."""
    words = re.findall(r"=|[^=\s]+", f"agenttrain {line}") + ([""] if line.endswith(" ") else [])
    monkeypatch.setenv("_AGENTTRAIN_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", " ".join(words))
    monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
    return CliRunner().invoke(cli.app, prog_name="agenttrain").stdout.split()


def test_completion_knows_groups_options_keys_and_recipes(probe, monkeypatch):
    assert completed("rl cred", monkeypatch)[0] == "credit="
    assert {"gigpo", "grpo", "turn"} <= set(completed("rl credit=", monkeypatch))
    assert completed("rl credit=gi", monkeypatch) == ["gigpo"]
    assert "[rlvf" in completed("rl reward=", monkeypatch)
    assert completed("rl credit=gigpo credit.gam", monkeypatch) == ["credit.gamma=", "credit.gamma=0.95"]
    assert {"gigpo", "turn"} <= set(completed("rl credit=empg credit.base=", monkeypatch))
    assert "credit.base.eps=" in completed("rl credit=empg credit.base.", monkeypatch)
    assert "task.one_hop=" in completed("rl seed=3 task=hopqa task.", monkeypatch)
    assert "slow" in completed(f"rl --config-dir {probe} conf=", monkeypatch)
    assert completed("rl task.split=", monkeypatch) == ["train"]


def test_completion_imports_no_hydra():
    code = "import sys; from agenttrain.completion import complete; complete('rl', [], ''); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "agenttrain.completion" in loaded
    assert "hydra" not in loaded


@pytest.mark.parametrize("model", ["", "model.path=runs/nothing"])
def test_a_model_that_is_not_there_is_told_before_torch_is_loaded(tmp_path, model):
    code = (
        "import sys\n"
        "from agenttrain.cli import app\n"
        f"try: app(['rl', 'out={tmp_path}/run', *{model.split()!r}])\n"
        "except SystemExit as end: print(end.code, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-2:] == ["2", "False"], done.stderr
    assert "model.path" in done.stderr
    assert not (tmp_path / "run").exists()


def test_the_process_ends_with_what_was_registered_for_its_end_and_its_own_exit_code(tmp_path):
    code = (
        "import atexit, sys, threading, time\n"
        "from agenttrain import cli\n"
        "atexit.register(lambda: print('registered'))\n"
        "threading.Thread(target=lambda: (time.sleep(0.3), print('thread'))).start()\n"
        "sys.argv = ['agenttrain', 'sft', 'model.lora.rr=8']\n"
        "cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stdout.split() == ["thread", "registered"]
    assert "Did you mean model.lora.r?" in done.stderr


def test_one_json_object_on_stdout_and_all_else_on_stderr(home):
    done = call("generate-trajectories", "task.n=2", "out=played", "--json")
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["figures"]["success"]["value"] == 1.0
    assert told["files"] == ["config.yaml", "figures.json", "report.html", "report.md", "trajectories.jsonl"]
    assert "success (95 % interval)" in done.stderr
    assert call("generate-trajectories", "seed=1,2", "--multirun", "--json").exit_code == 2
    checked = call("env", "check", "craft", "tasks=2", "--json")
    assert {promise["verdict"] for promise in json.loads(checked.stdout).values()} == {"kept"}
