"""A model's weights in another type, for a while: it acts in half precision and goes on learning in full."""

from __future__ import annotations

from typing import Any

import torch


class Cast:
    """Casts of all float32 parameters of `model`, put in their place in its modules until `undo`.

    The parameters themselves, and so hooks on their gradients and what an optimizer holds, stay untouched.
    """

    def __init__(self, model: Any, dtype: torch.dtype) -> None:
        self._own = [
            (module, name, parameter)
            for module in model.modules()
            for name, parameter in module._parameters.items()
            if parameter is not None and parameter.dtype == torch.float32
        ]
        casts: dict[torch.nn.Parameter, torch.nn.Parameter] = {}
        for module, name, parameter in self._own:
            if parameter not in casts:  # a tied head is one with the embeddings
                casts[parameter] = torch.nn.Parameter(parameter.detach().to(dtype), requires_grad=False)
            module._parameters[name] = casts[parameter]

    def undo(self) -> None:
        """Put the parameters back."""
        for module, name, parameter in self._own:
            module._parameters[name] = parameter
