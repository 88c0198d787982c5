"""The front door: `agenttrain <command>` imports nothing heavy, says faults in a line, then calls the command."""

from __future__ import annotations

import atexit
import errno
import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer

from agenttrain import completion
from agenttrain.errors import UserError
from agenttrain.terminal import visible

app = typer.Typer(
    help="Train language models to act: generate-trajectories -> sft -> rl -> eval.",
    no_args_is_help=True,
    rich_markup_mode=None,  # rich would double the time of --help
    pretty_exceptions_enable=False,
)

EXAMPLES = {
    "generate-trajectories": ["env=craft attempts=2", "policy=local model.path=runs/sft/model"],
    "sft": ["data.path=runs/generate-trajectories/trajectories.jsonl", "model.lora.r=8 seed=1,2,3 --multirun"],
    "rl": ["model.path=runs/sft/model", "model.path=runs/sft/model credit=gigpo out=runs/gigpo"],
    "eval": ["model.path=runs/rl/model", "model.path=runs/rl/model attempts=4"],
    "rescore": ["path=runs/rl reward=[rlvf,safety]", "path=runs/eval/trajectories.jsonl reward=strict"],
    "turn-values": ["path=runs/own model.path=runs/sft/model", "path=runs/own policy=craft_expert continuations=1"],
    "reward-model": [
        "path=runs/rl model.path=runs/sft/model",
        "path=[runs/a,runs/b] algo.objective=outcomes",
    ],
    "dpo": ["path=runs/rl model.path=runs/sft/model", "path=runs/rl model.path=runs/sft/model labels=labels.jsonl"],
    "card": [
        "path=runs/own candidates=rewards",
        "path=runs/own coder.model=my-model coder.url=http://localhost:8000/v1",
    ],
    "credit-check": ["credit=[mt_grpo,turn] process=stop_per_turn", "credit=gigpo credit.gigpo.gamma=1"],
}

Overrides = Annotated[list[str] | None, typer.Argument(help="key=value, group=option", autocompletion=completion.typed)]
Multirun = Annotated[bool, typer.Option("--multirun", "-m", help="Run the product of all a=1,2 sweeps.")]
Cfg = Annotated[Literal["job", "choices"] | None, typer.Option("--cfg", help="Print the configuration and stop.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check the configuration, say what would run, stop.")]
ConfigDir = Annotated[Path | None, typer.Option("--config-dir", help="A folder with your own options and recipes.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object; all else that is said goes to stderr.")]
Help = Annotated[bool, typer.Option("--help", help="Show this message and exit.")]


def _configured(name: str, short: str, summary: str) -> None:
    """Register a command that takes its parameters from `conf/<name>.yaml`."""

    @app.command(name, short_help=short, help=summary, add_help_option=False)
    def command(
        ctx: typer.Context,
        overrides: Overrides = None,
        multirun: Multirun = False,
        cfg: Cfg = None,
        dry_run: DryRun = False,
        config_dir: ConfigDir = None,
        as_json: Json = False,
        help: Help = False,
    ) -> None:
        with plain_faults():
            if help:
                typer.echo(ctx.get_help() + "\n\n" + completion.listing(name, EXAMPLES[name], config_dir))
            elif multirun and as_json:
                raise UserError("--json prints one run; each job of a sweep leaves its own figures in its folder.")
            elif multirun:
                from agenttrain import sweep

                raise typer.Exit(sweep.run(name, overrides or [], config_dir, dry_run))
            else:
                run(name, overrides or [], config_dir, cfg, dry_run, as_json)


_configured(
    "generate-trajectories", "Play episodes and keep them.", "Let a policy act in an environment and keep what happens."
)
_configured(
    "sft", "Train on recorded trajectories.", "Train on recorded trajectories: only chosen assistant turns carry loss."
)
_configured(
    "rl",
    "Train by reinforcement.",
    "Train by reinforcement: the policy acts, is scored, and learns from its own tokens.",
)
_configured(
    "eval", "Measure a policy.", "Measure a policy: success with its interval, turns, invalid calls, truncations."
)
_configured(
    "credit-check",
    "Measure strategies of credit.",
    "Measure strategies of credit: bias and noise of the gradient that each gives, where the exact one is known.",
)
_configured(
    "rescore",
    "Score stored trajectories again.",
    "Score stored trajectories by any reward, without playing them again, and tell what that changes.",
)
_configured(
    "turn-values",
    "Value the turns of stored trajectories.",
    "Value each turn of stored trajectories: a policy goes on from there several times; the share of successes.",
)
_configured(
    "reward-model",
    "Train a reward model.",
    "Train a reward model on pairs of stored trajectories, a success and a failure of one task, for reward=learned.",
)
_configured(
    "dpo",
    "Train on preference pairs.",
    "Train on pairs of stored trajectories, by outcome or by people's labels: direct preference optimization (DPO).",
)
_configured(
    "card",
    "Judge reward functions before training.",
    "Check reward functions, given or written by a model, and judge them on stored trajectories, for reward=card.",
)


@app.command(short_help="Show and check what sft would train.")
def inspect(
    path: Annotated[Path, typer.Argument(help="A run's folder, a trajectory file, or a data file.")],
    overrides: Overrides = None,
    data: Annotated[str | None, typer.Option(help="Option of the group data that reads the file.")] = None,
    model: Annotated[str | None, typer.Option(help="Whose tokens: tiny, a folder, or a name on the hub.")] = None,
    n: Annotated[int, typer.Option("-n", help="Records to show; the masks of all are checked.")] = 3,
    config_dir: ConfigDir = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the counts, or the fault, as one JSON object.")
    ] = False,
) -> None:
    """Show what sft would train, token by token, and check every mask."""
    with plain_faults():
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        from agenttrain.commands.inspect import inspect

        raise typer.Exit(inspect(path, data, model, n, overrides or [], config_dir, as_json))


@app.command()
def compare(
    runs: Annotated[list[str], typer.Argument(help="Folders of eval or eval.json files: [label=]path.")],
    to: Annotated[Literal["first", "previous"], typer.Option(help="What each run is compared with.")] = "first",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    max_regression: Annotated[
        float | None, typer.Option(help="Exit code 1 if success fell by more points than this.", min=0, max=100)
    ] = None,
) -> None:
    """Compare runs of eval, paired by task."""
    with plain_faults():
        from agenttrain.commands.compare import compare

        compare(runs, to, as_json, max_regression)


@app.command(short_help="Show a run in one HTML file.")
def report(
    runs: Annotated[list[str], typer.Argument(help="One run's folder, or two to compare: [label=]path.")],
    out: Annotated[
        Path | None, typer.Option(help="The file; else report.html, or comparison.html, in its folder.")
    ] = None,
    most: Annotated[
        int, typer.Option(help="Episodes of each run; of more, whole groups evenly over it.", min=1)
    ] = 2000,
    tokenizer: Annotated[
        Path | None, typer.Option(help="Whose tokens, if not the run's own model's: a folder.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show a run, or two side by side, in one HTML file that needs no server, no account and no connection."""
    with plain_faults():
        from agenttrain.commands.report import report

        report(runs, out, most, tokenizer, as_json)


@app.command(short_help="Show a run while it goes on.")
def view(
    runs: Annotated[list[str], typer.Argument(help="One run's folder, or two to compare: [label=]path.")],
    port: Annotated[int, typer.Option(help="Of 127.0.0.1; 0 for any that is free.", min=0, max=65535)] = 8321,
    once: Annotated[bool, typer.Option("--once", help="Show it here, and stop.")] = False,
    episode: Annotated[int | None, typer.Option(help="Number of an episode to show here, and stop.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, and stop.")] = False,
    most: Annotated[int, typer.Option(help="Episodes of each run, as in report.", min=1)] = 2000,
    tokenizer: Annotated[Path | None, typer.Option(help="As in report.")] = None,
) -> None:
    """Show a run, or two, on this terminal and on a page for this machine's browser, up to date until Ctrl-C."""
    with plain_faults():
        from agenttrain.commands.view import view

        view(runs, port, once, episode, most, tokenizer, as_json)


@app.command(short_help="Ask a person about stored trajectories.")
def label(
    path: Annotated[Path, typer.Argument(help="A run's folder or a trajectory file.")],
    ask: Annotated[
        Literal["pairs", "ratings", "turns"],
        typer.Option(help="Which of two is better, a mark, or which turns are good."),
    ] = "pairs",
    out: Annotated[
        Path | None, typer.Option(help="The file of answers; labels.jsonl beside the trajectories if not given.")
    ] = None,
    most: Annotated[int, typer.Option(help="Pairs, or trajectories, of one task.", min=1)] = 4,
    mixed: Annotated[bool, typer.Option("--mixed", help="Of pairs, only those of a success and a failure.")] = False,
    seed: Annotated[int, typer.Option(help="Of the order, and of which of two stands first.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object at the end.")] = False,
) -> None:
    """Ask a person which of two episodes is better, for a mark, or which turns are good; goes on where it was.

    One key and Enter for each. Answers come from the input, so a program can give them, too.
    """
    with plain_faults():
        from agenttrain.commands.label import label

        label(path, out, ask, most, mixed, seed, as_json)


@app.command(short_help="Measure how far people's labels agree.")
def agreement(
    files: Annotated[list[Path], typer.Argument(help="Files of answers of `label`, one of each person.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list.")] = False,
) -> None:
    """Measure how far every two people agree on what `label` asked both, and how far that is beyond chance."""
    with plain_faults():
        from agenttrain.commands.agreement import agreement

        agreement(files, as_json)


@app.command(short_help="Write a run's episodes for others' tools.")
def export(
    run: Annotated[Path, typer.Argument(help="A run's folder or a trajectory file.")],
    out: Annotated[
        Path | None, typer.Option(help="The file; episodes.eval beside the trajectories if not given.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Write a run's episodes as a log of Inspect, for `inspect view`; needs pip install 'agenttrain[inspect]'."""
    with plain_faults():
        from agenttrain.commands.export import export

        export(run, out, as_json)


@app.command(short_help="Say what is wrong with this machine, or with a run.")
def doctor(
    runs: Annotated[list[Path] | None, typer.Argument(help="Out folders of runs; none: this machine.")] = None,
    url: Annotated[str | None, typer.Option(help="An endpoint to ask for its models, as policy.url.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say what is wrong with runs, or what works on this machine, and what to do about the rest. Faults exit with 1."""
    with plain_faults():
        from agenttrain.commands.doctor import doctor

        raise typer.Exit(doctor(runs or (), url, as_json))


env_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
app.add_typer(
    env_app, name="env", help="Check an environment, or serve it.", short_help="Check an environment, or serve it."
)


@env_app.command("check", short_help="Try an environment's promises.")
def env_check(
    name: Annotated[str, typer.Argument(help="An option of the group env.", show_default=False)],
    overrides: Overrides = None,
    config_dir: ConfigDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Try what every environment promises: seeds, isolation, schemas, refusals, an expert that solves it, no leak.

    The expert is policy=NAME_expert, if there is one, or another policy=. The exit code is 1 if a promise is broken.
    """
    with plain_faults():
        from agenttrain.config.compose import compose

        chosen = _without_expert(name, [f"env={name}", *(overrides or [])], config_dir)
        compose("env-check", chosen + ["as_json=true"] * as_json, config_dir).call()()


@env_app.command("serve", short_help="Serve an environment to others.")
def env_serve(
    name: Annotated[str, typer.Argument(help="An option of the group env.", show_default=False)],
    overrides: Overrides = None,
    config_dir: ConfigDir = None,
) -> None:
    """Serve an environment by OpenEnv's protocol until Ctrl-C, for trainers of others.

    port=8000 host=127.0.0.1 sessions=64 seconds=30 are its settings; task= and env. as elsewhere.
    """
    with plain_faults():
        from agenttrain.config.compose import compose

        compose("env-serve", [f"env={name}", *(overrides or [])], config_dir).call()()


reward_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
app.add_typer(reward_app, name="reward", help="Audit a reward.", short_help="Audit a reward.")


@reward_app.callback()
def _reward() -> None:
    """Audit a reward."""


@reward_app.command("audit", short_help="What a reward pays for nothing.")
def reward_audit(
    name: Annotated[str, typer.Argument(help="Options of the group reward: rlvf or rlvf,format.", show_default=False)],
    overrides: Overrides = None,
    config_dir: ConfigDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Play policies that achieve nothing, and an expert: those must score at the floor, the expert at the top.

    The environment is env=craft or another, the expert its policy=NAME_expert, if there is one. The exit code is 1 if
    the reward pays for nothing, fails, or scores an episode differently the second time.
    """
    with plain_faults():
        from agenttrain.config.compose import compose

        env = next((word.partition("=")[2] for word in overrides or () if word.startswith("env=")), "craft")
        chosen = _without_expert(env, [f"env={env}", f"reward=[{name.strip('[]')}]", *(overrides or [])], config_dir)
        compose("reward-audit", chosen + ["as_json=true"] * as_json, config_dir).call()()


def _without_expert(env: str, chosen: list[str], config_dir: Path | None) -> list[str]:
    """The overrides, and where the environment has no expert and none is named, one more that leaves it out."""
    from agenttrain.config import options
    from agenttrain.config.overrides import innermost, parse

    where = options.folders(config_dir)
    inner = innermost("env", parse(chosen), where)
    named = any(word.startswith("policy=") for word in chosen)
    if named or options.option_file("policy", f"{inner}_expert", where) or not options.option_file("env", env, where):
        return chosen
    return [*chosen, "~policy"]


def run(
    command: str,
    overrides: list[str],
    config_dir: Path | None,
    cfg: str | None,
    dry_run: bool,
    as_json: bool = False,
) -> None:
    """Compose, check, build, and call one command.

    Raises:
        UserError: anything the user can mend; then nothing has been written.
    """
    from agenttrain import run_folder
    from agenttrain.config.compose import compose

    composed = compose(command, overrides, config_dir, complete=cfg is None)
    if cfg == "job":
        _say(composed.yaml().rstrip())
        return
    if cfg == "choices":
        _say("\n".join(f"{group}={option}" for group, option in composed.choices.items()))
        return
    out = Path(composed.values["out"])
    run_folder.check(out, composed.values.get("resume"))
    _set_threads(composed.values.get("threads"))
    call = composed.call()
    if dry_run:
        plain = {k: v for k, v in composed.shown.items() if k != "_target_" and not isinstance(v, dict)}
        figures = composed.choices | plain
        _say(f"agenttrain {command} would run with\n" + "\n".join(f"  {k:<10} {v}" for k, v in figures.items()))
        return
    with run_folder.opened(out, composed.yaml()), redirect_stdout(sys.stderr if as_json else sys.stdout):
        call()
    if as_json:
        _say(json.dumps({"command": command} | run_folder.summary(out)))


def _set_threads(threads: int | None) -> None:
    """Before torch is imported, since its thread pool is sized then; the user's own OMP_NUM_THREADS wins."""
    if threads is not None and "OMP_NUM_THREADS" not in os.environ:
        os.environ["OMP_NUM_THREADS"] = str(threads)
        _say(f"{threads} CPU thread{'s' if threads > 1 else ''} (threads={threads})")


@contextmanager
def plain_faults() -> Iterator[None]:
    """A user's fault is told in a line with exit code 2, Ctrl-C ends with 130, a full disk with 1; no traceback."""
    try:
        yield
    except UserError as error:
        _complain(str(error))
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        _complain("interrupted; resume=true continues what can be continued")
        raise typer.Exit(130) from None
    except Exception as error:
        if not _disk_is_full(error):
            raise
        _complain(f"the disk is full: {error}".splitlines()[0])
        raise typer.Exit(1) from None


def _disk_is_full(error: BaseException | None) -> bool:
    while error:
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        # safetensors, and torch.save, which sees only that its file is shorter than it wrote
        if full or "No space left on device" in str(error) or "inline_container.cc" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _say(text: str) -> None:
    """Print, once: under torchrun every process composes, and the first one speaks."""
    if os.environ.get("RANK", "0") == "0":
        print(text, flush=True)


def _complain(text: str) -> None:
    if os.environ.get("RANK", "0") == "0":
        print(f"agenttrain: {visible(text)}", file=sys.stderr, flush=True)


def main() -> None:
    """Entry point of `agenttrain` and `python -m agenttrain`."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    try:
        app(prog_name="agenttrain")
    except SystemExit as end:
        if isinstance(end.code, str):
            print(visible(end.code), file=sys.stderr)
        _leave(end.code if isinstance(end.code, int) else int(end.code is not None))
    except KeyboardInterrupt:
        _leave(130)


def _leave(code: int) -> NoReturn:
    """End the process with what was registered for its end, and without taking the interpreter down.

    On a busy machine 2 of 24 runs of eval aborted there after they had done their work ("terminate called without an
    active exception", no Python frame): threads of the native libraries that TRL brings in.
    """
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # a pipe whose reader has gone, or a full disk
            code = code or 1
    os._exit(code)


if __name__ == "__main__":
    main()
