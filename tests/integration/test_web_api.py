"""The catalogue over HTTP: listing, searching, changing, and what those hear who ask for the impossible."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from services.shared.catalog import Catalog, Verifications, keys
from services.shared.messages import FIRST_QUEUE
from services.shared.verification import Fault, FaultKind
from services.shared.video import Status, new_video_id
from tests.harness.fixtures_web import StartWeb
from tests.harness.rabbitmq import VirtualHost
from tests.harness.storage import StorageCluster
from tests.harness.waiting import eventually
from tests.harness.web import like_a_video

UNKNOWN = "0000000000000000"


async def failed(catalog: Catalog, video_id: str, reason: str) -> None:
    await catalog.fail(video_id, 0, reason)


async def test_a_video_tells_what_is_known_of_it(http, video):
    found = (await http.get(video["links"]["self"])).json()
    del found["created_at"]
    assert found == {
        "id": video["id"],
        "title": "A title",
        "status": "uploaded",
        "reason": None,
        "retryable": False,
        "progress": 0.0,
        "playable_s": 0.0,
        "duration_s": None,
        "width": None,
        "height": None,
        "frames": None,
        "renditions": [],
        "audio": [],
        "captions": [],
        "verdict": None,
        "omitted": [],
        "settled": False,
        "size_bytes": 5000,
        "links": {
            **video["links"],
            "embed": f"/embed/{video['id']}",
            "poster": None,
            "storyboard": None,
            "original": f"/content/{video['id']}/download/original",
        },
    }


async def test_what_a_verification_has_found_can_be_read(http, storage, catalog, video):
    address = f"{video['links']['self']}/verification"
    nothing = await http.get(address)
    assert (nothing.status_code, nothing.json()["detail"]) == (404, "This video has not been verified yet.")
    verifications = Verifications(storage.client)
    record = await catalog.get(video["id"])
    await verifications.want(record, mend=True)
    assert (await http.get(address)).json()["verdict"] is None

    opened = await verifications.open(record)
    fault = Fault(kind=FaultKind.MISSING, file="240p-g0-00001.m4s", track="240p", segment=1, nodes=("a",))
    concluded = opened.record.noting([fault]).concluded(now_ms=opened.record.requested_at_ms + 1000)
    await verifications.conclude(opened, concluded, keep_original=True)
    found = (await http.get(address)).json()
    assert found["verdict"] == "faulty"
    (told,) = found["faults"]
    assert (told["kind"], told["track"], told["segment"], told["outcome"]) == ("missing", "240p", 1, "open")
    assert (await http.get(video["links"]["self"])).json()["verdict"] == "faulty"


async def test_the_list_has_the_newest_first_and_goes_on_where_it_stopped(http, web):
    uploaded = [(await web.upload(like_a_video(3000), title=f"n{number}"))["id"] for number in range(5)]
    seen: list[str] = []
    following: str | None = None
    while len(seen) < 5:
        page = (
            await http.get("/api/videos", params={"limit": 2, **({"before": following} if following else {})})
        ).json()
        assert len(page["videos"]) <= 2
        seen += [entry["id"] for entry in page["videos"]]
        following = page["next"]
    assert seen[:5] == uploaded[::-1]


async def test_the_list_ends(http, web):
    word = uuid4().hex
    await web.upload(like_a_video(3000), title=f"{word} 1")
    page = (await http.get("/api/videos", params={"q": word})).json()
    assert (len(page["videos"]), page["next"]) == (1, None)


async def test_searching_finds_titles_in_any_case_anywhere(http, web):
    word = uuid4().hex
    wanted = await web.upload(like_a_video(3000), title=f"Über {word.upper()} & more")
    for text in (word, f"über {word[:8]}", f"{word[-4:]} & MORE"):
        page = (await http.get("/api/videos", params={"q": text})).json()
        assert wanted["id"] in [entry["id"] for entry in page["videos"]]
    assert (await http.get("/api/videos", params={"q": word + "x"})).json()["videos"] == []


async def test_a_title_can_be_changed_to_any_text(http, video):
    title = '<script>alert(1)</script> 映画 👩‍👩‍👧 "quoted"'
    answer = await http.patch(video["links"]["self"], json={"title": f"  {title}\n"})
    assert (answer.status_code, answer.json()["title"]) == (200, title)
    assert (await http.get(video["links"]["self"])).json()["title"] == title


@pytest.mark.parametrize(
    ("body", "status"),
    [({"title": " "}, 400), ({"title": "x" * 201}, 400), ({}, 422), ({"title": 5}, 422), ([], 422)],
)
async def test_a_title_that_is_none_is_refused_with_a_sentence(http, video, body, status):
    answer = await http.patch(video["links"]["self"], json=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert "title" in answer.json()["detail"].lower() or answer.json()["detail"]
    assert (await http.get(video["links"]["self"])).json()["title"] == "A title"


async def test_a_deleted_video_is_gone_with_all_its_files(http, video, storage: StorageCluster):
    assert (await http.delete(video["links"]["self"])).status_code == 204
    assert (await http.get(video["links"]["self"])).status_code == 404
    assert (await http.delete(video["links"]["self"])).status_code == 404
    assert (await http.get(video["links"]["watch"])).status_code == 404

    async def purged() -> bool:
        return not [key for node in storage.nodes for key in await node.keys(video["id"])]

    await eventually(purged, deadline_s=60, what="its parts are purged")


async def test_a_failed_video_gives_its_reason_and_can_be_tried_again(
    start_web: StartWeb, catalog: Catalog, vhost: VirtualHost
):
    web = await start_web()
    video = await web.upload(like_a_video(5000))
    await failed(catalog, video["id"], "Out of luck.")
    async with web.client() as http:
        found = (await http.get(video["links"]["self"])).json()
        assert (found["status"], found["reason"], found["retryable"]) == ("failed", "Out of luck.", True)
        again = (await http.post(f"/api/videos/{video['id']}/retry")).json()
    assert (again["status"], again["reason"]) == ("uploaded", None)
    assert (await catalog.get(video["id"])).generation == 1
    assert len(await vhost.messages(FIRST_QUEUE)) == 2


async def test_only_a_failed_video_can_be_tried_again(http, video):
    answer = await http.post(f"/api/videos/{video['id']}/retry")
    assert answer.status_code == 409
    assert "uploaded" in answer.json()["detail"]


async def test_processing_can_be_cancelled_once_and_taken_up_again(
    start_web: StartWeb, catalog: Catalog, vhost: VirtualHost
):
    web = await start_web()
    video = await web.upload(like_a_video(5000))
    async with web.client() as http:
        cancelled = (await http.post(f"/api/videos/{video['id']}/cancel")).json()
        assert (cancelled["status"], cancelled["reason"]) == ("failed", "Processing was cancelled.")
        assert cancelled["retryable"]
        again = await http.post(f"/api/videos/{video['id']}/cancel")
        assert again.status_code == 409
        assert "failed" in again.json()["detail"]
        assert (await http.post(f"/api/videos/{video['id']}/retry")).json()["status"] == "uploaded"
    assert (await catalog.get(video["id"])).generation == 1
    assert len(await vhost.messages(FIRST_QUEUE)) == 2


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/api/videos/{UNKNOWN}"),
        ("PATCH", f"/api/videos/{UNKNOWN}"),
        ("DELETE", f"/api/videos/{UNKNOWN}"),
        ("POST", f"/api/videos/{UNKNOWN}/retry"),
        ("POST", f"/api/videos/{UNKNOWN}/cancel"),
        ("GET", f"/api/videos/{UNKNOWN}/events"),
        ("GET", "/api/videos/no-id-at-all"),
        ("GET", "/api/nothing"),
        ("GET", "/nothing"),
        ("GET", f"/videos/{UNKNOWN}"),
        ("GET", f"/embed/{UNKNOWN}"),
        ("GET", "/static/x/nothing.js"),
        ("GET", "/static/x/../app.py"),
    ],
)
async def test_what_is_unknown_is_404_with_a_sentence(http, method, path):
    answer = await http.request(method, path, json={"title": "x"} if method == "PATCH" else None)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"].endswith(".")


@pytest.mark.parametrize("params", [{"limit": 0}, {"limit": 101}, {"limit": "x"}, {"q": "x" * 201}])
async def test_parameters_out_of_bounds_are_refused_by_name(http, params):
    answer = await http.get("/api/videos", params=params)
    assert answer.status_code == 422
    assert next(iter(params)) in answer.json()["detail"]


async def test_a_list_cannot_go_on_from_nonsense(http):
    assert (await http.get("/api/videos", params={"before": "nonsense"})).status_code == 400


async def test_a_method_that_is_not_offered_names_those_that_are(http, video):
    answer = await http.put(video["links"]["self"], json={})
    assert answer.status_code == 405
    assert answer.json()["status"] == 405


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "The body is missing."),
        (b"{}", "The body's title is missing."),
        (b'{"title" 5}', "The body is not JSON: Expecting ':' delimiter (at character 9)."),
    ],
)
async def test_a_body_that_cannot_be_read_is_refused_with_a_sentence(http, video, body, detail):
    json_type = {"Content-Type": "application/json"}
    answer = await http.patch(video["links"]["self"], content=body, headers=json_type)
    assert (answer.status_code, answer.json()["detail"]) == (422, detail)


async def test_bodies_are_bounded_whether_announced_or_not(http, video):
    large = b'{"title": "' + b"x" * 100_000 + b'"}'

    async def unannounced() -> AsyncIterator[bytes]:
        yield large

    announced = await http.patch(video["links"]["self"], content=large)
    streamed = await http.patch(video["links"]["self"], content=unannounced())
    assert announced.status_code == 413
    assert streamed.status_code in {400, 413}


@pytest.mark.parametrize(
    ("method", "suffix"), [("DELETE", ""), ("PATCH", ""), ("POST", "/retry"), ("POST", "/cancel")]
)
@pytest.mark.parametrize(
    "headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.example"}, {"Origin": "null"}]
)
async def test_a_page_of_another_site_cannot_change_anything(http, video, method, suffix, headers):
    answer = await http.request(method, video["links"]["self"] + suffix, headers=headers)
    assert answer.status_code == 403
    assert answer.json()["detail"] == "Other sites may not change anything here."
    assert (await http.get(video["links"]["self"])).json()["title"] == "A title"


async def test_a_page_of_this_site_can_change_things_over_plain_http(http, video):
    own = {"Origin": str(http.base_url).rstrip("/")}
    answer = await http.patch(video["links"]["self"], json={"title": "Its own"}, headers=own)
    assert (answer.status_code, answer.json()["title"]) == (200, "Its own")


async def test_the_interface_describes_itself_without_asking_anybody_else(http):
    document = (await http.get("/openapi.json")).json()
    page = await http.get("/docs")
    assert {"/upload", "/api/videos", "/api/videos/{video_id}"} <= set(document["paths"])
    assert page.status_code == 200
    assert all(path in page.text for path in document["paths"])
    assert "http://" not in page.text
    assert "https://" not in page.text


async def test_health_tells_alive_from_ready(start_web: StartWeb, vhost: VirtualHost):
    web = await start_web()
    async with web.client() as http:
        assert (await http.get("/readyz")).json() == {"etcd": "ok", "ring": "ok", "broker": "ok"}
        vhost.rabbit.freeze()
        not_ready = await http.get("/readyz")
        alive = await http.get("/healthz")
        vhost.rabbit.thaw()
    assert (not_ready.status_code, alive.status_code) == (503, 200)
    assert not_ready.json()["etcd"] == "ok"
    assert not_ready.json()["broker"] != "ok"


async def test_a_ring_with_too_few_nodes_is_not_ready(http, storage: StorageCluster):
    for node in storage.nodes[:2]:
        node.server.kill()

    async def told() -> bool:
        answer = await http.get("/readyz")
        return answer.status_code == 503 and "1 of 3 storage nodes" in answer.json()["ring"]

    await eventually(told, deadline_s=60, what="it says that the ring lacks nodes")


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/docs", "/openapi.json", "/favicon.ico", "/cluster", "/healthz", "/readyz", "/metrics"),
        *("/api/videos", "/api/videos/{id}", "/api/cluster", "/api/events", "/api/videos/{id}/events"),
    ],
)
async def test_what_can_be_read_can_be_asked_for_its_head_alone(http, video, path):
    answer = await http.head(path.format(id=video["id"]))
    assert (answer.status_code, answer.content) == (200, b"")


async def test_the_head_of_what_is_missing_is_missing(http):
    for path in ("", "/events", "/verification"):
        assert (await http.head(f"/api/videos/{new_video_id()}{path}")).status_code == 404


async def test_only_get_is_described_where_head_is_answered_too(http):
    paths = (await http.get("/openapi.json")).json()["paths"]
    assert [path for path, methods in paths.items() if {"get", "head"} <= methods.keys()] == []


async def test_what_needs_etcd_says_when_to_come_back_while_it_is_away(http, storage: StorageCluster):
    storage.etcd.members[0].freeze()
    answer = await http.get("/api/videos", timeout=60)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0


async def test_statuses_are_those_of_the_catalogue(video, catalog: Catalog, storage: StorageCluster):
    assert video["id"] in {kv.key.removeprefix(keys.ACTIVE) async for kv in storage.client.range(keys.ACTIVE)}
    assert (await catalog.get(video["id"])).status is Status.UPLOADED
