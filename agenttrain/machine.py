"""This machine -> what of agenttrain works on it, and what to do about the rest: `agenttrain doctor`."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from agenttrain.errors import UserError
from agenttrain.pages.chromium import Chromium
from agenttrain.sandbox.sandbox import LAYERS, Sandbox

ROOM = 5.0
"""GB of free disk below which a run of checkpoints is in danger."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    state: Literal["ok", "lacks", "fault"]
    """`lacks`: an option that cannot be used; `fault`: something that every run needs."""
    found: str
    advice: str = ""


def checks(folder: Path, url: str | None = None) -> Iterator[Check]:
    """Look at everything; `folder` is where runs are written, `url` an endpoint's, as `policy.url` has it."""
    yield from libraries()
    yield device()
    yield processors()
    yield disk(folder)
    yield from walls()
    yield from extras()
    if url is not None:
        yield endpoint(url)


def libraries() -> Iterator[Check]:
    """What agenttrain requires, by the versions that it names."""
    from packaging.requirements import Requirement

    right = []
    for line in requires("agenttrain") or ():
        wanted = Requirement(line)
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        try:
            found = version(wanted.name)
        except PackageNotFoundError:
            yield Check(wanted.name, "fault", "not installed", f"pip install '{wanted.name}{wanted.specifier}'")
            continue
        if wanted.specifier.contains(found, prereleases=True):
            right.append(f"{wanted.name} {found}")
        else:
            advice = f"pip install '{wanted.name}{wanted.specifier}'"
            yield Check(wanted.name, "fault", f"{found}, but agenttrain needs {wanted.specifier}", advice)
    yield Check("libraries", "ok", ", ".join(right))


def device() -> Check:
    """What torch computes on."""
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: a library of the GPU's that it was built for
        return Check("device", "fault", f"torch does not load: {error}", "pip install --force-reinstall torch")
    if torch.cuda.is_available():
        cards = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
        return Check("device", "ok", ", ".join(f"{card.name} ({card.total_memory / 2**30:.0f} GiB)" for card in cards))
    advice = ""
    if shutil.which("nvidia-smi"):
        advice = f"There is a GPU, but torch {torch.__version__} does not see it: install a build for its driver."
    return Check("device", "ok" if not advice else "lacks", "CPU", advice)


def processors() -> Check:
    """Cores and memory that this process may use, not those that the machine has."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    found = f"{cores} core{'s' if cores > 1 else ''}, {_memory() / 2**30:.0f} GiB"
    threads = os.environ.get("OMP_NUM_THREADS")
    return Check("processor", "ok", f"{found}, OMP_NUM_THREADS={threads}" if threads else found)


def disk(folder: Path) -> Check:
    """Room for a run, and whether it may be written."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            file.write(b"\0" * 4096)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return Check("disk", "fault", f"{folder} cannot be written: {error.strerror}", "Choose another folder: out=...")
    free = shutil.disk_usage(folder).free / 1e9
    if free < ROOM:
        return Check("disk", "lacks", f"{free:.1f} GB free in {folder}", "A run that fills the disk stops. Make room.")
    return Check("disk", "ok", f"{free:.0f} GB free in {folder}")


def walls() -> Iterator[Check]:
    """What can hold code of a model here (env=code); each is tried."""
    for name in ("bubblewrap", "landlock"):
        sandbox = Sandbox(name)
        try:
            sandbox.start_now()
        except UserError as error:
            reason = str(error).splitlines()[0].partition(f"{name}: ")[2] or str(error).splitlines()[0]
            yield Check(f"sandbox: {name}", "lacks", reason, "See docs/sandbox.md.")
        else:
            yield Check(f"sandbox: {name}", "ok", LAYERS[name])
        finally:
            sandbox.close()


def extras() -> Iterator[Check]:
    """Options that need more than pip's default."""
    try:
        Chromium(None, 1, 1.0, 1.0, lambda: None).check()
        yield Check("browser", "ok", "Playwright and Chromium")
    except UserError as error:
        yield Check("browser", "lacks", "env.browser=chromium cannot be used", str(error))
    for module, extra, use in (
        ("vllm", "vllm", "policy=vllm"),
        ("bitsandbytes", "qlora", "model.quantize"),
        ("gymnasium", "gymnasium", "env=gymnasium"),
        ("uvicorn", "serve", "agenttrain env serve"),
        ("inspect_ai", "inspect", "agenttrain export"),
        ("tensorboard", "tensorboard", "report_to=[tensorboard]"),
    ):
        if find_spec(module) is None:
            yield Check(module, "lacks", f"{use} cannot be used", f"pip install 'agenttrain[{extra}]'")
        else:
            yield Check(module, "ok", version(module))


def endpoint(url: str, seconds: float = 5.0) -> Check:
    """Whether a server of models answers at `url`, and with which."""
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/models", timeout=seconds) as answer:
            names = [str(model["id"]) for model in json.load(answer)["data"]]
        return Check("endpoint", "ok", f"{url} serves {', '.join(names) or 'no model'}")
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):  # it is there, and wants the key that a run would send
            return Check("endpoint", "ok", f"{url} answers, and wants a key")
        return Check("endpoint", "fault", f"{url}/models: {error.code} {error.reason}", "Is it the URL up to /v1?")
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = getattr(error, "reason", error)
        return Check("endpoint", "fault", f"{url} does not answer: {why}", "Start the server, or mend policy.url.")


def _memory() -> int:
    """Bytes: what the control group allows, if it says so, else all of the machine's."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        allowed = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return whole
    return min(whole, int(allowed)) if allowed.isdigit() else whole
