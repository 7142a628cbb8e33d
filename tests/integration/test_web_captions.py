"""Captions are given and taken away over HTTP, at any time of a video's life."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from services.shared.captions import Caption
from services.shared.webvtt import MAX_BYTES
from tests.harness.web import Json

SRT = "1\n00:00:01,000 --> 00:00:02,500\nHello, <font color=red>you</font>!\n"
VTT = "WEBVTT\n\n00:00:01.000 --> 00:00:02.500\nHello, you!\n"


def path(video: Json, name: str) -> str:
    return f"/api/videos/{video['id']}/captions/{name}"


async def offered(http: httpx.AsyncClient, video: Json) -> list[Json]:
    return list((await http.get(video["links"]["self"])).json()["captions"])


@pytest.mark.parametrize("text", [SRT, VTT], ids=["SubRip", "WebVTT"])
async def test_captions_that_were_given_are_offered_as_webvtt(http, video, text):
    answer = await http.put(path(video, "ENG"), content=text)
    assert answer.status_code == 201
    caption = answer.json()
    assert (caption["name"], caption["language"], caption["title"]) == ("en", "en", "English")
    assert caption["given"]
    assert await offered(http, video) == [caption]
    file = await http.get(caption["url"])
    assert (file.text, file.headers["content-type"]) == (VTT, "text/vtt; charset=utf-8")
    assert file.headers["cache-control"] == "public, max-age=31536000, immutable"


async def test_others_of_the_same_name_take_their_place_under_another_address(http, video):
    first = await http.put(path(video, "de"), content=SRT, params={"title": "Für alle"})
    second = await http.put(path(video, "de"), content=SRT.replace("you", "du"))
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["title"] == "Für alle"
    assert first.json()["url"] != second.json()["url"]
    assert await offered(http, video) == [second.json()]


async def test_a_language_may_have_several(http, video):
    await http.put(path(video, "pt-br"), content=SRT)
    await http.put(path(video, "pt-BR.2"), content=SRT, params={"title": "Para surdos"})
    assert [caption["name"] for caption in await offered(http, video)] == ["pt-BR", "pt-BR.2"]


async def test_captions_can_be_taken_away_also_those_from_the_source(http, video, catalog):
    found = Caption(
        name="fr", language="fr", title="Français", track="text0", file="text0-g0.vtt", size_bytes=9
    )
    await catalog.change(
        video["id"],
        lambda record: record.model_copy(update={"captions": record.captions.found([found])}),
    )
    await http.put(path(video, "en"), content=SRT)
    assert [(caption["name"], caption["given"]) for caption in await offered(http, video)] == [
        ("en", True),
        ("fr", False),
    ]
    for name in ("fra", "en"):
        assert (await http.delete(path(video, name))).status_code == 204
    assert await offered(http, video) == []
    assert (await catalog.get(video["id"])).captions.found([found]).offered == ()


async def test_text_in_another_encoding_is_read_as_it_is_said(http, video):
    text = SRT.replace("you", "Björn")
    headers = {"Content-Type": "application/x-subrip; charset=windows-1252"}
    caption = (await http.put(path(video, "sv"), content=text.encode("cp1252"), headers=headers)).json()
    assert "Björn" in (await http.get(caption["url"])).text


@pytest.mark.parametrize(
    ("name", "content", "status", "words"),
    [
        ("en", b"Once upon a time.", 400, "no captions"),
        ("en", b"", 400, "no captions"),
        ("en", SRT.replace("you", "Björn").encode("cp1252"), 400, "charset="),
        ("en", b"x" * (MAX_BYTES + 1), 413, "bytes"),
        ("english!", SRT.encode(), 400, "language tag"),
        ("en.99", SRT.encode(), 400, "named after their language"),
    ],
)
async def test_what_cannot_be_used_is_refused_with_the_reason(http, video, name, content, status, words):  # noqa: PLR0917
    answer = await http.put(path(video, name), content=content)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert words in answer.json()["detail"]
    assert await offered(http, video) == []


async def test_what_is_not_there_cannot_be_changed(http, video):
    nowhere = {"id": "0000000000000000"}
    assert (await http.put(path(nowhere, "en"), content=SRT)).status_code == 404
    assert (await http.delete(path(video, "en"))).status_code == 404


async def test_a_file_that_is_no_video_gets_no_captions(http, video, catalog):
    await http.put(path(video, "en"), content=SRT)
    await catalog.refuse(video["id"], 0, "The file has no video stream.")
    assert await offered(http, video) == []
    answer = await http.put(path(video, "en"), content=SRT)
    assert (answer.status_code, answer.json()["detail"]) == (
        409,
        "This file is no video that can be played: captions would be of no use.",
    )


async def test_those_who_give_at_once_all_get_theirs(http, video):
    names = ["de", "en", "fr", "sv"]
    answers = await asyncio.gather(*(http.put(path(video, name), content=SRT) for name in names))
    assert [answer.status_code for answer in answers] == [201] * 4
    assert [caption["name"] for caption in await offered(http, video)] == names
    files = [await http.get(caption["url"]) for caption in await offered(http, video)]
    assert [file.text for file in files] == [VTT] * 4
