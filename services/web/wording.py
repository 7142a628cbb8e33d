"""Numbers and states in words, for pages and messages. Pure."""

from __future__ import annotations

from typing import Final

from services.shared.video import Status, Verdict

_KIB: Final = 1024
_THREE_DIGITS: Final = 100
_SIZE_UNITS: Final = ("bytes", "KiB", "MiB", "GiB", "TiB")
_AGES: Final = (
    (365 * 86_400, "year"),
    (30 * 86_400, "month"),
    (7 * 86_400, "week"),
    (86_400, "day"),
    (3_600, "hour"),
    (60, "minute"),
)
_KBIT: Final = 1_000
_MBIT: Final = 1_000_000
_TEN_MBIT: Final = 10 * _MBIT
_HOUR_S: Final = 3600

STATES: Final[dict[Status, str]] = {
    Status.UPLOADING: "Uploading",
    Status.UPLOADED: "Waiting",
    Status.PROCESSING: "Processing",
    Status.PLAYABLE: "Playable, processing",
    Status.READY: "Ready",
    Status.FAILED: "Failed",
    Status.DELETED: "Deleted",
}


VERDICTS: Final[dict[Verdict | None, str]] = {
    None: "",
    Verdict.SOUND: "Checked: all is well.",
    Verdict.FAULTY: "Checked: some of it is lost or damaged, and could not be mended.",
    Verdict.UNCERTAIN: "Checked: nothing wrong was seen, but not everything could be looked at.",
}
"""What came of looking at a finished video as a whole."""


def size(size_bytes: int) -> str:
    """`1.5 GiB`."""
    value, unit = float(size_bytes), 0
    while value >= _KIB and unit < len(_SIZE_UNITS) - 1:
        value, unit = value / _KIB, unit + 1
    return (
        f"{value:.0f} {_SIZE_UNITS[unit]}" if value >= _THREE_DIGITS else f"{value:.3g} {_SIZE_UNITS[unit]}"
    )


def duration(duration_s: float) -> str:
    """`4:07`, `1:02:03`. Whole seconds that have passed, as the player's clock counts them."""
    whole = max(int(duration_s), 1)
    minutes, seconds = divmod(whole, 60)
    if whole < _HOUR_S:
        return f"{minutes}:{seconds:02}"
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"


def age(age_s: float) -> str:
    """`just now`, `3 hours ago`."""
    for unit_s, name in _AGES:
        if age_s >= unit_s:
            count = int(age_s // unit_s)
            return f"{count} {name}{'s' if count > 1 else ''} ago"
    return "just now"


def bitrate(bits_per_s: int) -> str:
    """`370 kbit/s`, `4.2 Mbit/s`, `18 Mbit/s`."""
    if bits_per_s < _MBIT:
        return f"{bits_per_s / _KBIT:.0f} kbit/s"
    return f"{bits_per_s / _MBIT:.{1 if bits_per_s < _TEN_MBIT else 0}f} Mbit/s"
