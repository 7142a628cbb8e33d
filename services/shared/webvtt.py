"""Captions as text: SubRip and WebVTT are read, WebVTT is written. Pure.

What is read comes from strangers, so only cues survive: their times, where they stand, and their text with
the tags that WebVTT knows. Style sheets, regions, notes, fonts and colours are dropped.

Sources: https://www.w3.org/TR/webvtt1/; SubRip has no standard, see https://docs.fileformat.com/video/srt/.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from services.shared.errors import InvalidRequestError, TooLargeError

MAX_BYTES: Final = 2 << 20
"""Of a file with captions: five times a long film's."""

MAX_CUES: Final = 20_000
_MAX_CUE_CHARS: Final = 2_000

CHARSETS: Final = frozenset(
    (
        *("utf-8", "utf8", "utf-16", "utf-16le", "utf-16be", "us-ascii", "ascii", "latin-1", "latin1"),
        *(f"windows-{page}" for page in range(1250, 1259)),
        *(f"cp{page}" for page in (437, 850, 852, 866, 874, 932, 936, 949, 950, *range(1250, 1259))),
        *(f"iso-8859-{part}" for part in (*range(1, 12), *range(13, 17))),
        *("koi8-r", "koi8-u", "tis-620", "macintosh", "shift-jis", "sjis", "euc-jp", "iso-2022-jp"),
        *("euc-kr", "gb2312", "gbk", "gb18030", "big5", "big5-hkscs"),
    )
)
"""Encodings that are read, by the names of https://www.iana.org/assignments/character-sets. Python knows
others, of which punycode takes minutes for a file of this size."""

_WIDE_BOMS: Final = (b"\xff\xfe", b"\xfe\xff")

_TIME: Final = r"(?:(\d{1,4}):)?([0-5]?\d):([0-5]?\d)(?:[.,](\d{1,3}))?"
_TIMING: Final = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}(?P<settings>(?:\s.*)?)")
_BLANK_LINES: Final = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")
_SETTING: Final = re.compile(r"(?:vertical|line|position|size|align):[A-Za-z0-9.,%-]{1,30}")

_DROPPED: Final = re.compile(r"\{\\[^}]*\}|</?font[^>]*>", re.IGNORECASE)
"""What other formats put between the words: `{\\an8}` of SubStation Alpha, fonts of SubRip."""

_ALLOWED: Final = re.compile(
    r"</?(?:c|i|b|u|v|ruby|rt|lang)(?:\.[\w.-]+)?(?:[ \t][^<>&]*)?>"
    r"|<(?:\d+:)?\d\d:\d\d\.\d{3}>"
    r"|&(?:amp|lt|gt|nbsp|lrm|rlm|quot|#\d{1,7}|#x[0-9a-fA-F]{1,6});"
)
_SPECIAL: Final = re.compile(rf"({_ALLOWED.pattern})|([&<>])", re.IGNORECASE)
_TAG_NAME: Final = re.compile(r"</?[A-Za-z]+")
_ESCAPES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}

_NO_WORD: Final = "&lrm;"
"""Text without width: players complain of cues without any."""

_SECOND_MS: Final = 1_000
_MINUTE_MS: Final = 60 * _SECOND_MS
_HOUR_MS: Final = 60 * _MINUTE_MS


@dataclass(frozen=True, kw_only=True, slots=True)
class Cue:
    """A text and when it is shown, in milliseconds from the video's beginning."""

    start_ms: int
    end_ms: int
    text: str
    settings: str = ""
    """Where it stands, as WebVTT says it; empty: where players put it."""


def decoded(data: bytes, *, charset: str = "utf-8") -> str:
    """The text in a file. A byte order mark outweighs what is said of the encoding.

    Raises:
        InvalidRequestError: it is not in that encoding, or that is none of `CHARSETS`.
        TooLargeError: no film has so many words.
    """
    if len(data) > MAX_BYTES:
        raise TooLargeError(f"Captions have at most {MAX_BYTES >> 20} MiB.")
    encoding = "utf-16" if data.startswith(_WIDE_BOMS) else charset.lower().replace("_", "-")
    if encoding in CHARSETS:
        with suppress(UnicodeError):
            return data.decode(encoding).removeprefix("\ufeff")
    raise InvalidRequestError(
        f"The captions are not written in {encoding!r}: name their encoding, as in "
        '"Content-Type: text/vtt; charset=windows-1252".'
    )


def parse(text: str) -> tuple[Cue, ...]:
    """The cues of a WebVTT or SubRip file, in the order of their times.

    Blocks without a timing line are none of the viewers' business; cues that are never shown are left out.

    Raises:
        InvalidRequestError: there are no cues in it, or too many, or one is too long.
    """
    cues: list[Cue] = []
    for block in _blocks(text):
        cues += _cue(block)
        if len(cues) > MAX_CUES:
            raise InvalidRequestError(f"The file has more than {MAX_CUES} captions.")
    if not cues:
        raise InvalidRequestError("There are no captions in this file: WebVTT and SubRip are understood.")
    return _in_order(cues)


def salvaged(text: str) -> tuple[tuple[Cue, ...], int]:
    """The cues of a file that nobody can be asked to mend, perhaps none, in the order of their times.

    Returns:
        The cues, and how many were left out because they are too long, or too many.
    """
    cues: list[Cue] = []
    left_out = 0
    for block in _blocks(text):
        try:
            cues += _cue(block)
        except InvalidRequestError:
            left_out += 1
    return _in_order(cues[:MAX_CUES]), left_out + len(cues[MAX_CUES:])


def shifted(cues: Iterable[Cue], *, by_ms: int, end_ms: int) -> tuple[Cue, ...]:
    """The cues moved in time, as far as they then lie between 0 and `end_ms`."""
    moved = (
        replace(cue, start_ms=max(cue.start_ms + by_ms, 0), end_ms=min(cue.end_ms + by_ms, end_ms))
        for cue in cues
    )
    return tuple(cue for cue in moved if cue.start_ms < cue.end_ms)


def written(cues: Iterable[Cue], *, lasts_ms: int = 0) -> bytes:
    """A WebVTT file.

    Args:
        cues: in the order of their times.
        lasts_ms: how long the video is; 0: nobody knows. A cue without a word stands at its very end: where
            ffmpeg reads several tracks of an MPD, all end for it with the first one that does.
    """
    end = [Cue(start_ms=lasts_ms - 1, end_ms=lasts_ms, text=_NO_WORD)] if lasts_ms else []
    blocks = (
        f"{timestamp(cue.start_ms)} --> {timestamp(cue.end_ms)} {cue.settings}".rstrip() + f"\n{cue.text}\n"
        for cue in (*cues, *end)
    )
    return "\n".join(["WEBVTT\n", *blocks]).encode()


def timestamp(time_ms: int) -> str:
    """`01:02:03.456`."""
    hours, rest = divmod(time_ms, _HOUR_MS)
    minutes, rest = divmod(rest, _MINUTE_MS)
    seconds, milliseconds = divmod(rest, _SECOND_MS)
    return f"{hours:02}:{minutes:02}:{seconds:02}.{milliseconds:03}"


def _blocks(text: str) -> Iterator[list[str]]:
    """The lines between blank ones."""
    unified = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")
    for block in _BLANK_LINES.split(unified.strip("\n")):
        yield block.split("\n")


def _in_order(cues: Iterable[Cue]) -> tuple[Cue, ...]:
    return tuple(sorted(cues, key=lambda cue: (cue.start_ms, cue.end_ms)))


def _cue(lines: list[str]) -> tuple[Cue, ...]:
    """The cue in a block, if there is one: perhaps a line that names it, then its times, then its text."""
    for number, line in enumerate(lines[:2]):
        if timing := _TIMING.fullmatch(line):
            start_ms, end_ms = _ms(timing.groups()[:4]), _ms(timing.groups()[4:8])
            text = _clean(lines[number + 1 :])
            if text in {"", _NO_WORD} or start_ms >= end_ms:
                return ()
            settings = " ".join(_SETTING.findall(timing["settings"]))
            return (Cue(start_ms=start_ms, end_ms=end_ms, text=text, settings=settings),)
    return ()


def _ms(parts: tuple[str | None, ...]) -> int:
    hours, minutes, seconds, fraction = (part or "0" for part in parts)
    whole_ms = int(hours) * _HOUR_MS + int(minutes) * _MINUTE_MS + int(seconds) * _SECOND_MS
    return whole_ms + int(fraction.ljust(3, "0"))


def _clean(lines: list[str]) -> str:
    """The text of a cue, which may have several lines, but no empty ones."""
    text = "\n".join(lines)
    if len(text) > _MAX_CUE_CHARS:
        raise InvalidRequestError(f"A caption has more than {_MAX_CUE_CHARS} characters.")
    safe = _SPECIAL.sub(_made_safe, _DROPPED.sub("", text))
    return "\n".join(line.strip() for line in safe.split("\n") if line.strip())


def _made_safe(found: re.Match[str]) -> str:
    """A tag as WebVTT writes it, in small letters; any other special character as an entity."""
    known, special = found.groups()
    return _ESCAPES[special] if special else _TAG_NAME.sub(lambda name: name[0].lower(), known)
