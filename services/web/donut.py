"""The ring as a picture: one arc per node, as long as its share. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from services.admin.views.cluster import NodeView

_GAP: Final = 0.5
"""Between arcs, in hundredths of the circle."""
_GOLDEN_ANGLE: Final = 137.508
"""Steps of it around the circle of colours keep any number of neighbours apart."""
_FIRST_HUE: Final = 186


@dataclass(frozen=True, kw_only=True)
class Arc:
    """A node's part of the circle. Lengths are hundredths of it, from the top and clockwise."""

    node: NodeView
    share: float
    hue: float
    start: float
    length: float


@dataclass(frozen=True, kw_only=True)
class Donut:
    """Two circles: what is, and what will be."""

    now: tuple[Arc, ...]
    then: tuple[Arc, ...]
    """Empty where nothing changes."""
    hues: dict[str, float]
    """Colours by node, in degrees."""


def donut_of(nodes: Sequence[NodeView]) -> Donut:
    """The picture of a ring."""
    hues = {node.id: (_FIRST_HUE + n * _GOLDEN_ANGLE) % 360 for n, node in enumerate(nodes)}
    changes = any(node.partitions != node.next_partitions for node in nodes)
    return Donut(
        now=_circle([(node, node.share) for node in nodes], hues),
        then=_circle([(node, node.next_share) for node in nodes], hues) if changes else (),
        hues=hues,
    )


def _circle(shares: Iterable[tuple[NodeView, float]], hues: dict[str, float]) -> tuple[Arc, ...]:
    present = [(node, share) for node, share in shares if share > 0]
    gap = _GAP if len(present) > 1 else 0.0
    arcs, start = [], 0.0
    for node, share in present:
        length = max(share * 100 - gap, gap / 2)
        arcs.append(Arc(node=node, share=share, hue=hues[node.id], start=start, length=length))
        start += share * 100
    return tuple(arcs)
