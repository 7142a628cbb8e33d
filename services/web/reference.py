"""The HTTP interface for people: what `/openapi.json` says, as a page without any script of others. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_METHODS: Final = ("options", "head", "get", "post", "patch", "delete", "put")
_MAX_DEPTH: Final = 6
_SAMPLES: Final = {"string": "…", "integer": 0, "number": 0.0, "boolean": False, "null": None}

Schema = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """Something that an operation can be told."""

    name: str
    place: str
    """`path`, `query` or `form`."""
    required: bool
    description: str


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What an operation may answer."""

    status: str
    description: str
    sample: str
    """JSON; empty: none."""


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    summary: str
    parameters: tuple[Parameter, ...]
    body: str
    """A sample of the JSON to send; empty: none."""
    answers: tuple[Answer, ...]


def operations_of(openapi: Schema) -> dict[str, list[Operation]]:
    """All operations by tag, in the order of the document."""
    found: dict[str, list[Operation]] = {}
    for path, methods in openapi["paths"].items():
        for method in (method for method in _METHODS if method in methods):
            described = methods[method]
            tag = described.get("tags", ["other"])[0]
            found.setdefault(tag, []).append(_operation(openapi, method, path, described))
    return found


def _operation(openapi: Schema, method: str, path: str, described: Schema) -> Operation:
    content = described.get("requestBody", {}).get("content", {})
    json_body = content.get("application/json")
    form = content.get("multipart/form-data", {}).get("schema", {})
    return Operation(
        method=method.upper(),
        path=path,
        summary=described.get("description") or described.get("summary", ""),
        parameters=(*map(_parameter, described.get("parameters", ())), *_form_fields(form)),
        body=_sample_text(openapi, json_body["schema"]) if json_body else "",
        answers=tuple(_answer(openapi, *answer) for answer in described["responses"].items()),
    )


def _parameter(described: Schema) -> Parameter:
    return Parameter(
        name=described["name"],
        place=described["in"],
        required=described.get("required", False),
        description=described.get("description", ""),
    )


def _form_fields(schema: Schema) -> list[Parameter]:
    return [
        Parameter(
            name=name,
            place="form",
            required=name in schema.get("required", ()),
            description=field.get("description", ""),
        )
        for name, field in schema.get("properties", {}).items()
    ]


def _answer(openapi: Schema, status: str, described: Schema) -> Answer:
    schema = described.get("content", {}).get("application/json", {}).get("schema", {})
    return Answer(
        status=status,
        description=described.get("description", ""),
        sample=_sample_text(openapi, schema) if schema else "",
    )


def _sample_text(openapi: Schema, schema: Schema) -> str:
    return json.dumps(_sample(openapi, schema, _MAX_DEPTH), indent=2, ensure_ascii=False)


def _sample(openapi: Schema, schema: Schema, depth: int) -> Any:
    """A value of the form that the schema describes; `depth` ends what contains itself."""
    schema = _resolved(openapi, schema)
    if not depth or "enum" in schema:
        return " | ".join(schema.get("enum", ["…"]))
    if "anyOf" in schema:
        return _sample(openapi, schema["anyOf"][0], depth - 1)
    if schema.get("type") == "array":
        return [_sample(openapi, schema.get("items", {}), depth - 1)]
    if "properties" in schema:
        fields = schema["properties"].items()
        return {name: _sample(openapi, field, depth - 1) for name, field in fields}
    return _SAMPLES.get(schema.get("type", "string"), {})


def _resolved(openapi: Schema, schema: Schema) -> Schema:
    """The schema itself, where this is only a reference to it."""
    found: Schema = schema
    while "$ref" in found:
        found = openapi["components"]["schemas"][found["$ref"].rpartition("/")[2]]
    return found
