"""The documentation against the program: every command it shows composes, every link leads somewhere."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from agenttrain.config.compose import compose
from agenttrain.errors import UserError

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])
CONFIGURED = {
    "generate-trajectories",
    "sft",
    "rl",
    "eval",
    "credit-check",
    "rescore",
    "turn-values",
    "reward-model",
    "dpo",
    "card",
}


def commands():
    """(page, words) of each agenttrain command in the fenced blocks, continued lines joined, comments cut."""
    for page in PAGES:
        for block in re.findall(r"```(?:sh|bash)?\n(.*?)```", page.read_text(encoding="utf-8"), re.S):
            for line in block.replace("\\\n", " ").splitlines():
                found = re.match(r"(?:\$ )?(?:[A-Z_]+=\S+ )*(?:torchrun .*? )?(?:-m )?agenttrain (\S.*)", line.strip())
                if found and not {"<", "Usage"} & set(line.split()):
                    yield page.name, shlex.split(found[1], comments=True)


SHOWN = [(page, words) for page, words in commands() if words[0] in CONFIGURED and "--help" not in words]


def test_the_pages_show_commands_at_all():
    assert {words[0] for _, words in SHOWN} == CONFIGURED
    assert {"README.md"} < {page for page, _ in SHOWN}


@pytest.mark.parametrize(
    ("page", "words"), SHOWN, ids=lambda value: value if isinstance(value, str) else " ".join(value)
)
def test_a_command_that_is_shown_composes_and_passes_every_check(page, words):
    command, *overrides = words
    sweep = "--multirun" in overrides or "-m" in overrides
    overrides = [word for word in overrides if not word.startswith("-")]
    if sweep:  # the first job of the sweep
        overrides = [re.sub(r"^([\w.]+)=(?!\[)([^,]+),.*", r"\1=\2", word) for word in overrides]
    try:
        compose(command, overrides, None)
    except UserError as error:
        pytest.fail(f"{page}: agenttrain {shlex.join(words)}: {error}")


def test_make_targets_of_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^make (\w+)", (ROOT / "README.md").read_text(), re.M))
    assert targets >= {"demo", "test"}
    assert all(re.search(rf"^{target}:", makefile, re.M) for target in targets)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\((?!http)([^)#]+)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing


def test_the_page_of_commands_is_what_the_commands_say():
    done = subprocess.run([sys.executable, ROOT / "scripts" / "cli_page.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
