"""What this machine's ffmpeg can encode, found out by trying, and which builds do it.

Whether ffmpeg was built with an encoder says little: it may lack the driver, the device, or a licence. So a
few pictures are encoded with each profile that is asked for, once.

Pieces made by different builds must not be mixed: they need not agree on the decoder's configuration. So each
plan names the builds it was made for, and a worker takes its tasks only if its own are among them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final

from services.shared.encoding import Encoding
from services.shared.errors import ForeignEncoderError, InvalidRequestError
from services.shared.tracks import Rendition
from services.transcoder import command
from services.transcoder.fragments import FragmentParser, InitSegment
from services.transcoder.process import Chunks, ExitError, Limits, collect, run
from services.transcoder.profiles import Profile, profile
from services.transcoder.sandbox import Sandbox

_LIMITS: Final = Limits(wall_s=60)
_VERSION_BYTES: Final = 64 * 1024
_SIDE: Final = 256
_BITRATE: Final = 1_000_000
_SEPARATOR: Final = ", "
_DIGEST_CHARS: Final = 12

_BUILDS: Final[Mapping[str, tuple[str, re.Pattern[str]]]] = {
    "libx264": ("x264", re.compile(r"x264 - (core .*?) - ")),
    "libx265": ("x265", re.compile(r"x265 \(build \d+\) - (\S+?):\[")),
    "libvpx-vp9": ("libvpx", re.compile(r"\[libvpx-vp9 @ \w+\] v?(\d\S*)")),
    "libsvtav1": ("SVT-AV1", re.compile(r"SVT-AV1 Encoder Lib v?(\S+)")),
}
"""A library's name, and how it tells its version: some sign their streams, others say it on stderr."""

_CAUSE: Final = re.compile(
    r"unknown encoder|cannot|could not|no .* (found|device)|failed|error", re.IGNORECASE
)
_SPEAKER: Final = re.compile(r"^\[[^]]* @ \w+\] ")


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What came of encoding a few pictures."""

    build: str
    """Name and version of what did it."""
    codec: str
    """RFC 6381; for larger pictures another level stands in it."""

    def codec_at(self, level: str) -> str:
        """The codec of pictures of another level, where it is known: H.264's name ends with its number."""
        return f"{self.codec[:-2]}{round(10 * float(level)):02x}" if level else self.codec


class Encoders:
    """The encoders that work here, by profile."""

    def __init__(self, ffmpeg: str, limits: Limits) -> None:
        self._ffmpeg = ffmpeg
        self._limits = limits
        self._trials: dict[tuple[str, str], Trial] = {}

    @classmethod
    async def find(cls, sandbox: Sandbox | None = None) -> Encoders:
        """See which ffmpeg there is.

        Args:
            sandbox: around all trials, so that a machine where ffmpeg cannot be confined tells so at once.

        Raises:
            ExitError: it does not work.
        """
        limits = replace(_LIMITS, sandbox=sandbox)
        said = await collect(["ffmpeg", "-version"], limits=limits, max_bytes=_VERSION_BYTES)
        version = said.partition(b" Copyright")[0].partition(b"version ")[2]
        return cls(f"ffmpeg {version.decode(errors='replace')}", limits)

    async def identity(self, profiles: Iterable[str]) -> str:
        """Names of the builds that encode these profiles here.

        Raises:
            ForeignEncoderError: one of them cannot be encoded here; the message says what is missing.
            InvalidRequestError: there is no such profile.
        """
        trials = [await self._trial(name) for name in sorted(set(profiles))]
        return _SEPARATOR.join([self._ffmpeg, *(trial.build for trial in trials)])

    async def announced(self, renditions: Iterable[Rendition]) -> tuple[Rendition, ...]:
        """The renditions with the codecs that players are told of before there is any of them.

        Efforts differ in what they use of a codec, which is part of its name.

        Raises:
            ForeignEncoderError: one of them cannot be encoded here.
        """
        return tuple([await self._announced(rung) for rung in renditions])

    async def _announced(self, rung: Rendition) -> Rendition:
        trial = await self._trial(rung.encoding.profile, rung.encoding.preset)
        return rung.model_copy(update={"codec": trial.codec_at(rung.encoding.level)})

    async def check(self, planned: str, profiles: Iterable[str]) -> None:
        """Make sure that what is encoded here with these profiles fits to a plan.

        Args:
            planned: the identity in the plan.
            profiles: what is to be encoded of it.

        Raises:
            ForeignEncoderError: it does not.
        """
        here = await self.identity(profiles)
        if not fits(here, planned):
            raise ForeignEncoderError(
                "This worker's ffmpeg is not the one the video was begun with: their pieces would not fit.",
                detail=f"planned for: {planned}\nhere: {here}",
            )

    async def _trial(self, name: str, preset: str | None = None) -> Trial:
        chosen = profile(name)
        preset = preset or chosen.preset
        if (name, preset) not in self._trials:
            self._trials[name, preset] = await _tried(chosen, preset, self._limits)
        return self._trials[name, preset]


def fits(wanted: str, offered: str) -> bool:
    """Whether the builds of one identity are all among those of another."""
    return set(wanted.split(_SEPARATOR)) <= set(offered.split(_SEPARATOR))


async def _tried(chosen: Profile, preset: str, limits: Limits) -> Trial:
    """Try a profile with one of its efforts.

    Raises:
        ForeignEncoderError: it does not work here.
    """
    sample = _Sample()
    blank = Rendition(
        name=chosen.name,
        width=_SIDE,
        height=_SIDE,
        bitrate=_BITRATE,
        encoding=Encoding(profile=chosen.name, preset=preset, quality=chosen.quality),
    )
    try:
        said = await run(command.encode_blank(blank), sample.take, limits=limits)
        init = sample.init()
    except (ExitError, InvalidRequestError) as error:
        raise ForeignEncoderError(
            f"{chosen.name} cannot be encoded here: {_cause(error)}", detail=getattr(error, "stderr", "")
        ) from error
    build = _name_of(chosen, init, said + bytes(sample.data).decode("latin-1"))
    return Trial(build=build, codec=init.codec)


def _name_of(chosen: Profile, init: InitSegment, said: str) -> str:
    if chosen.encoder not in _BUILDS:
        # Drivers do not tell their version. What pieces must agree on is what tells them apart.
        return f"{chosen.encoder} {sha256(init.data).hexdigest()[:_DIGEST_CHARS]}"
    library, pattern = _BUILDS[chosen.encoder]
    version = pattern.search(said)
    return f"{library} {version[1] if version else 'of unknown version'}"


def _cause(error: Exception) -> str:
    lines = [_SPEAKER.sub("", line) for line in getattr(error, "stderr", "").splitlines()]
    return next((line for line in lines if _CAUSE.search(line)), str(error))


class _Sample:
    """What an encoder made of the generated pictures."""

    def __init__(self) -> None:
        self.data = bytearray()

    async def take(self, chunks: Chunks) -> None:
        async for chunk in chunks:
            self.data += chunk

    def init(self) -> InitSegment:
        """Its initialisation segment.

        Raises:
            InvalidRequestError: it is not what pieces are made of.
        """
        first = next(FragmentParser().feed(bytes(self.data)), None)
        if not isinstance(first, InitSegment):
            raise InvalidRequestError("The encoder made nothing.")
        return first
