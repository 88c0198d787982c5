"""What each of two processes runs: `python two_processes.py OUT OPTIONS CREDIT...`, a run in OUT/CREDIT for each."""

import json
import os
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))

from letters import LIMITS, Game, algo_of, credit_of, score, small, tasks

from agenttrain import store
from agenttrain.policy.local import Local
from agenttrain.trainer.episodes import Flow

if __name__ == "__main__":
    torch.set_num_threads(1)
    options = json.loads(sys.argv[2])
    for name in sys.argv[3:]:
        out, credit = Path(sys.argv[1]) / name, credit_of(name)
        with store.Writer(out / f"trajectories.{os.environ['RANK']}.jsonl") as writer:
            algo, loaded = algo_of(credit, **options), small().load(trainable=True)
            policy = Local(slots=8, context=128)
            algo.train(loaded, Flow(tasks(4), Game(), policy, LIMITS, score, credit, seed=3), out, keep=writer.write)
