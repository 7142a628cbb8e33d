"""`/content` over HTTP, as players and proxies use it, with a real ring behind it."""

from __future__ import annotations

import asyncio
from email import message_from_bytes
from time import monotonic
from xml.etree import ElementTree as ET

import pytest
import pytest_asyncio

from services.shared.catalog import Catalog, Measured, WorkBook, now_ms
from services.shared.content import ContentStore
from services.shared.filenames import final_file, init_file, poster_file, segment_file, source_part_file
from services.shared.manifest import final_files
from services.shared.plan import Availability, Plan, Rational
from services.shared.settings import MIB
from services.shared.task import TrackResult
from services.shared.tracks import Rendition
from services.shared.video import Source, Status, Video, new_video_id
from services.web.cache import ContentCache
from services.web.manifests import Manifests
from services.web.ringfiles import RingFiles
from tests.harness.fixtures_web import StartWeb
from tests.harness.storage import StorageCluster
from tests.harness.waiting import eventually, took_no_longer, within
from tests.harness.web import WebProcess, like_a_video

SEGMENT = segment_file("720p", 0, 0)
DATA = like_a_video(100_000)
LARGE = like_a_video(9 * MIB + 77)
"""More than is held in memory: this one is streamed."""

PLAYERS_WAIT_S = 8.0
"""Less than the 10 s after which hls.js gives a manifest up."""

DASH = "{urn:mpeg:dash:schema:mpd:2011}"


@pytest_asyncio.fixture(scope="session")
async def films(shared_storage: StorageCluster) -> dict[str, str]:
    """Addresses of a small file and of a large one."""
    video_id = new_video_id()
    async with shared_storage.content() as content:
        await content.put(f"{video_id}/{SEGMENT}", DATA)
        await content.put(f"{video_id}/{segment_file('720p', 0, 1)}", LARGE)
        await content.put(f"{video_id}/{source_part_file(0)}", DATA)
    return {
        "id": video_id,
        "small": f"/content/{video_id}/{SEGMENT}",
        "large": f"/content/{video_id}/{segment_file('720p', 0, 1)}",
    }


SIZES = pytest.mark.parametrize(("kind", "data"), [("small", DATA), ("large", LARGE)], ids=["small", "large"])


@SIZES
async def test_a_segment_is_sent_whole_and_may_be_kept_for_ever(http, films, kind, data):
    answer = await http.get(films[kind])
    assert (answer.status_code, answer.content) == (200, data)
    assert answer.headers["content-type"] == "video/iso.segment"
    assert answer.headers["content-length"] == str(len(data))
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["etag"].startswith('"')
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        (init_file("720p", 0), "video/mp4"),
        (poster_file(0), "image/jpeg"),
        (final_file("manifest.mpd", 0), "application/dash+xml"),
        (final_file("master.m3u8", 0), "application/vnd.apple.mpegurl"),
    ],
)
async def test_each_kind_of_file_has_its_type(http, content: ContentStore, name, media_type):
    video_id = new_video_id()
    await content.put(f"{video_id}/{name}", DATA)
    answer = await http.get(f"/content/{video_id}/{name}")
    assert answer.headers["content-type"] == media_type


@pytest.mark.parametrize("kind", ["small", "large"])
async def test_head_says_the_same_without_the_content(http, films, kind):
    whole, head = await http.get(films[kind]), await http.head(films[kind], headers={"Range": "bytes=0-9"})
    assert (head.status_code, head.content) == (200, b"")
    described = {"etag", "content-type", "content-length", "cache-control", "access-control-allow-origin"}
    assert {name: head.headers[name] for name in described} == {
        name: whole.headers[name] for name in described
    }


@SIZES
@pytest.mark.parametrize(
    ("wanted", "part"),
    [
        ("bytes=0-0", slice(0, 1)),
        ("bytes=100-8099", slice(100, 8100)),
        ("bytes=99990-", slice(99_990, None)),
        ("bytes=-10", slice(-10, None)),
    ],
)
async def test_a_range_is_that_part_and_says_where_it_is_from(http, films, kind, data, wanted, part):  # noqa: PLR0917
    answer = await http.get(films[kind], headers={"Range": wanted})
    start, end, _ = part.indices(len(data))
    assert (answer.status_code, answer.content) == (206, data[part])
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{len(data)}"
    assert answer.headers["content-length"] == str(end - start)


@SIZES
async def test_several_ranges_come_in_one_answer(http, films, kind, data):
    answer = await http.get(films[kind], headers={"Range": "bytes=0-9,50000-50099,-5"})
    described = b"Content-Type: " + answer.headers["content-type"].encode() + b"\r\n\r\n"
    parts = message_from_bytes(described + answer.content).walk()
    assert answer.status_code == 206
    assert answer.headers["content-length"] == str(len(answer.content))
    assert [part["Content-Range"] for part in parts if not part.is_multipart()] == [
        f"bytes 0-9/{len(data)}",
        f"bytes 50000-50099/{len(data)}",
        f"bytes {len(data) - 5}-{len(data) - 1}/{len(data)}",
    ]
    pieces = (data[:10], data[50_000:50_100], data[-5:])
    assert all(piece in answer.content for piece in pieces)


async def test_a_range_outside_the_file_is_refused_with_its_size(http, films):
    answer = await http.get(films["small"], headers={"Range": "bytes=100000-"})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == "bytes */100000"


async def test_a_range_without_sense_gives_the_whole_file(http, films):
    answer = await http.get(films["small"], headers={"Range": "bytes=9-1"})
    assert (answer.status_code, answer.content) == (200, DATA)


async def test_what_the_client_has_is_not_sent_again(http, films):
    etag = (await http.head(films["small"])).headers["etag"]
    again = await http.get(films["small"], headers={"If-None-Match": f'"other", W/{etag}'})
    other = await http.get(films["small"], headers={"If-None-Match": '"other"'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    assert other.status_code == 200


async def test_a_range_goes_with_the_right_tag_and_the_whole_file_with_another(http, films):
    etag = (await http.head(films["small"])).headers["etag"]
    ranged = {"Range": "bytes=0-9"}
    right = await http.get(films["small"], headers={**ranged, "If-Range": etag})
    wrong = await http.get(films["small"], headers={**ranged, "If-Range": '"other"'})
    assert (right.status_code, wrong.status_code) == (206, 200)


async def test_players_on_other_sites_may_read_everything(http, films):
    asked = await http.options(
        films["small"], headers={"Origin": "https://example.org", "Access-Control-Request-Method": "GET"}
    )
    answer = await http.get(films["small"], headers={"Origin": "https://example.org"})
    missing = await http.get(f"/content/{films['id']}/missing.m4s")
    assert asked.status_code == 204
    assert "GET" in asked.headers["access-control-allow-methods"]
    assert "Range" in asked.headers["access-control-allow-headers"]
    for each in (asked, answer, missing):
        assert each.headers["access-control-allow-origin"] == "*"
    assert "Content-Range" in answer.headers["access-control-expose-headers"]


async def test_content_is_only_for_reading(http, films):
    answer = await http.post(films["small"])
    assert answer.status_code == 405
    assert "GET" in answer.headers["allow"]


@pytest.mark.parametrize(
    "path",
    [
        "{id}/" + source_part_file(0),
        "{id}/missing-g0-00000.m4s",
        "{id}/",
        "{id}",
        "{id}/a/b.mp4",
        "{id}/..%2f..%2fetc%2fpasswd",
        "{id}/%00.mp4",
        "nonsense/manifest.mpd",
        "0000000000000000/manifest.mpd",
        "0000000000000000/master.m3u8",
        "",
    ],
)
async def test_what_is_not_there_is_a_problem_that_nobody_keeps(http, films, path):
    answer = await http.get("/content/" + path.format(id=films["id"]))
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["detail"].endswith(".")


async def test_many_at_once_all_get_the_whole_file(http, content: ContentStore):
    video_id = new_video_id()
    await content.put(f"{video_id}/{SEGMENT}", DATA)
    answers = await asyncio.gather(*(http.get(f"/content/{video_id}/{SEGMENT}") for _ in range(40)))
    assert all(answer.content == DATA for answer in answers)


async def test_a_hot_segment_is_served_while_the_whole_ring_stands_still(
    http, films, storage: StorageCluster
):
    await http.get(films["small"])
    for node in storage.nodes:
        node.server.freeze()
    assert (await http.get(films["small"])).content == DATA


@pytest.mark.parametrize("data", [DATA, LARGE], ids=["small", "large"])
async def test_a_cold_segment_is_served_with_one_of_its_nodes_dead(
    http, content: ContentStore, storage: StorageCluster, data
):
    key = f"{new_video_id()}/{SEGMENT}"
    await content.put(key, data)
    storage.owners(key)[0].server.kill()
    answer = await http.get(f"/content/{key}")
    assert (answer.status_code, answer.content) == (200, data)


async def test_what_no_node_can_be_asked_for_is_not_called_missing(http, storage: StorageCluster):
    for node in storage.nodes:
        node.server.freeze()
    answer = await http.get(f"/content/{new_video_id()}/{SEGMENT}", timeout=120)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0


async def test_a_viewer_who_leaves_in_the_middle_harms_nobody(http, films, web: WebProcess):
    for _ in range(5):
        async with http.stream("GET", films["large"]) as answer:
            await anext(answer.aiter_raw(1000))
    assert (await http.get(films["large"])).content == LARGE
    assert "Traceback" not in web.server.log_tail()


# ---- manifests ----


def plan() -> Plan:
    return Plan(
        generation=0,
        time_base=Rational(num=1, den=12_800),
        start_ticks=0,
        fps=Rational(num=25, den=1),
        frames=300,
        segment_frames=100,
        timescale=12_800,
        renditions=(Rendition(name="240p", width=426, height=240, bitrate=400_000),),
        input_format="mov",
        encoder="x264",
    )


def available(segments: int) -> Availability:
    track = TrackResult(
        segments=segments, size_bytes=1000, peak_bitrate=300_000, codec="avc1.64001f", init_sha256="0" * 64
    )
    complete = segments == 3
    return Availability(
        video_segments={"240p": segments},
        complete=complete,
        frames=300 if complete else 0,
        tracks={"240p": track},
    )


async def uploaded(storage: StorageCluster, catalog: Catalog) -> Video:
    now = now_ms()
    video = Video(
        id=new_video_id(),
        title="A title",
        status=Status.UPLOADED,
        created_at_ms=now,
        updated_at_ms=now,
        source=Source(size_bytes=1, sha256="0" * 64, part_bytes=MIB, parts=1),
    )
    async with storage.client.lease(10) as lease:
        await catalog.begin_upload(video.id, instance="test", lease_id=lease.id)
        await catalog.finish_upload(video)
    await WorkBook(storage.client).write_plan(video.id, plan(), [])
    return video


async def publish(catalog: Catalog, video: Video, status: Status, segments: int) -> None:
    """Bring the records where the workers would have brought them."""

    async def measure(before: Video) -> Measured:
        if before.status is Status.UPLOADED:
            before = before.moved_to(Status.PROCESSING, now_ms=now_ms())
        return Measured(video=before.moved_to(status, now_ms=now_ms()), availability=available(segments))

    await catalog.publish(video.id, measure)


def segments_in(manifest: bytes) -> int:
    return sum(1 + int(run.get("r", "0")) for run in ET.fromstring(manifest).iter(f"{DASH}S"))  # noqa: S314


async def test_before_there_is_anything_to_play_the_manifest_says_so(http, storage, catalog):
    video = await uploaded(storage, catalog)
    answer = await http.get(f"/content/{video.id}/manifest.mpd")
    assert answer.status_code == 404
    assert "still being processed" in answer.json()["detail"]


async def test_a_growing_video_has_a_growing_manifest(http, storage, catalog):
    video = await uploaded(storage, catalog)
    await publish(catalog, video, Status.PLAYABLE, 1)
    first = await http.get(f"/content/{video.id}/manifest.mpd")
    assert first.headers["content-type"] == "application/dash+xml"
    assert first.headers["cache-control"] == "no-cache"
    assert (ET.fromstring(first.content).get("type"), segments_in(first.content)) == ("dynamic", 1)  # noqa: S314
    same = await http.get(first.url, headers={"If-None-Match": first.headers["etag"]})
    assert same.status_code == 304
    await publish(catalog, video, Status.PLAYABLE, 2)

    async def grown() -> bool:
        return segments_in((await http.get(first.url)).content) == 2

    await eventually(grown, deadline_s=30, what="the manifest has the second segment")
    playlist = await http.get(f"/content/{video.id}/240p.m3u8")
    assert playlist.text.count("#EXTINF") == 2
    assert "#EXT-X-ENDLIST" not in playlist.text


async def test_a_finished_video_has_its_final_manifests_from_the_ring(
    http, storage, catalog, content: ContentStore
):
    video = await uploaded(storage, catalog)
    final = final_files(plan(), available(3))
    for name, text in final.items():
        await content.put(f"{video.id}/{final_file(name, 0)}", text)
    await publish(catalog, video, Status.READY, 3)
    for name, text in final.items():
        answer = await http.get(f"/content/{video.id}/{name}")
        assert (answer.status_code, answer.content) == (200, text)
        assert answer.headers["cache-control"] == "no-cache"


async def test_a_known_video_plays_on_while_etcd_is_away(http, storage, catalog):
    video = await uploaded(storage, catalog)
    await publish(catalog, video, Status.PLAYABLE, 1)
    known = await http.get(f"/content/{video.id}/manifest.mpd")
    storage.etcd.members[0].freeze()
    took_s: list[float] = []

    async def etcd_was_asked() -> bool:
        begun_s = monotonic()
        answer = await http.get(known.url, timeout=120)
        assert (answer.status_code, answer.content) == (200, known.content)
        took_s.append(monotonic() - begun_s)
        return took_s[-1] > 0.5

    await eventually(etcd_was_asked, what="a manifest that is not fresh any more")
    took_no_longer(max(took_s), PLAYERS_WAIT_S, what="a manifest that is known")


async def test_news_of_a_known_video_takes_nothing_away_while_etcd_is_away(storage, catalog, content):
    video = await uploaded(storage, catalog)
    await publish(catalog, video, Status.PLAYABLE, 1)
    cache = ContentCache(limit_bytes=MIB, load=RingFiles(content).load)
    book = WorkBook(storage.client)
    manifests = Manifests(catalog=catalog, book=book, cache=cache, on_live=lambda _video_id: None)
    known = await manifests.get(video.id, "manifest.mpd")
    storage.etcd.members[0].freeze()
    manifests.refresh(video.id)
    async with within(PLAYERS_WAIT_S, what="a manifest that is known"):
        assert await manifests.get(video.id, "manifest.mpd") == known
    storage.etcd.members[0].thaw()
    await publish(catalog, video, Status.PLAYABLE, 2)

    async def grown() -> bool:
        return (await manifests.get(video.id, "manifest.mpd")) != known

    await eventually(grown, what="the manifest has the second segment")


async def test_a_deleted_video_is_gone_at_once_from_every_web_process(
    start_web: StartWeb, storage, catalog, content: ContentStore
):
    video = await uploaded(storage, catalog)
    await content.put(f"{video.id}/{SEGMENT}", DATA)
    await publish(catalog, video, Status.PLAYABLE, 1)
    one, other = await start_web(name="one"), await start_web(name="other")
    async with one.client() as here, other.client() as there:
        for client in (here, there):
            assert (await client.get(f"/content/{video.id}/manifest.mpd")).status_code == 200
            assert (await client.get(f"/content/{video.id}/{SEGMENT}")).status_code == 200
        assert (await here.delete(f"/api/videos/{video.id}")).status_code == 204

        async def gone() -> bool:
            paths = (f"/content/{video.id}/manifest.mpd", f"/content/{video.id}/{SEGMENT}")
            answers = [await client.get(path) for client in (here, there) for path in paths]
            return all(answer.status_code == 404 for answer in answers)

        await eventually(gone, deadline_s=60, what="nothing of it is served")
