"""Machine, or a run -> what is wrong with it, and what to do about that."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from agenttrain.eval.report import print_table
from agenttrain.machine import checks
from agenttrain.report.run import read
from agenttrain.terminal import visible


def doctor(runs: Sequence[Path] = (), url: str | None = None, as_json: bool = False) -> int:
    """Say what is wrong with these runs; without any, what works on this machine and what does not.

    Args:
        runs: their out folders.
        url: an endpoint's, as `policy.url` has it, to be asked for its models.
        as_json: print one JSON object.

    Returns:
        the exit status: 1 if a run shows a fault, or the machine lacks something that every run needs.

    Raises:
        UserError: a folder holds no run.
    """
    return _runs(runs, as_json) if runs else _machine(url, as_json)


def _runs(runs: Sequence[Path], as_json: bool) -> int:
    seen = {str(place): read(place, str(place), most=1) for place in runs}
    found = {place: run.findings() for place, run in seen.items()}
    if as_json:
        print(json.dumps({place: [asdict(finding) for finding in findings] for place, findings in found.items()}))
        return int(any(found.values()))
    for place, findings in found.items():
        steps = len(seen[place].rows)
        print(f"{place}: {len(findings) or 'nothing'} to see to in {steps} step{'s' if steps != 1 else ''}")
        for finding in findings:
            print(f"  {finding.figure}: {visible(finding.seen)}\n    {visible(finding.advice)}")
    return int(any(found.values()))


def _machine(url: str | None, as_json: bool) -> int:
    found = list(checks(Path.cwd(), url))
    if as_json:
        print(json.dumps({"machine": [asdict(check) for check in found]}, indent=1))
    else:
        print_table(("what", "", "found"), [(check.name, check.state, check.found) for check in found])
        for check in found:
            if check.advice:
                print(f"{check.name}: {visible(check.advice)}")
    return int(any(check.state == "fault" for check in found))
