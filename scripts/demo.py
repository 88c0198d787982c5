"""The main job, end to end, each step the command a user would type: an agent learns within minutes, on a laptop.

    python scripts/demo.py [--seed 0]

Everything it writes is under runs/demo of the current folder; an earlier demo there is replaced.
"""

import argparse
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path("runs/demo")
STAGES = {"untrained": "model=tiny", "sft": f"model.path={FOLDER}/sft/model", "rl": f"model.path={FOLDER}/rl/model"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="of the expert's errors, the weights and all sampling")
    seed = parser.parse_args().seed
    shutil.rmtree(FOLDER, ignore_errors=True)
    began = time.monotonic()
    seeds = [f"seed={seed}"] if seed else []
    weights = [f"model.seed={seed}"] if seed else []
    run("1. An expert that errs three times in ten plays.", "generate-trajectories", "conf=demo", *seeds)
    run("2. A model of random weights imitates it.", "sft", "conf=demo", *seeds, *weights)
    run("3. The model learns from the outcome of its own episodes; no expert takes part.", "rl", "conf=demo", *seeds)
    for stage, model in STAGES.items():
        more = [*seeds, *(weights if stage == "untrained" else [])]
        run(f"Tasks that no training saw: {stage}.", "eval", "conf=demo", model, f"out={FOLDER}/eval-{stage}", *more)
    runs = [f"{stage}={FOLDER}/eval-{stage}" for stage in STAGES]
    run("What each step gained.", "compare", *runs, "--to", "previous")
    print(f"\nThe whole demo took {(time.monotonic() - began) / 60:.1f} min. What it left:")
    for what, where in (
        ("reports", "*/report.md"),
        ("trajectories", "*/trajectories.jsonl"),
        ("models", "*/model"),
        ("checkpoints", "*/checkpoints/*"),
    ):
        print(f"  {what:<13}", "  ".join(map(str, sorted(FOLDER.glob(where)))))
    return 0


def run(title: str, *arguments: str) -> None:
    print(f"\n{title}\n$ agenttrain {shlex.join(arguments)}", flush=True)
    code = subprocess.run([sys.executable, "-m", "agenttrain", *arguments]).returncode
    if code:
        sys.exit(code)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
