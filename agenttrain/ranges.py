"""Numbers with bounds, as annotations of an option's parameters: a value outside is refused before anything runs.

The command line reads the bounds from the source (`agenttrain.config.signature`); nothing is checked in Python code.
"""

from typing import Annotated

Count = Annotated[int, ">= 1"]
Whole = Annotated[int, ">= 0"]
Positive = Annotated[float, "> 0"]
NonNegative = Annotated[float, ">= 0"]
Share = Annotated[float, ">= 0", "<= 1"]
