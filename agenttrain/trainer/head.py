"""TRL's output head scores labelled positions only, on a CPU too.

Most of an episode is what the environment said, which nothing is learned from. Without Triton, TRL 1.16 scores every
position all the same, to keep shapes static for compilers that nobody uses here: half of the work of a small model.
"""

import trl.trainer.utils


def score_labelled_only() -> None:
    """Applies to every TRL trainer of this process; losses and gradients stay the same."""
    trl.trainer.utils._use_triton = lambda device: device.type in ("cpu", "cuda")
