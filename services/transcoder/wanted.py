"""Is a job still wanted? The first question about every message, and asked again while work goes on."""

from __future__ import annotations

from services.shared.catalog import Catalog
from services.shared.errors import FencedError, NotFoundError
from services.shared.messages import Job
from services.shared.video import ACTIVE, Status, Video


async def wanted(catalog: Catalog, job: Job) -> Video:
    """The video that a job is about.

    Raises:
        FencedError: it was deleted, given up, or started over: drop the job.
        UnavailableError: etcd is away.
    """
    try:
        video = await catalog.get(job.video_id)
    except NotFoundError as error:
        raise FencedError("The video was deleted.") from error
    # A video that is ready may still get its poster, and is verified.
    if video.generation != job.generation or video.status not in ACTIVE | {Status.READY}:
        raise FencedError(f"Video {video.id} has moved on.")
    return video
