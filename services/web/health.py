"""For orchestrators and Prometheus: alive, ready, measured."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from services.shared.errors import TritonTubeError
from services.shared.telemetry import CONTENT_TYPE_LATEST, exposition
from services.web.reading import add_reading

Check = Callable[[], Awaitable[None]]
"""Returns if the backing service is there, raises an error of ours if not."""

_TIMEOUT_S: Final = 2.0
OK: Final = "ok"


_UNREADY: Final[dict[int | str, dict[str, Any]]] = {
    503: {"description": "Something cannot be reached", "model": dict[str, str]}
}


class Health:
    """Answers whether this process is alive and what it needs is there."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = checks
        self.router = APIRouter(tags=["operations"])
        add_reading(self.router, "/healthz", self.alive)
        add_reading(self.router, "/readyz", self.ready, responses=_UNREADY)
        add_reading(self.router, "/metrics", self.metrics, response_class=Response)

    async def alive(self) -> dict[str, str]:
        """200 as long as this process can answer at all."""
        return {"status": OK}

    async def ready(self) -> JSONResponse:
        """200 when every backing service can be reached, else 503; names each."""
        found = await self.look()
        is_ready = all(state == OK for state in found.values())
        return JSONResponse(found, status_code=200 if is_ready else 503)

    async def metrics(self) -> Response:
        """Everything measured, in Prometheus' text format."""
        return Response(exposition(), media_type=CONTENT_TYPE_LATEST)

    async def look(self) -> dict[str, str]:
        """`OK`, or a sentence that says what is wrong, for each backing service by name."""
        found = await asyncio.gather(*(self._ask(check) for check in self._checks.values()))
        return dict(zip(self._checks, found, strict=True))

    async def _ask(self, check: Check) -> str:
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                await check()
        except TimeoutError:
            return "no answer in time"
        except TritonTubeError as error:
            return str(error)
        return OK
