"""The description of the HTTP interface, made of an OpenAPI document."""

from __future__ import annotations

import json

from fastapi import FastAPI
from pydantic import BaseModel

from services.web.reference import operations_of


class Tree(BaseModel):
    name: str
    kind: bool
    children: list[Tree] = []


class Change(BaseModel):
    title: str


def described() -> dict[str, object]:
    app = FastAPI()

    @app.get("/trees/{tree_id}", tags=["trees"])
    async def get(tree_id: str, depth: int = 1) -> Tree:
        """One tree."""
        raise NotImplementedError

    @app.patch("/trees/{tree_id}", tags=["trees"])
    async def change(tree_id: str, wanted: Change) -> None:
        """Change a tree."""

    return app.openapi()


def test_operations_are_grouped_with_what_they_take_and_give():
    get, change = operations_of(described())["trees"]
    assert (get.method, get.path, get.summary) == ("GET", "/trees/{tree_id}", "One tree.")
    assert [(p.name, p.place, p.required) for p in get.parameters] == [
        ("tree_id", "path", True),
        ("depth", "query", False),
    ]
    assert json.loads(change.body) == {"title": "…"}
    assert [answer.status for answer in change.answers] == ["200", "422"]


def test_a_model_that_contains_itself_ends_somewhere():
    sample = json.loads(operations_of(described())["trees"][0].answers[0].sample)
    assert sample["kind"] is False
    assert sample["children"][0]["children"][0]["name"] == "…"
