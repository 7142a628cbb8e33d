"""Whole files to take away: what a worker made, as one MP4 from the web process, and the original."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
import pytest_asyncio

from services.shared.catalog import Catalog, Measured, WorkBook, keys, now_ms
from services.shared.content import ContentStore
from services.shared.filenames import init_file, segment_file, source_part_file
from services.shared.settings import MIB
from services.shared.video import Source, Status, Video, new_video_id
from services.transcoder.availability import availability
from tests.harness.media import Transcoded, decoded_frames, run, transcode
from tests.harness.sources import Recipe, ffmpeg
from tests.harness.storage import StorageCluster
from tests.harness.waiting import eventually
from tests.harness.web import like_a_video

TITLE = 'Über "alles": 映画'
FILM = Recipe(
    name="to_take_away", size="320x180", duration_s=10, sound="sine=frequency=440:sample_rate=44100"
)
ORIGINAL = like_a_video(3 * MIB + 77)
PART_BYTES = MIB


@dataclass(frozen=True, kw_only=True)
class Film:
    """A video in the catalogue, with all its files in the ring."""

    video: Video
    made: Transcoded
    folder: Path

    def path(self, name: str) -> str:
        """Where something of it is downloaded."""
        return f"/content/{self.video.id}/download/{name}"


@pytest.fixture(scope="session")
def two_languages(source_folder: Path) -> Path:
    """A film with German sound, and a louder one in English that comes first in menus."""
    plain, path = FILM.make(source_folder), source_folder / "two_languages.mkv"
    tracks = ("-map", "0:v", "-map", "0:a", "-map", "0:a", "-c", "copy")
    languages = ("-metadata:s:a:0", "language=ger", "-metadata:s:a:1", "language=eng")
    titles = ("-metadata:s:a:1", "title=Original", "-disposition:a:0", "0", "-disposition:a:1", "default")
    ffmpeg("-i", str(plain), *tracks, *languages, *titles, str(path))
    return path


@pytest_asyncio.fixture(scope="session")
async def film(
    shared_storage: StorageCluster, two_languages: Path, tmp_path_factory: pytest.TempPathFactory
) -> Film:
    made = await transcode(two_languages)
    video = await uploaded(shared_storage)
    async with shared_storage.content() as content:
        await put_tracks(content, video.id, made)
        for start in range(0, len(ORIGINAL), PART_BYTES):
            key = f"{video.id}/{source_part_file(start // PART_BYTES)}"
            await content.put(key, ORIGINAL[start : start + PART_BYTES])
    video = await finished(shared_storage, video, made)
    return Film(video=video, made=made, folder=tmp_path_factory.mktemp("downloads"))


async def put_tracks(content: ContentStore, video_id: str, made: Transcoded) -> None:
    """Store the segments under the generation that the plan says."""
    generation = made.plan.generation
    for track, data in made.collector.inits.items():
        await content.put(f"{video_id}/{init_file(track, generation)}", data)
    for (track, number), data in made.collector.segments.items():
        await content.put(f"{video_id}/{segment_file(track, generation, number)}", data)


async def uploaded(storage: StorageCluster, **changes: object) -> Video:
    now = now_ms()
    parts = -(-len(ORIGINAL) // PART_BYTES)
    digest = hashlib.sha256(ORIGINAL).hexdigest()
    video = Video(
        id=new_video_id(),
        title=TITLE,
        status=Status.UPLOADED,
        created_at_ms=now,
        updated_at_ms=now,
        generation=1,
        source=Source(size_bytes=len(ORIGINAL), sha256=digest, part_bytes=PART_BYTES, parts=parts),
    ).model_copy(update=changes)
    catalog = Catalog(storage.client)
    async with storage.client.lease(10) as lease:
        await catalog.begin_upload(video.id, instance="test", lease_id=lease.id)
        await catalog.finish_upload(video)
    return video


async def finished(storage: StorageCluster, video: Video, made: Transcoded) -> Video:
    """Bring the records where the workers would have brought them."""
    await WorkBook(storage.client).write_plan(video.id, made.plan, [*made.tasks])
    return await published(storage, video, made)


async def published(storage: StorageCluster, video: Video, made: Transcoded) -> Video:
    """Offer what is made to viewers."""

    async def measure(before: Video) -> Measured:
        ready = before
        for status in (Status.PROCESSING, Status.READY) if before.status is not Status.READY else ():
            ready = ready.moved_to(status, now_ms=now_ms(), renditions=made.plan.renditions)
        return Measured(video=ready, availability=availability(made.plan, [*made.tasks]))

    return await Catalog(storage.client).publish(video.id, measure)


@pytest_asyncio.fixture
async def movie(http: httpx.AsyncClient, film: Film) -> Path:
    """The film's best quality, downloaded."""
    path = film.folder / "movie.mp4"
    if not path.exists():
        answer = await http.get(film.path("180p.mp4"))
        assert answer.status_code == 200, answer.text
        path.write_bytes(answer.content)
    return path


def probed(path: Path, entries: str) -> list[str]:
    said = run(["ffprobe", "-v", "error", "-show_entries", entries, "-of", "csv=p=0", str(path)])
    return said.decode().split()


def checksum(path: Path, stream: str) -> bytes:
    return run(["ffmpeg", "-v", "error", "-i", str(path), "-map", stream, "-f", "md5", "-"])


async def test_a_download_has_the_very_pictures_of_the_segments(film, movie, tmp_path):
    segments = film.made.collector.write("180p", tmp_path / "segments.mp4")
    assert checksum(movie, "0:v") == checksum(segments, "0:v")
    assert decoded_frames(movie) == film.made.frames == 250


async def test_a_download_lasts_exactly_as_long_as_the_video_in_all_its_tracks(movie):
    assert probed(movie, "stream=start_time,duration") == ["0.000000,10.000000"] * 3
    assert probed(movie, "format=duration") == ["10.000000"]


async def test_a_download_has_all_sound_tracks_and_players_begin_with_the_right_one(movie):
    tracks = probed(movie, "stream=codec_type:stream_disposition=default:stream_tags=language,handler_name")
    assert tracks[1:] == ["audio,1,eng,Original", "audio,0,deu,Deutsch"]


async def test_a_download_can_be_played_while_it_is_fetched(movie):
    data = movie.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


async def test_a_download_can_be_gone_on_with_from_any_place(http, film, movie):
    whole, url = movie.read_bytes(), film.path("180p.mp4")
    head = await http.head(url)
    assert head.headers["content-length"] == str(len(whole))
    for start in (1, len(whole) // 3, len(whole) - 10):
        ranged = {"Range": f"bytes={start}-", "If-Range": head.headers["etag"]}
        rest = await http.get(url, headers=ranged)
        assert (rest.status_code, rest.content) == (206, whole[start:])
        assert rest.headers["content-range"] == f"bytes {start}-{len(whole) - 1}/{len(whole)}"
    stale = await http.get(url, headers={"Range": "bytes=5-", "If-Range": '"other"'})
    assert (stale.status_code, stale.content) == (200, whole)


async def test_a_download_is_named_after_the_video(http, film):
    answer = await http.head(film.path("180p.mp4"))
    assert answer.headers["content-type"] == "video/mp4"
    name = quote(f"{TITLE} (180p).mp4", safe="")
    assert answer.headers["content-disposition"] == (
        f"attachment; filename=\"_ber _alles__ __ (180p).mp4\"; filename*=UTF-8''{name}"
    )


async def test_the_original_is_given_back_as_it_came(http, film):
    answer = await http.get(film.path("original"))
    assert (answer.status_code, answer.content) == (200, ORIGINAL)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert ".mp4" in answer.headers["content-disposition"]
    across = await http.get(film.path("original"), headers={"Range": f"bytes={MIB - 5}-{2 * MIB + 5}"})
    assert (across.status_code, across.content) == (206, ORIGINAL[MIB - 5 : 2 * MIB + 6])


@pytest.mark.parametrize("name", ["1080p.mp4", "a0.mp4", "180p.mkv", "../180p.mp4", "", "originals"])
async def test_what_the_video_does_not_have_is_not_found(http, film, name):
    answer = await http.get(film.path(name))
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


async def test_of_a_video_in_the_making_there_is_only_the_original_yet(http, storage, film):
    video = await uploaded(storage, renditions=film.video.renditions)
    answer = await http.get(f"/content/{video.id}/download/180p.mp4")
    assert answer.status_code == 409
    assert "when it has been processed" in answer.json()["detail"]


async def test_an_original_that_was_not_kept_is_said_to_be_gone(http, storage):
    video = await uploaded(storage, original_dropped=True)
    answer = await http.get(f"/content/{video.id}/download/original")
    assert answer.status_code == 404
    assert answer.json()["detail"] == "The original of this video was not kept."
    assert (await http.get(f"/api/videos/{video.id}")).json()["links"]["original"] is None


async def test_a_sound_track_that_has_come_back_is_in_the_download_too(http, storage, film, tmp_path):
    made = film.made
    back = made.plan.audio[1].name
    video, path = await uploaded(storage), tmp_path / "movie.mp4"
    async with storage.content() as content:
        await put_tracks(content, video.id, made)
    await finished(storage, video, replace(made, plan=made.plan.without(back)))
    for sounds in (1, 2):
        answer = await http.get(f"/content/{video.id}/download/180p.mp4")
        path.write_bytes(answer.content)
        assert len(probed(path, "stream=codec_type")) == 1 + sounds
        await storage.client.put(keys.plan(video.id, made.plan.generation), made.plan.encode())
        await published(storage, video, made)


async def test_the_api_tells_where_downloads_are(http, film):
    found = (await http.get(f"/api/videos/{film.video.id}")).json()
    assert found["links"]["original"] == film.path("original")
    assert [rung["download"] for rung in found["renditions"]] == [film.path("180p.mp4")]


async def test_nothing_of_a_deleted_video_is_served_even_if_the_broker_said_nothing(
    http, storage, content: ContentStore, film
):
    video = await uploaded(storage)
    name = segment_file("180p", 1, 0)
    await content.put(f"{video.id}/{name}", film.made.collector.segments["180p", 0])
    assert (await http.get(f"/content/{video.id}/{name}")).status_code == 200
    await Catalog(storage.client).delete(video.id)

    async def gone() -> bool:
        answers = [await http.get(f"/content/{video.id}/{path}") for path in (name, "download/original")]
        return all(answer.status_code == 404 for answer in answers)

    await eventually(gone, deadline_s=30, what="nothing of it is served")
    assert await storage.client.get(keys.tombstone(video.id)) is not None
