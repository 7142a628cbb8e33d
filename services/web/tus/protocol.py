"""What holds for every request of tus: the version it is made in, and how it is answered."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any, Final

from fastapi import Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from services.shared.errors import TritonTubeError
from services.web.problems import MEDIA_TYPE, Problem, problem_of
from services.web.tus.headers import ALGORITHMS, EXTENSIONS, VERSION

log = logging.getLogger(__name__)

_RESUMABLE: Final = {"Tus-Resumable": VERSION}

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def offer(max_bytes: int) -> dict[str, str]:
    """The headers that say what this server can do."""
    return {
        "Tus-Version": VERSION,
        "Tus-Extension": EXTENSIONS,
        "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
        "Tus-Max-Size": str(max_bytes),
    }


class TusRoute(APIRoute):
    """A route whose every answer, errors too, says which version of the protocol it follows."""

    def get_route_handler(self) -> Handler:
        """The handler, wrapped."""
        handler = super().get_route_handler()

        async def answer(request: Request) -> Response:
            response = await _answered(handler, request)
            response.headers.update(_RESUMABLE)
            return response

        return answer


async def _answered(handler: Handler, request: Request) -> Response:
    version = request.headers.get("tus-resumable")
    if version != VERSION and request.method != "OPTIONS":
        return _told(_other_version(version))
    try:
        return await handler(request)
    except ClientDisconnect:
        log.info("%s: left by its client", request.url.path)
        return Response(status_code=HTTPStatus.BAD_REQUEST)
    except TritonTubeError as error:
        problem = problem_of(error)
        log.info("%s %s: %d: %s", request.method, request.url.path, problem.status, problem.detail)
        return _told(problem)
    except HTTPException as error:
        return _told(Problem(status=error.status_code, detail=error.detail, headers=error.headers or {}))


def _other_version(version: str | None) -> Problem:
    spoken = f"version {version} of tus" if version else "no version of tus (Tus-Resumable)"
    return Problem(
        status=HTTPStatus.PRECONDITION_FAILED,
        detail=f"The request names {spoken}; this server takes {VERSION}.",
        headers={"Tus-Version": VERSION},
    )


def _told(problem: Problem) -> Response:
    return Response(
        problem.encode(), int(problem.status), headers=dict(problem.headers), media_type=MEDIA_TYPE
    )
