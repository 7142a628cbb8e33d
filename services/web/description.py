"""What `/openapi.json` says: the framework's description, with errors as they are really answered."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI

from services.web.problems import MEDIA_TYPE, problem_title

_ERRORS: Final = 400
_SCHEMA: Final = "Problem"
_FRAMEWORKS_OWN: Final = ("HTTPValidationError", "ValidationError")
"""Schemas of what the framework would answer to a request that is not what it should be."""

_PROBLEM: Final = {
    "title": "Problem",
    "description": "What went wrong (RFC 9457).",
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "const": "about:blank"},
        "title": {"type": "string", "description": "the status code's phrase"},
        "status": {"type": "integer", "description": "the status code"},
        "detail": {"type": "string", "description": "a sentence for people"},
    },
}

Answers = dict[int | str, dict[str, Any]]


def failing(*statuses: int) -> Answers:
    """The errors that a route may answer, for `add_api_route`."""
    return {int(status): {"description": problem_title(status)} for status in statuses}


class Described(FastAPI):
    """An application whose description tells of its errors."""

    def openapi(self) -> dict[str, Any]:
        """The description, made once."""
        if self.openapi_schema is None:
            self.openapi_schema = _with_problems(super().openapi())
        return self.openapi_schema


def _with_problems(document: dict[str, Any]) -> dict[str, Any]:
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas[_SCHEMA] = _PROBLEM
    for name in _FRAMEWORKS_OWN:
        schemas.pop(name, None)
    content = {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{_SCHEMA}"}}}
    for methods in document["paths"].values():
        for operation in methods.values():
            operation["responses"] = {
                status: _told(int(status), answer, content)
                for status, answer in sorted(operation["responses"].items())
            }
    return document


def _told(status: int, answer: dict[str, Any], content: dict[str, Any]) -> dict[str, Any]:
    """An answer as it is described; an error that says nothing else of itself is a problem."""
    if status < _ERRORS:
        return answer
    if status == 422:  # noqa: PLR2004 - the framework's own, see `problems.problem_of_form`
        return {"description": problem_title(status), "content": content}
    return answer if "content" in answer else {**answer, "content": content}
