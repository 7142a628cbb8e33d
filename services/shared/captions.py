"""Captions of a video: those found in its source, and those that somebody gave it. Pure.

Each has a name, under which it is put and removed: its language, or `en.2` for a second one in English. What
somebody put under a name, or removed, stays so: what the source has under that name no longer counts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from services.shared.errors import ConflictError, InvalidRequestError, NotFoundError
from services.shared.languages import distinct_titles, language_tag
from services.shared.record import Record

MAX_CAPTIONS: Final = 32
"""Per video."""

_NAME: Final = re.compile(r"(?P<language>[^.]+)(?:\.(?P<number>[2-9]|[12]\d))?")
_GIVEN: Final = re.compile(r"captions(?P<edition>\d+)-[0-9a-f]+\.vtt")


class TextTrack(Record):
    """One text stream of a source. `index` counts the source's subtitle streams from 0."""

    index: int
    name: str
    language: str
    title: str
    """For menus; no two tracks of a source have the same one."""

    @property
    def track(self) -> str:
        """Its name in file names and playlists."""
        return f"text{self.index}"


class Caption(Record):
    """Captions as players are offered them."""

    name: str
    language: str
    """A tag as manifests and browsers want it, see `services.shared.languages`."""
    title: str
    """For menus."""
    track: str
    """Its name in playlists."""
    file: str
    size_bytes: int

    @property
    def given(self) -> bool:
        """Whether somebody gave it, rather than that it was found in the source."""
        return given_edition(self.file) is not None


class Captioning(Record):
    """All captions of a video."""

    offered: tuple[Caption, ...] = ()
    """In the order of menus."""
    settled: tuple[str, ...] = ()
    """Names under which somebody put captions, or removed them."""
    edition: int = 0
    """How often that happened."""

    def found(self, captions: Iterable[Caption]) -> Captioning:
        """With what was found in the source, in place of what was found there before."""
        kept = [caption for caption in self.offered if caption.given]
        news = [caption for caption in captions if caption.name not in self.settled]
        return self.model_copy(update={"offered": _ordered([*news, *kept])})

    def put(self, caption: Caption) -> Captioning:
        """With captions that somebody gave.

        Raises:
            ConflictError: the video has very many already.
        """
        others = [one for one in self.offered if one.name != caption.name]
        if len(others) >= MAX_CAPTIONS:
            raise ConflictError(f"A video has captions in at most {MAX_CAPTIONS} languages.")
        return self._changed(caption.name, [*others, caption])

    def removed(self, name: str) -> Captioning:
        """Without the captions of that name.

        Raises:
            NotFoundError: there are none.
        """
        others = [one for one in self.offered if one.name != name]
        if len(others) == len(self.offered):
            raise NotFoundError(f"The video has no captions {name!r}.")
        return self._changed(name, others)

    def _changed(self, name: str, captions: Sequence[Caption]) -> Captioning:
        settled = tuple(dict.fromkeys((*self.settled, name)))
        return Captioning(offered=_ordered(captions), settled=settled, edition=self.edition + 1)


def _ordered(captions: Iterable[Caption]) -> tuple[Caption, ...]:
    return tuple(sorted(captions, key=lambda caption: caption.name))


def caption_name(said: str) -> tuple[str, str]:
    """Name and language, from what somebody calls captions: `pt-br`, `eng.2`.

    Raises:
        InvalidRequestError: it has not that form.
    """
    found = _NAME.fullmatch(said)
    if found is None:
        raise InvalidRequestError("Captions are named after their language: en, pt-BR, or en.2 for others.")
    language = language_tag(found["language"])
    return (f"{language}.{found['number']}" if found["number"] else language), language


def text_tracks(streams: Sequence[tuple[int, str, str]]) -> tuple[TextTrack, ...]:
    """The tracks of a source's text streams.

    Args:
        streams: of each its index, its language, and what the source calls it.
    """
    titles = distinct_titles([(title, language) for _, language, title in streams], otherwise="Captions")
    seen: Counter[str] = Counter()
    tracks = []
    for (index, language, _), title in zip(streams[:MAX_CAPTIONS], titles, strict=False):
        seen[language] += 1
        name = language if seen[language] == 1 else f"{language}.{seen[language]}"
        tracks.append(TextTrack(index=index, name=name, language=language, title=title))
    return tuple(tracks)


def found_file(track: TextTrack, generation: int) -> str:
    """File name of captions that were found in a source."""
    return f"{track.track}-g{generation}.vtt"


def given_track(edition: int, token: str) -> str:
    """Name in playlists of captions that somebody gave; `token` tells apart those who do it at once."""
    return f"captions{edition}-{token}"


def given_file(track: str) -> str:
    """File name of captions that somebody gave."""
    return f"{track}.vtt"


def given_edition(file: str) -> int | None:
    """In which edition a file was given; None: it is no such file."""
    found = _GIVEN.fullmatch(file)
    return int(found["edition"]) if found else None
