"""Trajectories -> a log of Inspect (the package inspect_ai), so that `inspect view` shows our episodes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agenttrain.errors import UserError
from agenttrain.eval.metrics import results
from agenttrain.eval.statistics import standard_error, success_rate
from agenttrain.types import FAILED_BY_US, Message, Trajectory

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalSample
    from inspect_ai.model import ChatMessage


def write(trajectories: Iterable[Trajectory], file: Path) -> int:
    """Write them as `file`, in Inspect's own format `.eval`; the number of samples.

    Raises:
        UserError: Inspect is not installed, the file is not called `.eval`, or there is no episode.
    """
    try:
        from inspect_ai.log import write_eval_log
    except ImportError:
        raise UserError("This needs Inspect. Run: pip install 'agenttrain[inspect]'") from None
    if file.suffix != ".eval":
        raise UserError(f"{file}: a log of Inspect is called something.eval.")
    played = list(trajectories)
    if not played:
        raise UserError("There is no episode to write.")
    log = _log(played)
    write_eval_log(log, str(file), format="eval")
    return len(log.samples or ())


def _log(played: list[Trajectory]) -> EvalLog:
    from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalResults, EvalSpec
    from inspect_ai.log._log import EvalMetric, EvalScore

    first, tries = played[0], Counter[str]()
    samples = []
    for trajectory in played:
        tries[trajectory.task.id] += 1  # in a file of rl a task comes again and again
        samples.append(_sample(trajectory, tries[trajectory.task.id]))
    env, policy = str(first.meta.get("env")), first.meta.get("policy") or {}
    spec = EvalSpec(
        created=datetime.now(UTC).isoformat(),
        task=env,
        dataset=EvalDataset(name=env, samples=len(tries), sample_ids=list(tries)),
        model=_model(first),
        config=EvalConfig(epochs=max(tries.values())),
        packages={name: str(version) for name, version in (first.meta.get("versions") or {}).items()},
        metadata={"policy": policy, "tools": first.tools},
    )
    counted = results(played)
    scores = []
    if counted:
        figures = {"mean": success_rate(counted).value, "stderr": standard_error(counted)}
        metrics = {name: EvalMetric(name=name, value=value) for name, value in figures.items()}
        scores = [EvalScore(name="success", scorer="success", metrics=metrics)]
    judged = sum(map(len, counted.values()))
    found = EvalResults(total_samples=len(played), completed_samples=judged, scores=scores)
    return EvalLog(status="success", eval=spec, results=found, samples=samples)


def _sample(trajectory: Trajectory, epoch: int) -> EvalSample:
    from inspect_ai.log import EvalError, EvalSample
    from inspect_ai.model import ModelOutput, ModelUsage
    from inspect_ai.scorer import Score

    conversation = [_message(message, place) for place, message in enumerate(trajectory.conversation())]
    failed, answer = trajectory.stop in FAILED_BY_US, trajectory.task.answer
    scores = {} if failed else {"success": Score(value=float(trajectory.success), explanation=trajectory.stop)}
    for name, per_turn in trajectory.scores.items():
        weight = trajectory.weights.get(name, 1.0)
        scores[f"reward {name}"] = Score(value=sum(per_turn), metadata={"per_turn": per_turn, "weight": weight})
    usages = [turn.action.usage for turn in trajectory.turns]
    read, sampled = (sum(usage.get(kind, 0) for usage in usages) for kind in ("prompt_tokens", "completion_tokens"))
    last = next((turn.action.message for turn in reversed(trajectory.turns)), {})
    model = _model(trajectory)
    return EvalSample(
        id=trajectory.task.id,
        epoch=epoch,
        input=conversation[: len(trajectory.messages)],
        target=answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False, default=str),
        messages=conversation,
        output=ModelOutput.from_content(model, str(last.get("content") or "")),
        scores=scores,
        metadata={
            "stop": trajectory.stop,
            "seed": trajectory.seed,
            "feedback": [turn.observation.feedback for turn in trajectory.turns],
            "advantages": trajectory.meta.get("advantages"),
        },
        model_usage={model: ModelUsage(input_tokens=read, output_tokens=sampled, total_tokens=read + sampled)},
        error=EvalError(message=trajectory.error or "", traceback="", traceback_ansi="") if failed else None,
        total_time=trajectory.seconds,
    )


def _message(message: Message, place: int) -> ChatMessage:
    from inspect_ai.model import ChatMessageAssistant, ChatMessageSystem, ChatMessageTool, ChatMessageUser
    from inspect_ai.tool import ToolCall

    content, role = str(message.get("content") or ""), message["role"]
    if role == "assistant":
        calls = [
            ToolCall(id=call.get("id") or f"call_{place}", function=str(name), arguments=_arguments(call))
            for call in message.get("tool_calls") or ()
            if (name := (call.get("function") or {}).get("name"))
        ]
        return ChatMessageAssistant(content=content, tool_calls=calls or None)
    if role == "tool":
        return ChatMessageTool(content=content, function=message.get("name"), tool_call_id=message.get("tool_call_id"))
    return ChatMessageSystem(content=content) if role == "system" else ChatMessageUser(content=content)


def _arguments(call: Mapping[str, Any]) -> dict[str, Any]:
    arguments = call["function"].get("arguments")
    return arguments if isinstance(arguments, dict) else {"arguments": arguments}


def _model(trajectory: Trajectory) -> str:
    return str((trajectory.meta.get("policy") or {}).get("name") or "unknown")
