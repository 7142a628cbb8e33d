"""Text streams of sources become captions on the video's own clock."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from services.shared.captions import TextTrack
from services.shared.webvtt import Cue, parse
from services.transcoder.captions import take_captions
from services.transcoder.process import Limits
from tests.harness.media import planned
from tests.harness.sources import Recipe
from tests.harness.subtitled import Words, subtitled

LIMITS = Limits(wall_s=60)
FILM = Recipe(name="with_words", suffix="mkv", duration_s=6, size="160x90")
ENGLISH = Words(language="eng", sentences={1: "Hello <i>there</i>", 4.5: "Bye & bye"}, title="For all")
GERMAN = Words(language="ger", sentences={2: "Guten Tag"})


async def taken(path: Path) -> dict[str, tuple[Cue, ...]]:
    source, plan, _ = await planned(path)
    files = await take_captions(source, plan, limits=LIMITS)
    return {track.name: parse(text.decode()) for track, text in files.items()}


@pytest.mark.parametrize(
    ("codec", "suffix"), [("srt", "mkv"), ("ass", "mkv"), ("webvtt", "mkv"), ("mov_text", "mp4")]
)
async def test_every_kind_of_text_comes_out_with_its_language_and_its_times(source_folder, codec, suffix):
    path = subtitled(FILM.make(source_folder), [ENGLISH, GERMAN], codec=codec, suffix=suffix)
    _, plan, _ = await planned(path)
    assert [(text.name, text.title) for text in plan.texts] == [
        ("en", "For all" if suffix == "mkv" else "English"),
        ("de", "Deutsch"),
    ]
    found = await taken(path)
    assert [cue.text for cue in found["en"]] == ["Hello <i>there</i>", "Bye &amp; bye"]
    assert [(cue.start_ms, cue.end_ms) for cue in found["en"]] == [(1000, 2000), (4500, 5500)]
    assert [cue.text for cue in found["de"]] == ["Guten Tag"]


async def test_words_are_cut_to_the_video_and_moved_with_its_first_picture(source_folder):
    late = replace(FILM, name="words_late", muxer=("-output_ts_offset", "3"))
    words = Words(language="eng", sentences={1: "before", 2.5: "across", 5: "within", 8.5: "to the end"})
    found = await taken(subtitled(late.make(source_folder), [words]))
    assert [(cue.text, cue.start_ms, cue.end_ms) for cue in found["en"]] == [
        ("across", 0, 500),
        ("within", 2000, 3000),
        ("to the end", 5500, 6000),
    ]


async def test_a_stream_that_cannot_be_read_does_not_cost_the_others(source_folder):
    source, plan, _ = await planned(subtitled(FILM.make(source_folder), [ENGLISH]))
    missing = TextTrack(index=7, name="fr", language="fr", title="")
    more = plan.model_copy(update={"texts": (*plan.texts, missing)})
    files = await take_captions(source, more, limits=LIMITS)
    assert [track.name for track in files] == ["en"]


async def test_a_stream_without_a_word_gives_no_captions(source_folder):
    assert (
        await taken(subtitled(FILM.make(source_folder), [Words(language="eng", sentences={9: "late"})])) == {}
    )


async def test_drawings_are_no_captions_and_a_caption_beyond_all_measure_costs_no_other(
    source_folder, caplog
):
    drawing = "m 0 0 l 100 0 100 -100 " * 40
    words = Words(
        language="eng",
        sentences={
            0: "{\\p1}" + drawing,
            1: "Hello",
            2: "{\\an7\\p2}m 0 0 b 1.5 2 3 4 5 6{\\p0}A sign",
            3: "I'm 5 6 b or l",
            4: "very long " * 300,
        },
    )
    found = await taken(subtitled(FILM.make(source_folder), [words], codec="ass"))
    assert [cue.text for cue in found["en"]] == ["Hello", "A sign", "I'm 5 6 b or l"]
    assert "captions en: 1 were left out" in caplog.text
