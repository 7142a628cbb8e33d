"""What is done to the pictures of a source before they are scaled and encoded. Pure data.

Decided once, when the source is probed, and kept in the plan: whoever encodes a piece, and wherever in the
source decoding begins, treats its pictures in the same way. What pictures say of themselves may differ from
one to the next; some sources say it only in their first one.
"""

from __future__ import annotations

from typing import Self

from services.shared.record import Record


class Colours(Record):
    """How the numbers of a picture are to be read: ITU-T H.273's code points, by ffmpeg's names for them."""

    primaries: str
    transfer: str
    matrix: str

    @classmethod
    def bt709(cls) -> Self:
        """What screens show without being told."""
        return cls(primaries="bt709", transfer="bt709", matrix="bt709")


class Treatment(Record):
    """From decoded pictures to plain ones: progressive, of ordinary dynamic range, 8 bits, labelled."""

    interlaced: bool = False
    """Pictures are woven from two fields: those that say so are deinterlaced, one picture from each."""
    convert_from: Colours | None = None
    """Colours that few screens can show, to be turned into BT.709; None: they stay as they are."""
    full_range: bool = False
    """Black is 0, not 16. Used only when converting; otherwise each picture tells."""
    peak_nits: int | None = None
    """The brightest light of a picture of high dynamic range (candela per square metre), which is mapped to
    the brightest that an ordinary one has; None: the range is ordinary."""
    rgb: bool = False
    """The pictures have no matrix yet: they get BT.709's."""
    label: Colours | None = None
    """What the output is labelled as; None: not at all, as plans made before there were labels."""
