"""OpenAPI description -> tools: a call becomes a request, and an answer is checked against what was promised."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import quote, urlencode

from agenttrain.backend.schema import Schema
from agenttrain.errors import UserError
from agenttrain.types import Tool

_METHODS = ("get", "post", "put", "patch", "delete")
_JSON = re.compile(r"application/([\w.-]+\+)?json\b")
_OURS = {"accept", "authorization", "content-type"}
"""Headers that OpenAPI says are not described as parameters."""
_LONGEST = 300
"""Characters of a description that a policy is shown."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """What is sent: `target` is path and query, quoted; `body` a JSON value, or None for none."""

    method: str
    target: str
    headers: dict[str, str]
    body: Any = None


@dataclass(frozen=True)
class Operation:
    """One operation of the description, as a tool whose arguments are its parameters and the fields of its body."""

    name: str
    method: str
    path: str
    about: str
    places: dict[str, str]
    """Parameter -> `path`, `query` or `header`."""
    body: str
    """How the body is given: `fields` (an object's, beside the parameters), `whole` (as the argument `body`), or ''."""
    parameters: dict[str, Any]
    """JSON schema of the arguments, without references."""
    promised: dict[str, Any]
    """Status (`200`, `4XX`, `default`) -> JSON schema of the answer's body, references resolved within itself."""

    @cached_property
    def tool(self) -> Tool:
        about = {"name": self.name, "description": self.about, "parameters": self.parameters}
        return {"type": "function", "function": about}

    @cached_property
    def _answers(self) -> dict[str, Schema]:
        return {status: Schema(schema) for status, schema in self.promised.items()}

    def request(self, arguments: dict[str, Any]) -> Request:
        """
        Raises:
            ValueError: a path parameter that would lead elsewhere.
        """
        path, query, headers, fields = self.path, [], {}, {}
        for name, value in arguments.items():
            place = self.places.get(name)
            if place == "path":
                text = _text(value)
                if text in ("", ".", ".."):
                    raise ValueError(f"'{name}' must not be {text!r}")
                path = path.replace(f"{{{name}}}", quote(text, safe=""))
            elif place == "query":
                query += [(name, _text(item)) for item in (value if isinstance(value, list) else [value])]
            elif place == "header":
                headers[name] = quote(_text(value), safe=" !#$%&'()*+,-./:;<=>?@[]^_`{|}~\"")
            else:
                fields[name] = value
        body = fields.get("body") if self.body == "whole" else fields if self.body == "fields" else None
        return Request(self.method.upper(), path + (f"?{urlencode(query)}" if query else ""), headers, body)

    def mismatch(self, status: int, body: Any) -> str | None:
        """How an answer differs from what the description promises, in words; None if it does not."""
        for key in (str(status), f"{status // 100}XX", "default"):
            if key in self._answers:
                return self._answers[key].fault(body)
            if key in self.promised:
                return None
        return f"status {status} is not described"


def operations(description: dict[str, Any]) -> list[Operation]:
    """The operations of an OpenAPI 3 description.

    One whose body is no JSON, or which needs a cookie, is left out with a warning.

    Raises:
        UserError: it is none, or has no operation that can be called.
    """
    if not str(description.get("openapi", "")).startswith("3.") or not isinstance(description.get("paths"), dict):
        raise UserError("The description is no OpenAPI 3: it has no 'openapi: 3.x' or no paths.")
    found = {operation.name: operation for operation in _read(_modern(description))}
    if not found:
        raise UserError("The description has no operation that can be called.")
    return list(found.values())


def _read(root: dict[str, Any]) -> Iterator[Operation]:
    for path, shared in root["paths"].items():
        shared = _follow(shared, root)
        for method in _METHODS:
            if method in shared:
                name = re.sub(r"\W+", "_", shared[method].get("operationId") or f"{method}{path}").strip("_")[:64]
                try:
                    yield _operation(name, method, path, shared.get("parameters", []), shared[method], root)
                except (ValueError, KeyError) as error:
                    _log.warning("%s is no tool: %s", name, error)


def _operation(
    name: str, method: str, path: str, shared: list[Any], given: dict[str, Any], root: dict[str, Any]
) -> Operation:
    places, properties, required = {}, {}, []
    for parameter in [_follow(p, root) for p in [*shared, *given.get("parameters", [])]]:
        if parameter["in"] == "cookie" and parameter.get("required"):
            raise ValueError("it needs a cookie")
        if parameter["in"] == "cookie" or (parameter["name"].lower() in _OURS and parameter["in"] == "header"):
            continue
        places[parameter["name"]] = parameter["in"]
        about = {"description": parameter["description"][:_LONGEST]} if "description" in parameter else {}
        properties[parameter["name"]] = inline(parameter.get("schema", {}), root) | about
        required += [parameter["name"]] if parameter.get("required") or parameter["in"] == "path" else []
    body = _follow(given.get("requestBody", {}), root)
    kind = ""
    if body:
        schema = inline(_json(body) or _refuse("its body is no JSON"), root)
        fields = schema.get("properties", {})
        kind = "fields" if schema.get("type") == "object" and fields and not set(fields) & set(properties) else "whole"
        if kind == "fields" and body.get("required"):
            required += schema.get("required", [])
        elif kind == "whole":
            required += ["body"] if body.get("required") else []
        properties |= fields if kind == "fields" else {"body": schema}
    parameters = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    about = str(given.get("summary") or given.get("description") or f"{method.upper()} {path}")[:_LONGEST]
    promised = {}
    for status, answer in given.get("responses", {}).items():
        schema = _json(_follow(answer, root))
        promised[str(status)] = {"allOf": [{} if schema is None else schema], "components": root.get("components", {})}
    return Operation(name, method, path, about, places, kind, parameters, promised)


def inline(schema: Any, root: dict[str, Any], within: tuple[str, ...] = ()) -> Any:
    """The schema without references, as models are shown it; where it holds itself, anything goes."""
    if isinstance(schema, list):
        return [inline(item, root, within) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if isinstance(reference := schema.get("$ref"), str):
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        if reference in within:
            return inline(rest, root, within)
        return inline(_follow(schema, root), root, (*within, reference)) | inline(rest, root, within)
    return {key: inline(value, root, within) for key, value in schema.items()}


def _follow(node: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """What a reference within the description stands for; anything else as it is."""
    for _ in range(16):
        reference = node.get("$ref")
        if not isinstance(reference, str):
            return node
        if not reference.startswith("#/"):
            raise ValueError(f"{reference} is outside the description")
        node = root
        for part in reference[2:].split("/"):
            node = node[part.replace("~1", "/").replace("~0", "~")]
    raise ValueError("a reference leads back to itself")


def _json(holder: dict[str, Any]) -> Any:
    content = holder.get("content", {})
    return next((media.get("schema", {}) for kind, media in content.items() if _JSON.match(kind)), None)


def _refuse(reason: str) -> Any:
    raise ValueError(reason)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)


def _modern(description: dict[str, Any]) -> dict[str, Any]:
    """OpenAPI 3.0's own words for what JSON schema, and so 3.1, says otherwise."""
    if not description["openapi"].startswith("3.0"):
        return description

    def change(node: Any) -> Any:
        if isinstance(node, list):
            return [change(item) for item in node]
        if not isinstance(node, dict):
            return node
        node = {key: change(value) for key, value in node.items()}
        if node.pop("nullable", None) is True and isinstance(node.get("type"), str):
            node["type"] = [node["type"], "null"]
            if "enum" in node:
                node["enum"] = [*node["enum"], None]
        for bound, other in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
            if isinstance(node.get(bound), bool) and node.pop(bound) and other in node:
                node[bound] = node.pop(other)
        return node

    return change(description)
