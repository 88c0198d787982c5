"""`python -m agenttrain` is `agenttrain`."""

from agenttrain.cli import main

main()
