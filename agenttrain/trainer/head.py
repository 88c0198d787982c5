"""TRL's output head scores labelled positions only, on a CPU too.

Most of an episode is what the environment said, which nothing is learned from. Without Triton, TRL 1.16 scores every
position all the same, to keep shapes static for compilers that nobody uses here: half of the work of a small model.
"""

from typing import Any

import trl.trainer.utils


def score_labelled_only() -> None:
    """Applies to every TRL trainer of this process; losses and gradients stay the same."""
    trl.trainer.utils._use_triton = lambda device: device.type in ("cpu", "cuda")


def set_temperature(model: Any, temperature: float) -> None:
    """Divide the logits that the fused head scores by this from now on.

    TRL takes the temperature once, into the closure of the forward that it puts in the model's place. Putting another
    one there would undo what accelerate has wrapped around it since.
    """
    forward = model.forward
    while not (cells := getattr(forward, "__closure__", None)) or "temperature" not in forward.__code__.co_freevars:
        forward = getattr(forward, "__func__", None) or forward.__wrapped__
    cells[forward.__code__.co_freevars.index("temperature")].cell_contents = temperature
