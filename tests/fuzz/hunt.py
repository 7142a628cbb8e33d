"""One damaged file, and what must be true of it whatever it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from services.shared.errors import TransientJobError
from services.transcoder.process import Limits
from services.transcoder.streams import Bounds
from tests.fuzz.digestion import Digested, digest
from tests.fuzz.mutation import mutant

LIMITS: Final = Limits(wall_s=300, silence_s=240, cpu_s=60, memory_bytes=2 << 30)
"""Processor time tells endless work from a machine that is busy with something else."""
BOUNDS: Final = Bounds(duration_s=300, packets=100_000, pixels=1 << 20)
"""Small, so that damage that claims hours costs moments."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What one seed showed."""

    seed: int
    digested: Digested = field(default_factory=Digested)
    fault: str = ""
    """What a worker would not have coped with; empty: nothing."""


async def try_seed(seed: int, material: Sequence[bytes]) -> Verdict:
    """Let a damaged file through all that a worker does.

    A file may be refused, or come out as whatever is left of it. Anything else is a fault: an exception that
    nobody foresaw has the job repeated, and so does a program that has to be stopped.
    """
    with TemporaryDirectory(prefix="tritontube-fuzz-") as folder:
        path = Path(folder) / "video.mp4"
        path.write_bytes(mutant(seed, material))
        try:
            return Verdict(seed=seed, digested=await digest(path, limits=LIMITS, bounds=BOUNDS))
        except TransientJobError as error:
            return Verdict(seed=seed, fault=f"stopped: {error}")
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            return Verdict(seed=seed, fault=f"{type(error).__name__}: {error}")
