"""Content types that are forms, and some that are not."""

from __future__ import annotations

import pytest

from services.shared.errors import InvalidRequestError
from services.web.multipart import boundary_of


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data; boundary=abc",
        'multipart/form-data; charset=utf-8; boundary="abc"',
        "Multipart/Form-Data;boundary=abc",
    ],
)
def test_a_form_names_its_boundary(content_type):
    assert boundary_of(content_type) == b"abc"


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "video/mp4",
        "multipart/form-data",
        "multipart/mixed; boundary=abc",
        "multipart/form-data; boundary=",
    ],
)
def test_anything_else_is_refused_with_what_to_send(content_type):
    with pytest.raises(InvalidRequestError, match='field named "file"'):
        boundary_of(content_type)
