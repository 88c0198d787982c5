"""An option's hyper-parameters -> TRL's argument class, with `extra` checked by name."""

from __future__ import annotations

import warnings
from typing import Any, TypeVar

from agenttrain.errors import UserError, did_you_mean

T = TypeVar("T")


def trl_arguments(kind: type[T], algo: str, named: dict[str, Any], extra: dict[str, Any]) -> T:
    """`kind(**named, **extra)`.

    Raises:
        UserError: `extra` names what `kind` lacks or what an option of `algo` sets; a value that `kind` refuses; a
            logger in `report_to` that is not installed.
    """
    from transformers.integrations import get_available_reporting_integrations

    for logger in named.get("report_to") or ():
        if logger not in get_available_reporting_integrations():
            raise UserError(f"report_to: {logger} is not installed. Try: pip install {logger}")
    known = kind.__dataclass_fields__  # type: ignore[attr-defined]
    for name in extra:
        if name in named:
            raise UserError(f"algo.extra.{name} is set by an option of algo={algo} itself (see conf/algo/{algo}.yaml).")
        if name not in known:
            hint = did_you_mean(name, known)
            raise UserError(f"algo.extra.{name}: TRL's {kind.__name__} has no such argument.{hint}")
    try:
        with warnings.catch_warnings():
            # TRL 1.16 sets it under the name that transformers 5.2x gave up.
            warnings.filterwarnings("ignore", "`gradient_checkpointing`", FutureWarning)
            return kind(**named, **extra)
    except (ImportError, ValueError) as error:
        raise UserError(f"algo={algo}: {str(error).splitlines()[0]}") from error
