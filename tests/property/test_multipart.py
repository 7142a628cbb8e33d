"""Forms come out as they went in, however the network cuts them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from services.shared.errors import InvalidRequestError
from services.web.multipart import PartBegin, PartData, read_form

BOUNDARY = b"frontier"
Field = tuple[str, str | None, bytes]

names = st.text(
    st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters='"\\'), min_size=1, max_size=12
)
contents = st.one_of(
    st.binary(max_size=300),
    st.lists(
        st.sampled_from([b"\r\n", b"--", BOUNDARY[:4], b"\r\n--" + BOUNDARY[:7], b"x"]), max_size=20
    ).map(b"".join),
)
fields = st.tuples(names, st.none() | names, contents)


def encoded(form: list[Field]) -> bytes:
    parts = []
    for name, file_name, content in form:
        described = f'form-data; name="{name}"' + (
            f'; filename="{file_name}"' if file_name is not None else ""
        )
        head = f"Content-Disposition: {described}\r\nContent-Type: x/y\r\n\r\n".encode()
        parts.append(b"--" + BOUNDARY + b"\r\n" + head + content + b"\r\n")
    return b"".join(parts) + b"--" + BOUNDARY + b"--\r\n"


async def cut(body: bytes, cuts: list[int]) -> AsyncIterator[bytes]:
    places = sorted({min(place, len(body)) for place in cuts} | {0, len(body)})
    for start, end in pairwise(places):
        yield body[start:end]


async def parsed(body: bytes, cuts: list[int]) -> list[Field]:
    found: list[Field] = []
    async for event in read_form(cut(body, cuts), BOUNDARY):
        if isinstance(event, PartBegin):
            found.append((event.name, event.file_name, b""))
        elif isinstance(event, PartData):
            name, file_name, content = found[-1]
            found[-1] = (name, file_name, content + bytes(event.data))
    return found


def whole(form: list[Field]) -> bool:
    """Whether no content holds the boundary by chance, which would end it."""
    return not any(b"--" + BOUNDARY in b"\r\n" + content for _, _, content in form)


@given(
    form=st.lists(fields, min_size=1, max_size=4).filter(whole),
    cuts=st.lists(st.integers(0, 900), max_size=12),
)
def test_a_form_comes_out_as_it_went_in(form, cuts):
    assert asyncio.run(parsed(encoded(form), cuts)) == form


@settings(max_examples=200)
@given(form=st.lists(fields, min_size=1, max_size=2).filter(whole), share=st.floats(0, 0.999))
def test_a_form_that_was_cut_short_is_never_taken_for_whole(form, share):
    body = encoded(form)
    end = body.rindex(b"--" + BOUNDARY + b"--") + len(b"--" + BOUNDARY + b"--")
    try:
        asyncio.run(parsed(body[: int(end * share)], []))
    except InvalidRequestError:
        return
    raise AssertionError("a part of a form was taken for a form")


@given(body=st.binary(max_size=400), cuts=st.lists(st.integers(0, 400), max_size=5))
def test_no_body_whatever_does_worse_than_being_refused(body, cuts):
    try:
        asyncio.run(parsed(b"--" + BOUNDARY + b"\r\n" + body, cuts))
    except InvalidRequestError:
        return
