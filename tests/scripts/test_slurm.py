"""The batch script under bash, with stand-ins for what a cluster and an installation provide."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts/slurm/agenttrain.sbatch"


@pytest.fixture
def submit(tmp_path):
    """Starts the script; commands and their arguments land in `tmp_path / "log"`."""

    def start(*arguments, agenttrain="exit 0", gpus="1"):
        bodies = {"agenttrain": agenttrain, "torchrun": "exit 0", "scontrol": "exit 0"}
        for name, body in bodies.items():
            file = tmp_path / name
            file.write_text(f'#!/bin/bash\necho {name} "$@" >> {tmp_path}/log\n{body}\n')
            file.chmod(0o755)
        environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "7"}
        return subprocess.Popen(["bash", SCRIPT, *arguments], env=environment | {"SLURM_GPUS_ON_NODE": gpus})

    return start


def log(tmp_path):
    return (tmp_path / "log").read_text().splitlines()


def test_the_command_runs_as_typed_and_resumes(submit, tmp_path):
    assert submit("eval", "model.path=a b").wait(10) == 0
    assert log(tmp_path) == ["agenttrain eval model.path=a b resume=true"]


def test_training_uses_every_gpu_of_the_job(submit, tmp_path):
    assert submit("rl", "out=runs/x", gpus="4").wait(10) == 0
    assert log(tmp_path) == ["torchrun --standalone --nproc-per-node=4 -m agenttrain rl out=runs/x resume=true"]


def test_a_failure_is_the_jobs_failure_and_is_not_queued_again(submit, tmp_path):
    assert submit("sft", agenttrain="exit 2").wait(10) == 2
    assert len(log(tmp_path)) == 1


def test_at_the_time_limit_the_command_is_interrupted_and_the_job_queued_again(submit, tmp_path):
    stops = "trap 'echo stopped >> $0.log; exit 130' INT\ntouch $0.log\nfor i in {1..100}; do sleep 0.1; done"
    job = submit("rl", agenttrain=stops)
    while not (tmp_path / "agenttrain.log").exists():
        time.sleep(0.02)
    job.send_signal(signal.SIGUSR1)
    assert job.wait(10) == 0
    assert (tmp_path / "agenttrain.log").read_text() == "stopped\n"
    assert log(tmp_path)[-1] == "scontrol requeue 7"
