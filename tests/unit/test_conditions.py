"""Entity tags and what clients say about the ones they hold."""

from __future__ import annotations

import pytest

from services.web.conditions import allows_range, etag_of, is_known

TAG = etag_of("ab" * 32)
OTHER = etag_of("cd" * 32)


@pytest.mark.parametrize("header", [TAG, f"W/{TAG}", f"{OTHER}, {TAG}", f'"x",W/{TAG} , "y"', "*", " * "])
def test_content_that_the_client_holds_is_known(header):
    assert is_known(header, TAG)


@pytest.mark.parametrize("header", [None, "", OTHER, TAG.strip('"'), TAG[:-2] + '"', '"*"'])
def test_content_that_the_client_does_not_hold_is_not_known(header):
    assert not is_known(header, TAG)


@pytest.mark.parametrize("header", [None, TAG, f" {TAG} "])
def test_a_range_goes_with_no_condition_and_with_the_very_tag(header):
    assert allows_range(header, TAG)


@pytest.mark.parametrize(
    "header", ["", OTHER, f"W/{TAG}", "Sun, 06 Nov 1994 08:49:37 GMT", f"{TAG}, {OTHER}"]
)
def test_a_range_never_goes_with_anything_weaker(header):
    assert not allows_range(header, TAG)
