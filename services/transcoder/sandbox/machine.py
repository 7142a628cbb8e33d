"""What protections this machine offers: tried, not guessed from versions."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Final, Literal

from services.shared.errors import UnavailableError
from services.shared.telemetry import Gauge
from services.transcoder.sandbox import landlock, network, seccomp
from services.transcoder.sandbox.sandbox import Layer, Quota, Sandbox
from services.transcoder.sandbox.seccomp import Filters

log = logging.getLogger(__name__)

Mode = Literal["auto", "require", "off"]
"""As much as the machine offers; all or nothing; nothing but limits."""

OPEN: Final = Sandbox(missing=dict.fromkeys(Layer, "it is switched off"))
"""No protection but limits."""

_IN_FORCE: Final = Gauge("tritontube_sandbox", "Whether a kind of protection is around ffmpeg.", ["layer"])

_ABI_PORTS: Final = 4
"""The first version of Landlock that guards TCP ports."""

_TRIAL: Final = Quota(cpu_s=10, memory_bytes=1 << 28, address_bytes=1 << 32, file_bytes=0, niceness=0)


@cache
def strongest() -> Sandbox:
    """All protections that need nothing kept open: without a network of its own."""
    missing: dict[Layer, str] = {}
    abi, filters = _landlock(missing), _filters(missing)
    if abi < _ABI_PORTS or filters is None:
        missing[Layer.NETWORK] = "it takes Landlock of Linux 6.7 and seccomp, or a network namespace"
    return Sandbox(landlock_abi=abi, filters=filters, missing=missing)


@contextmanager
def sandbox(mode: Mode = "auto", *, readable: tuple[Path, ...] = ()) -> Iterator[Sandbox]:
    """The strongest sandbox there is, with a network of its own where possible, while the context is open.

    Args:
        mode: `require` refuses to do with less than all kinds of protection.
        readable: what ffmpeg needs to read in order to start, besides the usual folders of libraries.

    Raises:
        UnavailableError: a kind of protection is missing.
    """
    if mode == "off":
        _tell(OPEN, mode)
        yield OPEN
        return
    with ExitStack() as stack:
        box = replace(strongest(), readable=readable)
        try:
            private = stack.enter_context(network.private_network())
            _try(replace(box, network=private))
        except OSError as error:
            log.info("no network namespace for ffmpeg: %s", error)
        else:
            box = replace(box, network=private, missing=_without(box.missing, Layer.NETWORK))
        _tell(box, mode)
        yield box


def _landlock(missing: dict[Layer, str]) -> int:
    abi = landlock.abi()
    if not abi:
        missing[Layer.FILES] = "the kernel does not offer Landlock, or a container engine forbids it"
        return 0
    try:
        _try(Sandbox(landlock_abi=abi))
    except OSError as error:
        missing[Layer.FILES] = f"Landlock cannot be used: {error}"
        return 0
    return abi


def _filters(missing: dict[Layer, str]) -> Filters | None:
    try:
        made = seccomp.filters()
        _try(Sandbox(filters=made))
    except OSError as error:
        missing[Layer.CALLS] = f"libseccomp cannot be used: {error}"
        return None
    return made


def _try(box: Sandbox) -> None:
    """Run a program that does nothing.

    Raises:
        OSError: it does not even do that in this sandbox.
    """
    with box.launch(["true"], _TRIAL) as launch:
        tried = subprocess.run(
            launch.arguments,
            pass_fds=launch.descriptors,
            env=launch.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    if tried.returncode:
        raise OSError(tried.stderr.strip() or f"exit code {tried.returncode}")


def _without(missing: Mapping[Layer, str], present: Layer) -> Mapping[Layer, str]:
    return {layer: why for layer, why in missing.items() if layer is not present}


def _tell(box: Sandbox, mode: Mode) -> None:
    log.info("around ffmpeg: %s", box.describe())
    for layer in Layer:
        _IN_FORCE.labels(layer).set(layer not in box.missing)
    for layer, why in box.missing.items():
        if mode == "require":
            raise UnavailableError(
                f"TRITONTUBE_SANDBOX=require, but ffmpeg's {layer} cannot be confined: {why}."
            )
        log.warning("ffmpeg's %s cannot be confined: %s", layer, why)
