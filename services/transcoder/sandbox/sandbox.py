"""What stands between ffmpeg and the machine, and the command that puts it there."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import cache
from importlib.util import cache_from_source
from pathlib import Path
from typing import Final

from services.transcoder.sandbox import confine, landlock
from services.transcoder.sandbox.landlock import Access, Grant
from services.transcoder.sandbox.network import PrivateNetwork
from services.transcoder.sandbox.reach import Reach, reach_of
from services.transcoder.sandbox.seccomp import Filters

_PYTHON: Final = (os.path.realpath(sys.executable), "-I", "-S")
"""Without the environment's say and without packages: it starts in a third of the time."""
_LIBRARIES: Final = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache")
_LOADERS: Final = ("lib*/ld-*.so.*", "lib/*/ld-*.so.*")
_FACTS: Final = ("/sys/devices/system", "/proc/cpuinfo", "/proc/filesystems", "/dev/urandom")
"""How many processors there are, and randomness: encoders ask."""
_GRAPHICS: Final = ("/dev/dri", "/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia0", "/dev/nvidia1")
_GRAPHICS_FACTS: Final = ("/proc/driver/nvidia", "/sys/dev/char", "/sys/devices", "/sys/class/drm")
_ENVIRONMENT: Final = frozenset(
    {
        *("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH"),
        *("LIBVA_DRIVER_NAME", "LIBVA_DRIVERS_PATH", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"),
        "TRITONTUBE_LAUNCHED_BY",  # by which `tritontube down` finds what belongs to its stack
    }
)
"""The rest is not ffmpeg's business: passwords of ours, or a proxy that it would ask for the source."""


class Layer(StrEnum):
    """A kind of protection."""

    FILES = "files"
    CALLS = "system calls"
    NETWORK = "network"


@dataclass(frozen=True, kw_only=True)
class Quota:
    """What the kernel lets one process use; named as `confine.py` knows it."""

    cpu_s: int
    memory_bytes: int
    """Memory of its own: heap, stacks."""
    address_bytes: int
    """All of its address space, libraries and files included."""
    file_bytes: int
    niceness: int


@dataclass(frozen=True, kw_only=True)
class Launch:
    """A command with all that has to be around it."""

    arguments: Sequence[str]
    descriptors: tuple[int, ...]
    """Open files that the process needs to inherit."""
    environment: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Sandbox:
    """The protections around processes that read what strangers uploaded. Without arguments: none."""

    landlock_abi: int = 0
    filters: Filters | None = None
    network: PrivateNetwork | None = None
    readable: tuple[Path, ...] = ()
    """Further files and folders that ffmpeg needs in order to start."""
    missing: Mapping[Layer, str] = field(default_factory=dict)
    """Protections that this machine does not offer, and why."""

    @contextmanager
    def launch(self, arguments: Sequence[str], quota: Quota) -> Iterator[Launch]:
        """The command that runs `arguments` confined. Once it is started the context may be left.

        Args:
            arguments: an ffmpeg or ffprobe command; what it names is what it may reach.
            quota: what it may use.

        Raises:
            OSError: the kernel refused.
        """
        reach = reach_of(arguments)
        options = {**asdict(quota), "parent": os.getpid(), "program": reach.program}
        descriptors = self.network.namespaces if self.network else ()
        options["namespaces"] = ",".join(map(str, descriptors))
        if self.filters:
            options["filter"] = (self.filters.client if reach.ports else self.filters.offline).hex()
        with ExitStack() as stack:
            if self.landlock_abi:
                rules = landlock.ruleset(self._grants(reach), reach.ports, version=self.landlock_abi)
                options["ruleset"] = stack.enter_context(rules)
                descriptors = (*descriptors, options["ruleset"])
            told = [f"{name}={value}" for name, value in options.items()]
            yield Launch(
                arguments=[*_PYTHON, _script(), *told, "--", *arguments],
                descriptors=descriptors,
                environment={name: value for name, value in os.environ.items() if name in _ENVIRONMENT},
            )

    def describe(self) -> str:
        """What is in force, for people."""
        parts = []
        if self.landlock_abi:
            parts.append(f"{Layer.FILES} (Landlock, version {self.landlock_abi})")
        if self.filters:
            parts.append(f"{Layer.CALLS} (seccomp)")
        if self.network:
            parts.append(f"{Layer.NETWORK} (a namespace of its own)")
        elif self.landlock_abi and Layer.NETWORK not in self.missing:
            parts.append(f"{Layer.NETWORK} (one TCP port, by Landlock)")
        return ", ".join(parts) or "nothing"

    def _grants(self, reach: Reach) -> Iterator[Grant]:
        yield reach.program, Access.RUN
        yield from ((path, Access.RUN) for path in _loaders())
        for place in (*map(Path, (*_LIBRARIES, *_FACTS)), *self.readable, *reach.reads):
            yield place, Access.READ
        yield Path(os.devnull), Access.READ | Access.WRITE_FILE
        for folder in reach.writes:
            yield folder, Access.WRITE
        if reach.devices:
            yield from ((Path(place), Access.DEVICE) for place in _GRAPHICS)
            yield from ((Path(place), Access.READ) for place in _GRAPHICS_FACTS)


@cache
def _loaders() -> tuple[Path, ...]:
    """What the kernel starts first, which then loads a program's libraries."""
    return tuple(path for pattern in _LOADERS for path in Path("/").glob(pattern))


@cache
def _script() -> str:
    """`confine.py`, compiled if it is: it starts with every ffmpeg."""
    compiled = cache_from_source(confine.__file__)
    return compiled if Path(compiled).exists() else confine.__file__
