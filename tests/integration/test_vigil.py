"""Work that is watched over while it lasts, by a record on a real etcd."""

from __future__ import annotations

import asyncio
import gc
from typing import Any, NoReturn

import pytest

from services.shared.errors import FencedError
from services.shared.etcd import EtcdClient
from services.transcoder.vigil import Vigil


async def moved_on() -> NoReturn:
    raise FencedError("It has moved on.")


async def badly_ending() -> None:
    try:
        await asyncio.Event().wait()
    finally:
        raise RuntimeError("tidying up failed")


async def test_what_goes_wrong_while_work_is_ended_is_not_reported_as_forgotten(
    etcd_client: EtcdClient, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    forgotten: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: forgotten.append(context))
    with pytest.raises(FencedError):
        await Vigil(etcd_client).over(badly_ending(), key=prefix, check=moved_on)
    gc.collect()
    assert not forgotten
    assert "tidying up failed" in caplog.text
