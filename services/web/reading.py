"""Routes for reading: by GET, and by HEAD, which RFC 9110 (9.1) asks of servers, and load balancers use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter


def add_reading(router: APIRouter, path: str, endpoint: Callable[..., Any], **described: Any) -> None:
    """Answer GET and HEAD at a path.

    Args:
        router: where to.
        path: below the router's prefix.
        endpoint: answers both; of its answer to HEAD the server sends the headers.
        described: what else `add_api_route` takes. Only GET is described to people: HEAD goes without saying.
    """
    router.add_api_route(path, endpoint, methods=["GET"], **described)
    router.add_api_route(path, endpoint, methods=["HEAD"], **{**described, "include_in_schema": False})
