"""Which manifests a video has, and each of them by its name. Pure."""

from __future__ import annotations

from services.shared.captions import Caption
from services.shared.errors import NotFoundError
from services.shared.filenames import HLS_FILE, MPD_FILE, playlist_file
from services.shared.manifest.dash import mpd
from services.shared.manifest.hls import (
    STORYBOARD_PLAYLIST,
    master,
    picture_playlist,
    playlist,
    text_playlist,
)
from services.shared.manifest.presentation import Presentation
from services.shared.plan import Availability, Plan
from services.shared.storyboard import Storyboard


def manifest_names(plan: Plan) -> tuple[str, ...]:
    """The names of all manifests and playlists of a video."""
    tracks = (*(r.name for r in plan.renditions), *(a.name for a in plan.audio))
    return (MPD_FILE, HLS_FILE, *(playlist_file(track) for track in tracks))


def final_files(plan: Plan, available: Availability) -> dict[str, bytes]:
    """All manifests of a video that is complete, by name."""
    return {name: manifest(name, plan, available) for name in manifest_names(plan)}


def is_begun(plan: Plan, available: Availability) -> bool:
    """Whether there is something to play: the beginning of the lowest rendition and of its sound."""
    return Presentation(plan=plan, available=available).begun


def playable_s(plan: Plan, available: Availability) -> float:
    """How many seconds can be played from the beginning."""
    return round(float(Presentation(plan=plan, available=available).playable), 3)


def promised(plan: Plan, available: Availability) -> frozenset[str]:
    """Names of the files that manifests tell of though they are still being made: see `Presentation`."""
    return Presentation(plan=plan, available=available).promised()


def manifest(
    name: str,
    plan: Plan,
    available: Availability,
    *,
    captions: tuple[Caption, ...] = (),
    storyboard: Storyboard | None = None,
    published_at_ms: int = 0,
) -> bytes:
    """One manifest or playlist, as things stand.

    Args:
        name: one of `manifest_names`, or the playlist of some captions or of the storyboard.
        plan: how the video is cut.
        available: what there is of it.
        captions: that it has.
        storyboard: that it has, which is complete.
        published_at_ms: when `available` was found, for players that compare the manifests they get.

    Raises:
        NotFoundError: there is no such manifest, or nothing of its track yet.
    """
    shown = Presentation(plan=plan, available=available, captions=captions, storyboard=storyboard)
    if not (shown.begun or available.complete):
        raise NotFoundError("There is nothing to play yet.")
    if name == MPD_FILE:
        return mpd(shown, published_at_ms)
    if name == HLS_FILE:
        return master(shown)
    for _, track in (*shown.video(), *shown.audio()):
        if playlist_file(track.name) == name:
            return playlist(shown, track)
    for caption in captions:
        if playlist_file(caption.track) == name:
            return text_playlist(shown, caption)
    if storyboard and name == STORYBOARD_PLAYLIST:
        return picture_playlist(shown, storyboard)
    raise NotFoundError(f"There is no {name} (yet).")
