"""Videos with text streams in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.harness.sources import ffmpeg


@dataclass(frozen=True, kw_only=True)
class Words:
    """One text stream: sentences, each for a second, from the given seconds on."""

    language: str
    sentences: dict[float, str]
    title: str = ""

    @property
    def subrip(self) -> str:
        """As a file."""
        return "\n".join(
            f"{number}\n{_time(start_s)} --> {_time(start_s + 1)}\n{sentence}\n"
            for number, (start_s, sentence) in enumerate(self.sentences.items(), start=1)
        )


def subtitled(film: Path, streams: Sequence[Words], *, codec: str = "srt", suffix: str = "mkv") -> Path:
    """The film with text streams, beside it; its own times stay as they are."""
    path = film.with_name(f"{film.stem}-{codec}-{len(streams)}.{suffix}")
    inputs, options = ["-copyts", "-i", str(film)], ["-map", "0"]
    for number, words in enumerate(streams):
        text = film.with_name(f"{path.stem}-{number}.srt")
        text.write_text(words.subrip)
        inputs += ["-i", str(text)]
        options += ["-map", str(number + 1), f"-metadata:s:s:{number}", f"language={words.language}"]
        options += [f"-metadata:s:s:{number}", f"title={words.title}"] if words.title else []
    ffmpeg(*inputs, *options, "-c", "copy", "-c:s", codec, str(path))
    return path


def _time(seconds: float) -> str:
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02},{milliseconds:03}"
