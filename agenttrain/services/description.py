"""Service -> its OpenAPI 3.1 description: what tools are made from and answers are checked against."""

from __future__ import annotations

from typing import Any

from agenttrain.services.trade import Trade

_INTEGER = {"type": "integer", "minimum": 1}
_STRING = {"type": "string"}


def description(trade: Trade) -> dict[str, Any]:
    """Seven operations on three collections."""
    thing, client, deal, units = trade.thing, trade.client, trade.deal, trade.units
    kind = {"type": "string", "enum": list(trade.kinds)}
    by_deal = {"parameters": [_parameter(f"{deal}_id", "path", _INTEGER)]}
    return {
        "openapi": "3.1.0",
        "info": {"title": trade.name, "version": "1"},
        "paths": {
            f"/{trade.things}": {
                "get": _operation(
                    f"find_{trade.things}",
                    f"List the {trade.things} of a name or {trade.kind}, or all.",
                    {200: _list(thing)},
                    _parameter("name", "query", _STRING),
                    _parameter(trade.kind, "query", kind),
                )
            },
            f"/{trade.things}/{{{thing}_id}}": {
                "get": _operation(
                    f"get_{thing}", f"Look at a {thing}.", {200: thing}, _parameter(f"{thing}_id", "path", _INTEGER)
                )
            },
            f"/{trade.clients}": {
                "get": _operation(
                    f"find_{trade.clients}",
                    f"List the {trade.clients} of a name, or all.",
                    {200: _list(client)},
                    _parameter("name", "query", _STRING),
                )
            },
            f"/{trade.deals}": {
                "get": _operation(
                    f"find_{trade.deals}",
                    f"List the {trade.deals} of a {client}, or all.",
                    {200: _list(deal)},
                    _parameter(f"{client}_id", "query", _INTEGER),
                ),
                "post": _operation(
                    f"make_{deal}", f"Make a new {deal}.", {201: deal}, body=[f"{client}_id", f"{thing}_id", units]
                ),
            },
            f"/{trade.deals}/{{{deal}_id}}": by_deal
            | {
                "patch": _operation(f"change_{deal}", f"Change the {units} of a {deal}.", {200: deal}, body=[units]),
                "delete": _operation(f"cancel_{deal}", f"Cancel a {deal}.", {200: deal}),
            },
        },
        "components": {
            "schemas": {
                thing: _object(id=_INTEGER, name=_STRING, price=_INTEGER, stock={"type": "integer"})
                | {"required": ["id", "name", trade.kind, "price", "stock"]},
                client: _object(id=_INTEGER, name=_STRING),
                deal: _object(
                    **dict.fromkeys(("id", f"{client}_id", f"{thing}_id", units), _INTEGER),
                    status={"enum": ["open", "cancelled"]},
                ),
                "error": _object(error=_STRING),
            }
        },
    }


def _operation(name: str, summary: str, gives: dict[int, Any], *parameters: Any, body: Any = ()) -> dict[str, Any]:
    answers = {
        str(status): {"description": "done", "content": _json(_ref(schema) if isinstance(schema, str) else schema)}
        for status, schema in gives.items()
    }
    answers["4XX"] = {"description": "refused", "content": _json(_ref("error"))}
    operation = {"operationId": name, "summary": summary, "parameters": list(parameters), "responses": answers}
    if body:
        schema = _object(**dict.fromkeys(body, _INTEGER)) | {"additionalProperties": False}
        operation["requestBody"] = {"required": True, "content": _json(schema)}
    return operation


def _parameter(name: str, place: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": place, "required": place == "path", "schema": schema}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(name: str) -> dict[str, Any]:
    return {"type": "array", "items": _ref(name)}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
