"""Who wants JSON, who wants a page."""

from __future__ import annotations

import pytest

from services.web.negotiation import prefers_html, prefers_json

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.mark.parametrize(
    "accept", ["application/json", "application/json, text/plain, */*", "Application/JSON;q=0.5"]
)
def test_programs_that_name_json_get_it(accept):
    assert prefers_json(accept)
    assert not prefers_html(accept)


@pytest.mark.parametrize("accept", [BROWSER, "text/html", "text/html, application/json;q=0.9"])
def test_browsers_get_pages(accept):
    assert prefers_html(accept)
    assert not prefers_json(accept)


@pytest.mark.parametrize(
    "accept", ["", "*/*", "application/*", "application/json;q=0", "text/html;q=x", ",;,"]
)
def test_who_names_neither_is_given_neither_by_name(accept):
    assert not prefers_json(accept)
    assert not prefers_html(accept)
