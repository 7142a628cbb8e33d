"""Each title gets the quality that it needs: see `services.transcoder.complexity`."""

from __future__ import annotations

import logging
import re
from typing import Final

from services.shared.catalog import Claim, WorkBook
from services.shared.errors import PermanentJobError
from services.shared.plan import Plan
from services.shared.task import Piece, Task
from services.transcoder import command
from services.transcoder.command import Input
from services.transcoder.complexity import MIN_AHEAD, ahead, relief, sampled, yardstick
from services.transcoder.encode import Encoded
from services.transcoder.process import Chunks, ExitError, Limits, run

log = logging.getLogger(__name__)

_SAMPLE_S: Final = 2
_SIMILARITY: Final = re.compile(r"SSIM Mean Y:([0-9.]+)")


class Titles:
    """Judges videos while they are being encoded. Doing it twice changes nothing."""

    def __init__(self, *, book: WorkBook, limits: Limits) -> None:
        self._book = book
        self._limits = limits

    async def ease(self, plan: Plan, claim: Claim, source: Input) -> Encoded:
        """Encode samples of what is left of a video, and let the rest be encoded as coarse as they bear.

        Raises:
            PermanentJobError: they cannot be judged: the video keeps its planned quality.
            TransientJobError: a limit stopped ffmpeg.
            UnavailableError: etcd is away.
        """
        pieces = await self._ahead(claim)
        if len(pieces) >= MIN_AHEAD:
            samples = [await self._judged(plan, piece, source) for piece in sampled(pieces)]
            await self._relieve(claim, relief(samples))
        return Encoded(frames=0, tracks={})

    async def _relieve(self, claim: Claim, steps: int) -> None:
        pieces = await self._ahead(claim) if steps else []
        eased = [await self._book.relieve(claim, piece.name, steps) for piece in pieces]
        log.info("video %s: %d pieces %d steps coarser", claim.video_id, sum(eased), steps)

    async def _ahead(self, claim: Claim) -> list[Task]:
        tasks = await self._book.tasks(claim.video_id, claim.generation)
        claimed = await self._book.claimed(claim.video_id, claim.generation)
        return ahead(tasks, claimed)

    async def _judged(self, plan: Plan, task: Task, source: Input) -> tuple[float, float]:
        assert task.piece is not None
        return await judge(source, plan, task.piece, limits=self._limits)


async def judge(source: Input, plan: Plan, piece: Piece, *, limits: Limits) -> tuple[float, float]:
    """How similar the first seconds of a piece are to the source, at the planned quality and at the coarsest.

    Raises:
        PermanentJobError: ffmpeg does not say.
        TransientJobError: a limit stopped it.
    """
    frames = min(plan.segment_frames, _SAMPLE_S * plan.fps.num // plan.fps.den)
    short = piece.model_copy(update={"end_frame": piece.first_frame + max(frames, 1)})
    try:
        said = await run(
            command.sample(source, plan, short, yardstick(plan), seek_s=piece.seeks_s[0]),
            _ignored,
            limits=limits,
        )
    except ExitError as error:
        raise PermanentJobError("A sample of it could not be encoded.") from error
    found = [float(similarity) for similarity in _SIMILARITY.findall(said)]
    if len(found) != len(command.SAMPLED_RELIEFS):
        raise PermanentJobError("ffmpeg does not tell how good a sample came out.", detail=said)
    return found[0], found[1]


async def _ignored(chunks: Chunks) -> None:
    async for _ in chunks:
        pass
