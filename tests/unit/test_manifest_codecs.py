"""Videos in several codecs: one adaptation set for each kind, one variant for each rendition."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from services.shared.encoding import Encoding
from services.shared.manifest import final_files, manifest
from services.shared.plan import Availability, Plan, Rational
from services.shared.task import TrackResult
from services.shared.tracks import Rendition

AVC = Encoding()
AV1 = Encoding(profile="av1", preset="10", quality=35)
CODECS = {
    "240p": "avc1.64000d",
    "240p-av1": "av01.0.00M.08",
    "720p": "avc1.64001f",
    "720p-av1": "av01.0.05M.08",
}
PLAN = Plan(
    generation=2,
    time_base=Rational(num=1, den=12_800),
    start_ticks=0,
    fps=Rational(num=25, den=1),
    frames=400,
    segment_frames=100,
    timescale=12_800,
    renditions=tuple(
        Rendition(
            name=name,
            width=426 if name.startswith("240") else 1280,
            height=int(name.partition("p")[0]),
            bitrate=500_000,
            codec="av01.0.04M.08" if name.endswith("av1") else CODECS[name],
            encoding=AV1 if name.endswith("av1") else AVC,
        )
        for name in CODECS
    ),
    input_format="mov",
    encoder="x",
)


def tracks(*names: str) -> dict[str, TrackResult]:
    return {
        name: TrackResult(
            segments=4, size_bytes=400_000, peak_bitrate=300_000, codec=CODECS[name], init_sha256=""
        )
        for name in names
    }


COMPLETE = Availability(
    video_segments=dict.fromkeys(CODECS, 4), complete=True, frames=400, tracks=tracks(*CODECS)
)
BEGUN = Availability(video_segments={"240p": 1}, tracks=tracks("240p"))


def sets(mpd: bytes) -> list[dict[str, str]]:
    root = ET.fromstring(mpd)  # noqa: S314 - written by ourselves, a moment ago
    return [
        {**group.attrib, "has": " ".join(entry.get("codecs", "") for entry in group)}
        for group in root.iter("{urn:mpeg:dash:schema:mpd:2011}AdaptationSet")
    ]


def test_each_kind_of_codec_has_an_adaptation_set_and_the_thriftier_is_preferred():
    h264, av1 = sets(final_files(PLAN, COMPLETE)["manifest.mpd"])
    assert (h264["has"], av1["has"]) == ("avc1.64000d avc1.64001f", "av01.0.00M.08 av01.0.05M.08")
    assert int(av1["selectionPriority"]) > int(h264["selectionPriority"])


def test_a_video_in_one_codec_has_one_set_without_preference():
    plan = PLAN.model_copy(update={"renditions": PLAN.renditions[::2]})
    (only,) = sets(final_files(plan, COMPLETE)["manifest.mpd"])
    assert only["id"] == "0"
    assert "selectionPriority" not in only


def test_sets_keep_their_ids_and_codecs_are_announced_while_a_video_grows():
    growing, done = (sets(manifest("manifest.mpd", PLAN, there)) for there in (BEGUN, COMPLETE))
    assert [group["id"] for group in growing] == [group["id"] for group in done]
    # Of AV1 the plan knows what its encoder makes of small pictures.
    assert [group["has"] for group in growing] == ["avc1.64000d avc1.64001f", "av01.0.04M.08 av01.0.04M.08"]


def test_while_a_video_grows_players_are_told_the_same_codecs():
    """They look for them once (HLS), and no Representation may change its own (ISO/IEC 23009-1, 5.4)."""
    later = BEGUN.model_copy(update={"tracks": tracks("240p", "240p-av1", "720p-av1")})
    begun, more = (manifest("master.m3u8", PLAN, there) for there in (BEGUN, later))
    assert begun == more


def test_a_plan_from_before_codecs_were_planned_announces_that_of_its_first_piece():
    plan = PLAN.model_copy(
        update={"renditions": tuple(r.model_copy(update={"codec": ""}) for r in PLAN.renditions[::2])}
    )
    (only,) = sets(manifest("manifest.mpd", plan, BEGUN))
    assert only["has"] == "avc1.64000d avc1.64000d"


def test_level_1b_is_announced_as_the_next_one_which_browsers_know():
    small = tracks("240p")["240p"].model_copy(update={"codec": "avc1.640009"})
    there = COMPLETE.model_copy(update={"tracks": {**COMPLETE.tracks, "240p": small}})
    files = final_files(PLAN, there)
    assert sets(files["manifest.mpd"])[0]["has"] == "avc1.64000b avc1.64001f"
    assert b"avc1.640009" not in files["master.m3u8"]


def test_each_rendition_is_a_variant_of_its_codec_in_hls():
    lines = final_files(PLAN, COMPLETE)["master.m3u8"].decode().splitlines()
    variants = [line for line in lines if line.startswith("#EXT-X-STREAM-INF:")]
    assert [f'CODECS="{codec}"' in line for codec, line in zip(CODECS.values(), variants, strict=True)] == [
        *[True] * len(CODECS)
    ]
    assert "720p-av1.m3u8" in lines
