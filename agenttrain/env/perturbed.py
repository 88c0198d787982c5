"""Any Environment -> the same one as an agent meets it that was trained on other names, other words or better tools."""

from __future__ import annotations

import random
import re
from typing import Any, Literal

from agenttrain.env.tools import BadCall, Call, answers, read_call, tool
from agenttrain.errors import UserError
from agenttrain.ranges import Share, Whole
from agenttrain.types import Environment, Episode, Message, Observation, Task, Tool

NOTHING = "(no result)"
FAULT = "Error: temporarily unavailable. Try again."
DISTRACTORS = [
    tool("translate", "Translate a text.", text={"type": "string"}, language={"type": "string"}),
    tool("set_alarm", "Set an alarm.", time={"type": "string"}),
    tool("convert_currency", "Convert an amount.", amount={"type": "number"}, to={"type": "string"}),
    tool("weather", "Tell the weather of a place.", place={"type": "string"}),
    tool("send_note", "Send a note to somebody.", to={"type": "string"}, text={"type": "string"}),
    tool("play_music", "Play a piece of music.", title={"type": "string"}),
    tool("roll_dice", "Roll dice.", dice={"type": "integer"}),
    tool("stock_price", "Tell the price of a share.", symbol={"type": "string"}),
]
"""Tools that no environment of ours has and no task needs."""
_SYLLABLES = ["ba", "do", "fe", "gi", "ku", "la", "me", "no", "pi", "ru", "sa", "te", "vo", "zu"]
_WORDINGS = ("Use this to do the following: {}", "What it is for: {}", "{} (that is all it does)")


class Perturbed:
    """What is changed is the same for every episode; which call fails and what is hidden depends on the episode's seed.

    Args:
        base: the environment.
        rename: tools and their arguments have invented names, in the schemas and where the system message names a tool.
        shuffle: tools, and the arguments within each, come in another order.
        descriptions: of the tools: as they are, in other words, or none.
        distractors: tools that are added and do nothing, at most as many as there are in `DISTRACTORS`.
        faulty: share of the calls of one tool, 0 to 1, that fail as if it were unavailable, and do nothing.
        noise: share of observations, 0 to 1, replaced by nothing or by an earlier one of the episode, each in half of
            the cases (FireAct's test of robustness, arXiv 2310.05915). What the environment verified stays.
        seed: of the names, orders and the choice of the faulty tool.
    """

    def __init__(
        self,
        base: Environment,
        rename: bool = False,
        shuffle: bool = False,
        descriptions: Literal["same", "paraphrased", "none"] = "same",
        distractors: Whole = 0,
        faulty: Share = 0.0,
        noise: Share = 0.0,
        seed: Whole = 0,
    ) -> None:
        if distractors > len(DISTRACTORS):
            raise UserError(f"env.distractors={distractors}: there are {len(DISTRACTORS)} of them.")
        self.base, self.rename, self.shuffle, self.descriptions = base, rename, shuffle, descriptions
        self.distractors, self.faulty, self.noise, self.seed = distractors, faulty, noise, seed

    def episode(self, task: Task, seed: int) -> PerturbedEpisode:
        """
        Raises:
            UserError: what the environment raises, or one of its tools has a distractor's name.
        """
        return PerturbedEpisode(self.base.episode(task, seed), self, random.Random(f"perturbed/{seed}"))


class PerturbedEpisode:
    """`feedback` holds, besides what the environment tells, `distractor` (its name) where one was called.

    A call that the environment does not hear of has no state key.
    """

    def __init__(self, base: Episode, settings: Perturbed, rng: random.Random) -> None:
        self.base, self.settings, self._rng = base, settings, rng
        self._told: list[str] = []
        """Observations so far, as the environment gave them."""

    @property
    def tools(self) -> list[Tool]:
        return self._view.tools

    def start(self) -> list[Message]:
        messages = self.base.start()
        self._view = View(self.base.tools, self.settings)
        return [m | {"content": self._view.reword(m["content"])} if m["role"] == "system" else m for m in messages]

    def step(self, action: Message) -> Observation:
        call = read_call(action, self.tools)
        if isinstance(call, BadCall):
            return self._passed_on(action, call, {"role": "assistant", "content": action.get("content") or ""})
        name, arguments = self._view.original(call)
        if name is None:
            return Observation(answers(action, call, "Nothing happened."), feedback={"distractor": call.name})
        if name == self._view.faulty and self._rng.random() < self.settings.faulty:
            return Observation(answers(action, call, FAULT), feedback={"tool_error": FAULT})
        function = {"name": name, "arguments": arguments}
        only = [{"type": "function", "id": call.id, "function": function}]
        return self._passed_on(action, call, {**action, "tool_calls": only})

    def close(self) -> None:
        self.base.close()

    def _passed_on(self, action: Message, call: Call | BadCall, passed: Message) -> Observation:
        """What the environment answers to `passed`, as an answer to `action`."""
        found = self.base.step(passed)
        if not found.messages:
            return found
        first, *further = found.messages
        content = str(first["content"])
        if isinstance(call, BadCall):  # in whose words the tools have their own names
            theirs = str(found.feedback.get("invalid_call"))
            content, found.feedback = (
                content.replace(theirs, call.reason),
                found.feedback | {"invalid_call": call.reason},
            )
        found.messages = [*answers(action, call, self._hidden(content)), *further]
        return found

    def _hidden(self, content: str) -> str:
        """The observation, or what noise puts in its place."""
        shown = content
        if self._rng.random() < self.settings.noise:
            shown = NOTHING if self._rng.random() < 0.5 or not self._told else self._rng.choice(self._told)
        self._told.append(content)
        return shown


class View:
    """The tools of one environment, as they are shown, and the way back."""

    def __init__(self, tools: list[Tool], settings: Perturbed) -> None:
        self.settings = settings
        rng = random.Random(f"perturbed/{settings.seed}")
        own = [t["function"]["name"] for t in tools]
        added = rng.sample(DISTRACTORS, settings.distractors)
        if taken := {t["function"]["name"] for t in added} & {*own}:
            raise UserError(f"env.distractors: the environment has a tool of its own called {min(taken)}.")
        self.faulty = rng.choice(own) if own else None
        """The tool that `faulty` is about, by its own name."""
        self._shown = {name: self._renamed(name) for name in (t["function"]["name"] for t in [*tools, *added])}
        """Own name -> the one that is shown."""
        if len({*self._shown.values()}) < len(self._shown):
            raise UserError(f"env.seed={settings.seed} gives two tools one name: take another.")
        self._own = {self._shown[name]: name for name in own}
        self._arguments = {
            self._shown[t["function"]["name"]]: {self._renamed(name): name for name in _properties(t)} for t in tools
        }
        """Shown name of a tool -> shown name of an argument -> its own."""
        self.tools = [self._changed(t, rng) for t in [*tools, *added]]
        if settings.shuffle:
            rng.shuffle(self.tools)

    def original(self, call: Call) -> tuple[str | None, dict[str, Any]]:
        """Name and arguments as the environment knows them; no name for a distractor."""
        if call.name not in self._own:
            return None, {}
        names = self._arguments[call.name]
        return self._own[call.name], {names.get(name, name): value for name, value in call.arguments.items()}

    def reword(self, text: Any) -> Any:
        """A text with the tools' names in it changed; what is no text stays as it is."""
        if not self.settings.rename or not isinstance(text, str):
            return text
        return re.sub(r"\w+", lambda word: self._shown.get(word[0], word[0]), text)

    def _renamed(self, name: str) -> str:
        """Equal names have equal ones, in every tool."""
        if not self.settings.rename:
            return name
        rng = random.Random(f"name/{self.settings.seed}/{name}")
        return "".join(rng.choices(_SYLLABLES, k=4))

    def _changed(self, tool: Tool, rng: random.Random) -> Tool:
        function = tool["function"]
        parameters = dict(function.get("parameters") or {})
        properties = [(self._renamed(name), schema) for name, schema in _properties(tool).items()]
        if self.settings.shuffle:
            rng.shuffle(properties)
        if properties:
            parameters["properties"] = dict(properties)
        if "required" in parameters:
            parameters["required"] = [self._renamed(name) for name in parameters["required"]]
        description = function.get("description", "")
        if self.settings.descriptions == "paraphrased":
            description = rng.choice(_WORDINGS).format(description)
        elif self.settings.descriptions == "none":
            description = ""
        name = self._shown[function["name"]]
        return tool | {"function": function | {"name": name, "description": description, "parameters": parameters}}


def _properties(tool: Tool) -> dict[str, Any]:
    return (tool["function"].get("parameters") or {}).get("properties") or {}
