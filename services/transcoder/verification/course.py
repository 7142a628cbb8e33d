"""How far a verification has come: written down after each step, so that anybody can go on from there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from time import monotonic
from typing import Final

from services.shared.catalog import OpenVerification, Verifications, now_ms
from services.shared.verification import Verification
from services.transcoder.verification.examination import Findings

_GO_S: Final = 300.0
"""Then it is other work's turn, if there is any; one step may make a piece anew, however long that takes."""


class OthersFirst(Exception):  # noqa: N818 - not an error: the way out between two steps
    """Other work waits, or this has taken long enough for one job."""


class Course:
    """One job's part in a verification.

    Args:
        verifications: where it is written down.
        opened: as it was found.
        others_wait: whether there is other work to do.
    """

    def __init__(
        self,
        verifications: Verifications,
        opened: OpenVerification,
        *,
        others_wait: Callable[[], Awaitable[bool]],
    ) -> None:
        self.opened = opened
        self._verifications = verifications
        self._others_wait = others_wait
        self._until_s = monotonic() + _GO_S

    @property
    def record(self) -> Verification:
        """As it is written down now."""
        return self.opened.record

    async def begin(self, *, steps: int, worker: str) -> None:
        """Take it up: where it stopped, or from the beginning if there is a verdict of last time."""
        record = self.record if self.record.verdict is None else self.record.begun_again()
        await self._write(
            record.model_copy(
                update={"steps": steps, "worker": worker, "began_at_ms": record.began_at_ms or now_ms()}
            )
        )

    async def note(self, found: Findings, *, silent: Iterable[str]) -> None:
        """Write down what a step has found.

        Raises:
            OthersFirst: stop here.
            FencedError: somebody else verifies the video, or it was asked for anew.
        """
        record = self.record.noting(found.faults).missing_nodes(silent)
        await self.save(
            record.model_copy(
                update={
                    "steps_done": record.steps_done + 1,
                    "files": record.files + found.files,
                    "size_bytes": record.size_bytes + found.size_bytes,
                    "frames": record.frames + found.frames,
                }
            )
        )

    async def save(self, record: Verification) -> None:
        """Write the record down.

        Raises:
            OthersFirst: stop here.
            FencedError: somebody else verifies the video, or it was asked for anew.
        """
        await self._write(record)
        if monotonic() > self._until_s or await self._others_wait():
            raise OthersFirst

    async def _write(self, record: Verification) -> None:
        self.opened = await self._verifications.save(self.opened, record)
