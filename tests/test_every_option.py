"""Every option of every group, and every recipe, composes in its commands and runs two steps of a tiny model.

An option that needs a value of its own (a file, a server) has it in NEEDS; a new one needs nothing else here.
"""

import json
from contextlib import suppress
from itertools import zip_longest

import pytest
import yaml
from typer.testing import CliRunner

from agenttrain import cli
from agenttrain.config import options
from agenttrain.config.compose import compose
from agenttrain.errors import UserError
from agenttrain.model.scorer import on_trunk
from agenttrain.model.tiny import Tiny

WHERE = options.folders()
GROUPS = {command: options.chosen(command, WHERE) for command in options.COMMANDS}
RECIPES = [(recipe, command) for recipe, commands in options.recipes(WHERE).items() for command in commands]

NEEDS = {
    "model=pretrained": ["model.path={sft}/model"],
    "env=trl_class": ["env.target=games:Lamp", "task.n=4"],
    "env=functions": ["env.module={files}/lamp.py"],
    "env=gymnasium": ["env.id=FrozenLake-v1"],
    "policy=methods": ["env=hopqa"],
    "policy=hopqa_teacher": ["env=hopqa"],
    "policy=answers": ["env=sql"],
    "policy=replay": ["policy.path={craft}/trajectories.jsonl"],
    "reward=card": ["reward.card.path={files}/reward.py"],
    "reward=learned": ["reward.learned.path={judge}"],
    "reward=prm": ["reward.prm.path={judge}"],
    "data=trajectories": ["data.path={craft}/trajectories.jsonl"],
    "data=fireact": ["data.path={files}/fireact.json"],
    "data=chat": ["data.path={files}/chat.jsonl"],
    "data=sharegpt": ["data.path={files}/sharegpt.jsonl"],
    "data=text": ["data.path={files}/texts.jsonl"],
    "data=instruct": ["data.path={files}/instruct.jsonl"],
    "data=gorilla": ["data.path={files}/apis.jsonl"],
    "data=codeact": ["data.path={codeact}/trajectories.jsonl"],
    "env=bfcl": ["task.path={files}/irrelevance.jsonl"],
}
FOREIGN = ("functions", "gymnasium", "openenv", "prompts", "bfcl")
"""Environments and tasks that others write: nobody knows what solves them."""
NOT_RUN = {
    **{f"task={name}{split}": "no expert: tests/task" for name in FOREIGN for split in ("", "_heldout")},
    "env=several": "chosen as a list: tests/commands/test_several.py",
    "task=several": "chosen as a list: tests/commands/test_several.py",
    "policy=several": "chosen as a list: tests/commands/test_several.py",
    "data=mixture": "a recipe names its sources: tests/data/test_mixture.py",
    "env=openenv": "needs a server: tests/env/test_openenv.py starts one",
    "task=miniwob": "needs a browser: slow tests in tests/pages/test_chromium.py",
    "policy=miniwob_expert": "needs a browser: slow tests in tests/pages/test_chromium.py",
    "task=tau": "needs its data: tests/task/test_tau.py",
    "policy=endpoint": "needs a server: tests/policy/test_endpoint.py starts one",
    "policy=endpoint_greedy": "needs a server: tests/policy/test_endpoint.py starts one",
    "policy=thoughts": "needs a server: tests/policy/test_thoughts.py starts one",
    "reward=judge": "needs a server: tests/reward/test_judge.py starts one",
    "reward=principles": "needs a server: tests/reward/test_principles.py has a stand-in",
    "reward=ranking": "needs a server: tests/reward/test_ranking.py starts one",
    "policy=vllm": "few machines have vLLM: slow tests in tests/policy/test_vllm.py play and train with it",
    "model=": "weights from a hub",
}
CRITICS = ("credit=gae", "credit=agent_r1")
"""Credit that needs algo=ppo, which takes no other."""
OWN_STEPS = {
    "toolformer generate-trajectories": "corpus={files}/texts.jsonl annotator.max_tokens=4",
    "toolformer eval": "questions={files}/texts.jsonl decoder.max_tokens=4",
    "toolformer_tiny generate-trajectories": "corpus={files}/texts.jsonl annotator.max_tokens=4",
    "toolformer_tiny eval": "questions={files}/texts.jsonl decoder.max_tokens=4",
    "agenttuning sft": "algo.max_steps=2 algo.max_length=512 data.n=8 data.of.agent.path={files}/sharegpt.jsonl"
    " data.of.general.of.gpt4.path={files}/sharegpt.jsonl data.of.general.of.gpt35.path={files}/sharegpt.jsonl"
    " heldout.agent.path={files}/sharegpt.jsonl heldout.general.path={files}/sharegpt.jsonl",
    "agenttuning_tiny sft": "algo.max_steps=2 data.n=8 data.of.agent.path={files}/fireact.json"
    " data.of.general.path={files}/texts.jsonl heldout.agent.path={files}/fireact.json"
    " heldout.general.path={files}/texts.jsonl",
}
"""Of recipes that put another function behind a command, or whose data have no one path."""
TINY = (
    "model=tiny model.layers=1 model.hidden=32 model.heads=2 model.kv_heads=1 model.head_dim=16 model.intermediate=32"
)
SHORT = "rollout.max_turns=2 rollout.max_tokens=8"
TWO_STEPS = {
    "generate-trajectories": f"task.n=2 {SHORT}",
    "eval": f"task.n=2 {SHORT}",
    "sft": "algo.max_steps=2 algo.max_length=512",
    "rl": f"algo.steps=2 algo.tasks_per_step=2 algo.group_size=2 algo.batch_size=4 task.n=4 {SHORT}",
}

LAMP = '''
class Lamp:
    """A class for TRL's environment_factory."""

    def reset(self, **row) -> str:
        self.reward = 0.0
        return "It is dark."

    def press(self) -> str:
        """Press the switch.

        Returns:
            what happens
        """
        self.reward = 1.0
        return "light"
'''


def choice(group, option, command):
    several = isinstance(GROUPS[command][group], list)
    return f"{group}=[{option}]" if several else f"{group}={option}"


def targets(option):
    """The `_target_` of an option's file, or of what it inherits."""
    file = options.option_file(*option.split("="), WHERE)
    content = yaml.safe_load(file.read_text())
    if "_target_" in content:
        return content["_target_"]
    return targets(f"{option.partition('=')[0]}={content['defaults'][0]}")


COMPOSED = [
    choice(group, option, command) + f" {command}"
    for command, groups in GROUPS.items()
    for group in groups
    if group != "algo"
    for option in options.options(group, WHERE)
]


@pytest.mark.parametrize("case", COMPOSED)
def test_every_option_composes_and_passes_the_check(case):
    override, command = case.split(" ")
    group, option = override.split("=")
    lacks = ["task=craft", "policy=local"] if override == "env=trl_class" else []
    lacks = lacks or (["task=several", "policy=local"] if override == "env=several" else [])
    lacks = lacks or (["policy=local"] if group == "env" and option in FOREIGN else [])
    own = [word for word in lacks if word.split("=")[0] in GROUPS[command]]
    composed = compose(command, [override, *own], complete=False)
    assert composed.choices[group] == option
    assert composed.values[group]


def test_every_algorithm_belongs_to_a_command():
    for option in options.options("algo", WHERE):
        assert learns_in(option), f"no command takes algo={option}"


def learns_in(option):
    commands = []
    for command in ("sft", "rl", "reward-model", "dpo"):
        with suppress(UserError):
            compose(command, [f"algo={option}"], complete=False)
            commands.append(command)
    return commands


@pytest.mark.parametrize(("recipe", "command"), RECIPES)
def test_every_recipe_composes_in_its_commands(recipe, command):
    composed = compose(command, [f"conf={recipe}"], complete=False)
    assert composed.choices["conf"] == recipe


@pytest.mark.parametrize("model", ["tiny", "qwen3_8b_qlora"])
@pytest.mark.parametrize(("recipe", "command"), RECIPES)
def test_every_recipe_takes_any_model(recipe, command, model):
    composed = compose(command, [f"conf={recipe}", f"model={model}"], complete=False)
    assert composed.choices["model"] == model


# What follows runs, in one process, so that torch is imported once.


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Files that options read, and the runs that others start from."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "games.py").write_text(LAMP)
    (folder / "files").mkdir()
    (folder / "files/lamp.py").write_text(
        'def press(hard: bool) -> str:\n    """Press.\n\n    Args:\n        hard: or not\n    """'
    )
    (folder / "files/reward.py").write_text("def reward(trajectory):\n    return [0.5 for turn in trajectory['turns']]")
    turns = ["Who?", "Thought: I look.\nAction: search[who]", "Observation: Ada.", "Thought: So.\nAction: finish[Ada]"]
    closing = "Observation: Episode finished, reward = 1"
    roles = ["user", "assistant"] * 3
    spoken = [{"role": role, "content": text} for role, text in zip(roles, [*turns, closing], strict=False)]
    fireact = [{"messages": [{"role": "user", "content": f"{n}?"}, *spoken[1:]]} for n in range(6)]
    (folder / "files/fireact.json").write_text("\n".join(map(json.dumps, fireact)))
    chat = [{"messages": [{"role": "user", "content": f"{n}?"}, *spoken[1:4]]} for n in range(6)]
    (folder / "files/chat.jsonl").write_text("\n".join(map(json.dumps, chat)))
    names = {"user": "human", "assistant": "gpt"}
    sharegpt = [
        {"conversations": [{"from": names[m["role"]], "value": m["content"]} for m in record["messages"]]}
        for record in chat
    ]
    (folder / "files/sharegpt.jsonl").write_text("\n".join(map(json.dumps, sharegpt)))
    texts = [{"text": f"Ada has {n} and 4.", "answer": "4"} for n in range(6)]
    apis = [
        {"code": f"###Instruction: I need {n}.\n###Output: x", "api_data": {"api_call": f"f('{n}')"}} for n in range(8)
    ]
    (folder / "files/apis.jsonl").write_text("\n".join(map(json.dumps, apis)))
    instruct = [{"instruction": f"Say {n}.", "output": f"{n}"} for n in range(6)]
    (folder / "files/instruct.jsonl").write_text("\n".join(map(json.dumps, instruct)))
    function = {"name": "a.b", "description": "x", "parameters": {"type": "dict", "properties": {}, "required": []}}
    asked = [{"id": f"{n}", "question": [[{"role": "user", "content": "x"}]], "function": [function]} for n in range(4)]
    (folder / "files/irrelevance.jsonl").write_text("\n".join(map(json.dumps, asked)))
    (folder / "files/texts.jsonl").write_text("\n".join(map(json.dumps, texts)))
    places = {"files": folder / "files", "craft": folder / "craft", "sft": folder / "sft", "judge": folder / "judge"}
    run("generate-trajectories", ["task.n=6", "rollout.max_turns=60"], folder / "craft", places)
    places["codeact"] = folder / "codeact"
    run("generate-trajectories", ["env=codeact", "task.n=6"], places["codeact"], places)
    run("sft", [*TINY.split(), "data=trajectories"], folder / "sft", places)
    on_trunk(Tiny(layers=1, hidden=32).load()).save(places["judge"])
    return places


def run(command, line, out, places, steps=None):
    needs = [need for word in line for need in NEEDS.get(word.replace("[", "").replace("]", ""), [])]
    words = [*(steps or TWO_STEPS[command]).split(), *line, *needs, f"out={out}"]
    flags = ["--config-dir", str(out.parent)] if "env=trl_class" in line else []
    result = CliRunner().invoke(cli.app, [command, *(word.format(**places) for word in words), *flags])
    assert result.exit_code == 0, f"agenttrain {command} {' '.join(words)}\n{result.output}\n{result.exception!r}"
    return result


def runnable(group):
    presets_of_a_hub = {f"model={name}" for name in options.options("model", WHERE)} - {
        "model=tiny",
        "model=pretrained",
    }
    names = [f"{group}={option}" for option in options.options(group, WHERE)]
    return [name for name in names if name not in NOT_RUN and name not in presets_of_a_hub]


def in_rl():
    """Options of rl in as few runs as show each one: the first of each group, the second of each group, and so on."""
    columns = [runnable(group) for group in ("env", "reward", "credit", "model")]
    for row in zip_longest(*columns):
        line = [word or column[0] for word, column in zip(row, columns, strict=True)]
        yield [*line, "algo=ppo" if line[2] in CRITICS else "algo=grpo"]


def test_every_algorithm_of_rl_is_among_those_lines():
    shown = {word for line in in_rl() for word in line}
    assert shown >= {f"algo={name}" for name in options.options("algo", WHERE) if "rl" in learns_in(name)}


@pytest.mark.parametrize("line", in_rl(), ids=" ".join)
def test_options_of_rl_run_two_steps(line, runs, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(runs["files"].parent)
    tiny = TINY.split() if "model=tiny" in line else []
    task = ["task=craft"] if "env=trl_class" in line else []
    run("rl", [*line, *task, *tiny], tmp_path / "out", runs)
    steps = [json.loads(row) for row in (tmp_path / "out/metrics.jsonl").read_text().splitlines()]
    assert max(row.get("step", 0) for row in steps) == 2
    assert (tmp_path / "out/model/config.json").is_file()


@pytest.mark.parametrize("data", runnable("data"))
def test_options_of_sft_run_two_steps(data, runs, tmp_path):
    run("sft", [*TINY.split(), data], tmp_path / "out", runs)
    assert (tmp_path / "out/model/config.json").is_file()


@pytest.mark.parametrize("policy", runnable("policy"))
def test_policies_generate_trajectories(policy, runs, tmp_path):
    env = policy.partition("=")[2].removesuffix("_expert") if "_expert" in policy else "craft"
    run("generate-trajectories", [*TINY.split(), f"env={env}", policy], tmp_path / "out", runs)
    assert (tmp_path / "out/trajectories.jsonl").read_text().count("\n") == 2


@pytest.mark.parametrize("task", runnable("task"))
def test_tasks_are_evaluated(task, runs, tmp_path):
    env = task.partition("=")[2].removesuffix("_heldout")
    run("eval", [f"env={env}", task, f"policy={env}_expert", "rollout.max_turns=60"], tmp_path / "out", runs)
    figures = json.loads((tmp_path / "out/eval.json").read_text())
    assert figures["success"]["value"] == 1.0


@pytest.mark.parametrize(("recipe", "command"), RECIPES)
def test_every_recipe_runs_two_steps(recipe, command, runs, tmp_path):
    composed = compose(command, [f"conf={recipe}"], complete=False)
    data = [f"data={composed.choices['data']}"] if "data" in composed.choices else []
    # A recipe that starts from a checkpoint keeps model=pretrained, and gets the path of a tiny one.
    model = ["model=pretrained"] if composed.values["model"].get("path") else TINY.split()
    run(command, [f"conf={recipe}", *data, *model], tmp_path / "out", runs, OWN_STEPS.get(f"{recipe} {command}"))
