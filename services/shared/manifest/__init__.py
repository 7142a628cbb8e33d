"""DASH and HLS manifests, written from the plan and from what of it is in the ring. Pure.

Both speak about the same files. While segments are missing, the MPD is dynamic with a timeline that grows
and a known total duration (a recording in progress), and the playlists are of type EVENT; once all are
there, static and VOD.
"""

from services.shared.manifest.manifests import (
    final_files,
    is_begun,
    manifest,
    manifest_names,
    playable_s,
    promised,
)

__all__ = ["final_files", "is_begun", "manifest", "manifest_names", "playable_s", "promised"]
