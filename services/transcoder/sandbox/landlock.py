"""Landlock (Linux 5.13): a process gives up, for good, all files and ports but those named.

Layouts and numbers are those of the kernel's `include/uapi/linux/landlock.h`. The ruleset is made here, in
the worker; `confine.py` puts it into force in the process that becomes ffmpeg.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import IntFlag
from pathlib import Path
from typing import Final

_CREATE_RULESET: Final = 444
_ADD_RULE: Final = 445
_VERSION: Final = 1
_PATH_BENEATH: Final = 1
_NET_PORT: Final = 2
_CONNECT_TCP: Final = 1 << 1
_BIND_AND_CONNECT_TCP: Final = 0b11
_SCOPE_SOCKETS_AND_SIGNALS: Final = 0b11
_ABI_NET: Final = 4
_ABI_SCOPES: Final = 6


class Access(IntFlag):
    """Rights to files and folders, as the kernel numbers them."""

    EXECUTE = 1 << 0
    WRITE_FILE = 1 << 1
    READ_FILE = 1 << 2
    READ_DIR = 1 << 3
    MAKE_REG = 1 << 8
    TRUNCATE = 1 << 14
    IOCTL_DEV = 1 << 15

    READ = READ_FILE | READ_DIR
    RUN = READ_FILE | EXECUTE
    WRITE = READ | WRITE_FILE | MAKE_REG | TRUNCATE
    DEVICE = READ | WRITE_FILE | IOCTL_DEV


_OF_FILES: Final = Access.EXECUTE | Access.WRITE_FILE | Access.READ_FILE | Access.TRUNCATE | Access.IOCTL_DEV
"""Rights that can be given to what is no folder."""
_RIGHTS_BY_ABI: Final = (0, 13, 14, 15, 15)
"""How many rights to files ABI 0 to 4 know; all later ones know 16."""
_ALL_RIGHTS: Final = 16

Grant = tuple[Path, Access]

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def abi() -> int:
    """The version of Landlock that this kernel offers; 0 for none."""
    return max(0, int(_libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION)))


@contextmanager
def ruleset(grants: Iterable[Grant], ports: Iterable[int], *, version: int) -> Iterator[int]:
    """A ruleset that forbids all but the grants, and all TCP but to these ports; yields its descriptor.

    Ports are guarded from ABI 4 on, signals and abstract sockets of other processes from ABI 6 on.

    Raises:
        OSError: the kernel refused it.
    """
    handled = _rights(version)
    descriptor = _create(handled, version)
    try:
        for path, access in grants:
            _allow_path(descriptor, path, access & handled)
        if version >= _ABI_NET:
            for port in ports:
                _add(descriptor, _NET_PORT, struct.pack("=QQ", _CONNECT_TCP, port))
        yield descriptor
    finally:
        os.close(descriptor)


def _rights(version: int) -> Access:
    known = _RIGHTS_BY_ABI[version] if version < len(_RIGHTS_BY_ABI) else _ALL_RIGHTS
    return Access((1 << known) - 1)


def _create(handled: Access, version: int) -> int:
    fields = [int(handled)]
    if version >= _ABI_NET:
        fields.append(_BIND_AND_CONNECT_TCP)
    if version >= _ABI_SCOPES:
        fields.append(_SCOPE_SOCKETS_AND_SIGNALS)
    attributes = struct.pack(f"={len(fields)}Q", *fields)
    # The kernel opens it close-on-exec; whoever starts a process passes it on by name.
    return _checked(_libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0))


def _allow_path(descriptor: int, path: Path, access: Access) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return  # what is not there needs no permission
    try:
        allowed = access if path.is_dir() else access & _OF_FILES
        _add(descriptor, _PATH_BENEATH, struct.pack("=Qi", allowed, place))
    finally:
        os.close(place)


def _add(descriptor: int, kind: int, rule: bytes) -> None:
    _checked(_libc.syscall(_ADD_RULE, descriptor, kind, rule, 0))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
