"""Which requests a browser makes for a page of another site."""

from __future__ import annotations

import pytest

from services.web.guard import is_foreign

HOST = {"host": "tube.example:8080"}


def foreign(**headers: str) -> bool:
    named = {**HOST, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return is_foreign({name.encode(): value.encode() for name, value in named.items()})


@pytest.mark.parametrize(
    ("site", "expected"), [("cross-site", True), ("same-origin", False), ("none", False)]
)
@pytest.mark.parametrize("origin", ["http://tube.example:8080", "http://evil.example"])
def test_a_browser_that_says_which_site_it_comes_from_is_believed(site, expected, origin):
    assert foreign(sec_fetch_site=site, origin=origin) is expected


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "http://tube.example",
        "http://tube.example:80",
        "http://tube.example:8080.evil.example",
        "http://evil.tube.example:8080",
        "null",
        "",
        "tube.example:8080",
    ],
)
def test_over_plain_http_an_origin_other_than_the_host_is_foreign(origin):
    assert foreign(origin=origin)


@pytest.mark.parametrize(
    "origin", ["http://tube.example:8080", "https://tube.example:8080", "http://Tube.Example:8080"]
)
def test_a_page_of_this_host_is_not_foreign_whoever_speaks_tls(origin):
    assert not foreign(origin=origin)


def test_an_origin_without_a_host_to_compare_it_with_is_foreign():
    assert is_foreign({b"origin": b"http://tube.example:8080"})
    assert is_foreign({b"origin": b"http://"})


def test_programs_say_nothing_of_where_they_come_from():
    assert not foreign()
