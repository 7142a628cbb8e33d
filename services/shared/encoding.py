"""How pictures are encoded, as plans record it. Pure data."""

from __future__ import annotations

from services.shared.record import Record


class Encoding(Record):
    """What encodes a rendition, and how carefully: all pieces of it must be made with the same.

    The defaults are what plans meant that were made before there was a choice.
    """

    profile: str = "h264"
    """One of `services.transcoder.profiles.PROFILES`."""
    preset: str = "veryfast"
    """Effort, in the encoder's own words."""
    quality: int = 23
    """Constant quality (CRF and its like) on the encoder's own scale; smaller is better."""
    level: str = ""
    """What it may ask of a decoder, in the codec's own terms, e.g. `3.1`. Empty: the encoder decides."""
    stitchable: bool = False
    """Pieces may differ in quality: the decoder's configuration must not depend on it."""
