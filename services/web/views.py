"""Videos as the HTTP interface shows them: a contract with scripts, apart from how they are stored."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, Field

from services.shared.captions import Caption
from services.shared.filenames import HLS_FILE, MPD_FILE, poster_file
from services.shared.storyboard import index_file
from services.shared.tracks import AudioTrack, Rendition, SoundRole
from services.shared.video import Omission, Status, Verdict, Video

_MILLISECONDS = 1000


class View(BaseModel):
    """Base of everything that the JSON interface answers."""

    model_config = ConfigDict(frozen=True)


class LinksView(View):
    """Where else to go from here; paths on this server."""

    self: str = Field(description="this record")
    watch: str = Field(description="the page to watch it on")
    manifest: str = Field(description="DASH")
    hls: str = Field(description="HLS")


class VideoLinksView(LinksView):
    """The links of a video that is in the catalogue."""

    embed: str = Field(description="a bare player for an iframe")
    poster: str | None = Field(description="a still picture, once there is one")
    storyboard: str | None = Field(
        description="WebVTT that tells which part of which picture stands for which time, once there is one"
    )
    original: str | None = Field(description="the uploaded file; null where it was not kept")


class RenditionView(View):
    """One quality that the video can be watched in."""

    name: str
    width: int
    height: int
    bitrate: int = Field(description="bits per second: the limit while processing, the measured peak after")
    codec: str = Field(description="RFC 6381; while processing, the level is a guess but for x264's")
    begun: bool = Field(description="whether it can be watched from the beginning, as far as it reaches")
    download: str | None = Field(description="all of it as one MP4 file; null until the video is ready")

    @classmethod
    def of(cls, rendition: Rendition, video: Video) -> RenditionView:
        """What is shown of one of a video's renditions."""
        path = f"/content/{video.id}/download/{rendition.name}.mp4"
        return cls(
            name=rendition.name,
            width=rendition.width,
            height=rendition.height,
            bitrate=rendition.bitrate,
            codec=rendition.codec,
            begun=rendition.begun,
            download=path if video.status is Status.READY else None,
        )


class SoundView(View):
    """One sound track that can be chosen."""

    name: str
    language: str = Field(description="a language tag, `und` where nobody knows")
    title: str = Field(description="what menus call it")
    role: SoundRole

    @classmethod
    def of(cls, track: AudioTrack) -> SoundView:
        """What is shown of a track."""
        return cls(name=track.name, language=track.language, title=track.title, role=track.role)


class CaptionView(View):
    """Captions in one language."""

    name: str = Field(description="under which they are put and removed: the language, or `en.2`")
    language: str = Field(description="a language tag, `und` where nobody knows")
    title: str = Field(description="what menus call them")
    given: bool = Field(description="whether somebody gave them; else they were found in the original")
    url: str = Field(description="WebVTT")

    @classmethod
    def of(cls, caption: Caption, video_id: str) -> CaptionView:
        """What is shown of captions."""
        return cls(
            name=caption.name,
            language=caption.language,
            title=caption.title,
            given=caption.given,
            url=f"/content/{video_id}/{caption.file}",
        )


class OmissionView(View):
    """A quality, or one of several sound tracks, that the video goes without."""

    rendition: str = Field(description="the track's name")
    title: str = Field(description="what people know it by")
    reason: str
    progress: float | None = Field(description="how much has been made again, 0 to 1; null: nobody does that")

    @classmethod
    def of(cls, omission: Omission) -> OmissionView:
        """What is shown of an omission."""
        title = omission.title or omission.rendition
        return cls(
            rendition=omission.rendition, title=title, reason=omission.reason, progress=omission.progress
        )


class VideoView(View):
    """A video."""

    id: str
    title: str
    status: Status
    reason: str | None = Field(description="why it failed; null unless it did")
    retryable: bool = Field(description="whether it failed in a way that trying again may mend")
    progress: float = Field(description="how much of the work is done, 0 to 1")
    playable_s: float = Field(description="how much can be watched so far, from the beginning")
    duration_s: float | None = Field(
        description="null until the original was examined, and if that was refused"
    )
    width: int | None
    height: int | None
    frames: int | None
    renditions: tuple[RenditionView, ...] = Field(description="from the lowest to the highest")
    audio: tuple[SoundView, ...] = Field(description="sound tracks; players begin with the first")
    captions: tuple[CaptionView, ...] = Field(description="in the order of their names")
    verdict: Verdict | None = Field(description="of the last look at it as a whole; null until there was one")
    omitted: tuple[OmissionView, ...] = Field(description="tracks that could not be made, and why")
    settled: bool = Field(description="whether it is ready and nothing is being made of it, extras included")
    created_at: datetime
    size_bytes: int = Field(description="of the original")
    links: VideoLinksView

    @classmethod
    def of(cls, video: Video) -> VideoView:
        """What is shown of a record."""
        return cls(
            id=video.id,
            title=video.title,
            status=video.status,
            reason=video.reason if video.status is Status.FAILED else None,
            retryable=video.retryable,
            progress=video.progress,
            playable_s=video.playable_s,
            duration_s=video.duration_s,
            width=video.width,
            height=video.height,
            frames=video.frames,
            renditions=tuple(RenditionView.of(rendition, video) for rendition in video.renditions),
            audio=tuple(map(SoundView.of, video.audio)),
            captions=tuple(CaptionView.of(caption, video.id) for caption in video.captions.offered),
            verdict=video.verdict,
            omitted=tuple(map(OmissionView.of, video.omitted)),
            settled=video.status is Status.READY and not video.work_remains,
            created_at=datetime.fromtimestamp(video.created_at_ms / _MILLISECONDS, UTC),
            size_bytes=video.source.size_bytes,
            links=_video_links(video),
        )


class VideoPageView(View):
    """Some videos, newest first."""

    videos: tuple[VideoView, ...]
    next: str | None = Field(description="the `before` that continues the list; null at its end")


class UploadView(View):
    """A video that has just been uploaded."""

    id: str
    title: str
    status: Status
    links: LinksView

    @classmethod
    def of(cls, video: Video) -> UploadView:
        """What is answered to an upload."""
        links = LinksView(**_links(video.id))
        return cls(id=video.id, title=video.title, status=video.status, links=links)


def watch_path(video_id: str) -> str:
    """Where a video is watched."""
    return f"/videos/{video_id}"


def _links(video_id: str) -> dict[str, str]:
    return {
        "self": f"/api/videos/{video_id}",
        "watch": watch_path(video_id),
        "manifest": f"/content/{video_id}/{MPD_FILE}",
        "hls": f"/content/{video_id}/{HLS_FILE}",
    }


def _video_links(video: Video) -> VideoLinksView:
    gone = video.refused or video.original_dropped
    return VideoLinksView(
        **_links(video.id),
        embed=f"/embed/{video.id}",
        storyboard=f"/content/{video.id}/{index_file(video.generation)}" if video.storyboard else None,
        poster=f"/content/{video.id}/{poster_file(video.generation)}" if video.poster else None,
        original=None if gone else f"/content/{video.id}/download/original",
    )
