import pytest

from agenttrain.backend.openapi import operations
from agenttrain.backend.schema import Schema
from agenttrain.errors import UserError


def described(paths, version="3.1.0", **components):
    return {"openapi": version, "paths": paths, "components": {"schemas": components}}


def only(paths, **more):
    [operation] = operations(described(paths, **more))
    return operation


NODE = {"type": "object", "properties": {"next": {"$ref": "#/components/schemas/Node"}}, "required": ["id"]}


def gives(schema, status="200"):
    return {"responses": {status: {"content": {"application/json": {"schema": schema}}}}}


def test_parameters_and_fields_of_the_body_become_arguments_and_a_request():
    body = {"type": "object", "properties": {"note": {"type": "string"}}, "required": ["note"]}
    operation = only(
        {
            "/a/{id}": {
                "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}],
                "put": {
                    "operationId": "edit-a",
                    "parameters": [
                        {"name": "tag", "in": "query", "schema": {"type": "array", "items": {"type": "string"}}},
                        {"name": "X-Why", "in": "header", "schema": {"type": "string"}},
                        {"name": "deep", "in": "query", "schema": {"type": "boolean"}},
                    ],
                    "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
                },
            }
        }
    )
    assert operation.tool["function"]["name"] == "edit_a"
    assert operation.parameters["required"] == ["id", "note"]
    request = operation.request({"id": "x/../y?z", "tag": ["1", "b&c"], "X-Why": "a\r\nb", "deep": True, "note": "n"})
    assert (request.method, request.target) == ("PUT", "/a/x%2F..%2Fy%3Fz?tag=1&tag=b%26c&deep=true")
    assert "\n" not in request.headers["X-Why"]
    assert request.body == {"note": "n"}
    for elsewhere in ("", ".", ".."):
        with pytest.raises(ValueError, match="'id' must not be"):
            operation.request({"id": elsewhere, "note": "n"})


def test_a_body_that_is_no_object_or_shares_a_name_is_one_argument():
    def of(schema):
        return only({"/a": {"post": {"requestBody": {"content": {"application/json": {"schema": schema}}}}}})

    assert of({"type": "array"}).request({"body": [1]}).body == [1]
    clash = only(
        {
            "/a": {
                "post": {
                    "parameters": [{"name": "id", "in": "query", "schema": {}}],
                    "requestBody": {
                        "content": {"application/json": {"schema": {"type": "object", "properties": {"id": {}}}}}
                    },
                }
            }
        }
    )
    request = clash.request({"id": "1", "body": {"id": 2}})
    assert (request.target, request.body) == ("/a?id=1", {"id": 2})


def test_references_are_followed_and_a_schema_that_holds_itself_is_checked_all_the_way_down():
    operation = only({"/n": {"get": gives({"$ref": "#/components/schemas/Node"})}}, Node=NODE)
    assert operation.mismatch(200, {"id": 1, "next": {"id": 2, "next": {"id": 3}}}) is None
    assert "'id' is a required property" in operation.mismatch(200, {"id": 1, "next": {"id": 2, "next": {}}})
    node = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Node"}}}}
    writes = only({"/n": {"post": {"requestBody": node}}}, Node=NODE)
    assert "$ref" not in str(writes.parameters)


def test_an_answer_is_checked_by_its_status_and_what_is_not_described_is_told():
    operation = only({"/n": {"get": gives({"type": "integer"}, "2XX")}})
    assert operation.mismatch(201, 3) is None
    assert operation.mismatch(201, "3") == "'3' is not of type 'integer'"
    assert operation.mismatch(404, {}) == "status 404 is not described"


def test_openapi_3_0_says_null_and_bounds_in_its_own_words():
    schema = {"type": "string", "nullable": True, "enum": ["a"]}
    number = {"type": "integer", "minimum": 1, "exclusiveMinimum": True}
    old = only({"/n": {"get": gives({"type": "object", "properties": {"a": schema, "b": number}})}}, version="3.0.3")
    assert old.mismatch(200, {"a": None, "b": 2}) is None
    assert old.mismatch(200, {"b": 1})
    assert old.mismatch(200, {"a": "c"})


def test_what_cannot_be_called_is_left_out_and_what_is_no_description_is_told(caplog):
    form = {"post": {"operationId": "upload", "requestBody": {"content": {"multipart/form-data": {"schema": {}}}}}}
    description = described({"/f": form, "/a": {"get": {"operationId": "look"}}, "/b": {"get": {}}})
    assert [operation.name for operation in operations(description)] == ["look", "get_b"]
    assert "upload is no tool: its body is no JSON" in caplog.text
    for nothing in ({"swagger": "2.0", "paths": {}}, {"openapi": "3.1.0"}, []):
        with pytest.raises(UserError, match="no OpenAPI 3"):
            operations(nothing or {})
    with pytest.raises(UserError, match="no operation that can be called"):
        operations(described({}))


def test_nothing_outside_a_schema_is_fetched():
    assert "cannot be checked" in Schema({"$ref": "http://127.0.0.1:9/schema.json"}).fault(1)
    assert len(Schema({"type": "integer"}).fault("x" * 10_000)) <= 200
