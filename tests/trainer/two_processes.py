"""What each of two processes runs in test_grpo.py: `python two_processes.py OUT ALGO`."""

import json
import os
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))

from letters import LIMITS, Game, score, small, tasks

from agenttrain import store
from agenttrain.credit.grpo import Grpo as GrpoCredit
from agenttrain.policy.local import Local
from agenttrain.trainer.grpo import Grpo

if __name__ == "__main__":
    torch.set_num_threads(1)
    out, algo = Path(sys.argv[1]), Grpo(**json.loads(sys.argv[2]))
    loaded = small().load(trainable=True)
    with store.Writer(out / f"trajectories.{os.environ['RANK']}.jsonl") as writer:
        policy = Local(slots=8, context=128)
        algo.train(loaded, tasks(4), Game(), score, GrpoCredit(), policy, LIMITS, out, seed=3, keep=writer.write)
