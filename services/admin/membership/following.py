"""Following a request from where it is to its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

from services.admin.admin import Admin
from services.admin.membership.requests import check_request_id
from services.shared.errors import NotFoundError
from services.shared.ring.requests import ChangeRequest

_GATHER_S: Final = 0.2
"""News that come in quick succession make one step: with many nodes there is some all the time."""


async def find_request(admin: Admin, request_id: str) -> ChangeRequest:
    """The request of this id; of an empty one, that of the change in progress.

    Raises:
        InvalidRequestError: that can't be an id.
        NotFoundError: there is none.
        UnavailableError: etcd can't be reached.
    """
    if not request_id:
        change = (await admin.topology.refresh()).state.change
        request_id = change.request_id if change else ""
    if not request_id:
        raise NotFoundError("No change is in progress.")
    check_request_id(request_id)
    request = admin.records.requests.record(request_id) or await admin.requests.find(request_id)
    if request is None:
        raise NotFoundError(f"There is no request {request_id}, or it ended long ago.")
    return request


async def follow(admin: Admin, request: ChangeRequest) -> AsyncGenerator[ChangeRequest, None]:
    """Yield the request as it is, and again whenever something about the ring has changed, until its end."""
    news = asyncio.Event()
    stops = (admin.records.on_change(news.set), admin.topology.on_change(lambda _: news.set()))
    try:
        while True:
            news.clear()
            request = admin.records.requests.record(request.id) or request
            yield request
            if not request.is_open:
                return
            await news.wait()
            await asyncio.sleep(_GATHER_S)
    finally:
        for stop in stops:
            stop()
