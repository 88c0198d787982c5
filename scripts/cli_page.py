"""Write docs/cli.md from the commands' own --help.

python scripts/cli_page.py            write it
python scripts/cli_page.py --check    exit with 1 if it is out of date
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from agenttrain.cli import app

PAGE = Path(__file__).parent.parent / "docs" / "cli.md"


def main() -> int:
    text = page()
    if sys.argv[1:] == ["--check"]:
        if PAGE.read_text(encoding="utf-8") != text:
            print("docs/cli.md is out of date: run python scripts/cli_page.py", file=sys.stderr)
            return 1
        return 0
    PAGE.write_text(text, encoding="utf-8")
    return 0


def page() -> str:
    parts = ["# Commands\n\nWritten by `python scripts/cli_page.py`; a test holds it to what the commands say.\n"]
    for command in ("", *commands(get_command(app))):
        name = f"agenttrain {command}".strip()
        parts.append(f"\n## {name}\n\n```\n{help_of(command)}\n```\n")
    return "".join(parts)


def commands(group: Any, before: str = "") -> Iterator[str]:
    """Of a group and the groups in it, as they are typed."""
    for name, command in group.commands.items():
        typed = f"{before} {name}".strip()
        if hasattr(command, "commands"):
            yield from commands(command, typed)
        else:
            yield typed


def help_of(command: str) -> str:
    # A fixed width, or the page would depend on the terminal it was written in.
    environment = os.environ | {"COLUMNS": "110", "TERMINAL_WIDTH": "110", "NO_COLOR": "1"}
    arguments = [sys.executable, "-m", "agenttrain", *command.split(), "--help"]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=True)
    return "\n".join(line.rstrip() for line in done.stdout.strip().splitlines())


if __name__ == "__main__":
    sys.exit(main())
