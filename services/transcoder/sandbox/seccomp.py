"""The system calls that ffmpeg may make, as a filter that the kernel runs (seccomp), by libseccomp.

A list of what is allowed, so that what a later kernel adds is forbidden. Anything else fails with ENOSYS, as
on an older kernel, which the C library and the encoders know how to live with.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
from dataclasses import dataclass
from typing import Final

_LIBRARY: Final = "libseccomp.so.2"
_ALLOW: Final = 0x7FFF0000
_ERRNO: Final = 0x00050000
_EQUAL: Final = 4
_MASKED_EQUAL: Final = 7
_OPTIMIZE: Final = 8
_BINARY_TREE: Final = 2
_UNKNOWN_CALL: Final = -1

_CLONE_THREAD: Final = 0x00010000
_SOCKET_TYPE_MASK: Final = 0xF
_PR_SET_NAME: Final = 15

_FILES: Final = """
    open openat read write pread64 pwrite64 readv writev preadv pwritev lseek _llseek close fstat stat lstat
    fstat64 stat64 newfstatat fstatat64 statx statfs fstatfs statfs64 fstatfs64 access faccessat faccessat2
    readlink readlinkat getcwd dup dup2 dup3 pipe pipe2 fcntl fcntl64 ftruncate ftruncate64 fsync fdatasync
    fallocate fadvise64 fadvise64_64 getdents getdents64 ioctl umask
"""
_MEMORY: Final = """
    brk mmap mmap2 munmap mprotect mremap madvise msync mlock munlock mincore membarrier mbind get_mempolicy
    set_mempolicy
"""
_THREADS: Final = """
    futex futex_time64 futex_waitv set_robust_list get_robust_list set_tid_address rseq gettid sched_yield
    getcpu sched_getaffinity sched_getparam sched_getscheduler sched_get_priority_max sched_get_priority_min
    arch_prctl set_thread_area exit exit_group execve
"""
"""`execve` because the filter is in force before ffmpeg starts: which program, Landlock decides. Processes
cannot be made (`clone` is for threads only, and of `clone3` a filter cannot see the arguments)."""
_SIGNALS_AND_TIME: Final = """
    rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigsuspend sigaltstack sigreturn
    restart_syscall pause alarm setitimer getitimer clock_gettime clock_gettime64 clock_getres
    clock_getres_time64 clock_nanosleep clock_nanosleep_time64 nanosleep gettimeofday time times
    poll ppoll ppoll_time64 select _newselect pselect6 pselect6_time64 epoll_create1 epoll_ctl epoll_wait
    epoll_pwait eventfd2
"""
_ABOUT_ITSELF: Final = """
    getpid getppid getpgrp getpgid getsid getuid geteuid getgid getegid getuid32 geteuid32 getgid32 getegid32
    getresuid getresgid getgroups capget getrlimit ugetrlimit getrusage getpriority uname sysinfo getrandom
"""
_OF_ITSELF_ONLY: Final = ("prlimit64", "sched_setaffinity")
"""Their first argument is a process; 0 stands for the caller."""
_CLIENT: Final = """
    connect getsockopt setsockopt getsockname getpeername sendto recvfrom sendmsg recvmsg send recv shutdown
"""
_ANYTHING: Final = f"{_FILES} {_MEMORY} {_THREADS} {_SIGNALS_AND_TIME} {_ABOUT_ITSELF}".split()


class _Condition(ctypes.Structure):
    """`struct scmp_arg_cmp`."""

    _fields_ = (
        ("argument", ctypes.c_uint),
        ("comparison", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


@dataclass(frozen=True, kw_only=True)
class Filters:
    """Programs for the kernel's filter, ready to be put into force."""

    offline: bytes
    """Without any socket."""
    client: bytes
    """With sockets for TCP over IPv4 that connect and never listen."""


def filters() -> Filters:
    """Make the filters for this machine.

    Raises:
        OSError: libseccomp is not installed, or cannot do it here.
    """
    library = ctypes.CDLL(_LIBRARY)
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_syscall_resolve_name.argtypes = [ctypes.c_char_p]
    return Filters(offline=_program(library, client=False), client=_program(library, client=True))


def _program(library: ctypes.CDLL, *, client: bool) -> bytes:
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(_ERRNO | errno.ENOSYS)))
    try:
        library.seccomp_attr_set(context, _OPTIMIZE, ctypes.c_uint32(_BINARY_TREE))
        rules = _Rules(library, context)
        for name in _ANYTHING:
            rules.allow(name)
        # Of several conditions in one rule all must hold.
        rules.allow("clone", _Condition(0, _MASKED_EQUAL, _CLONE_THREAD, _CLONE_THREAD))
        rules.allow("prctl", _Condition(0, _EQUAL, _PR_SET_NAME, 0))
        for name in _OF_ITSELF_ONLY:
            rules.allow(name, _Condition(0, _EQUAL, 0, 0))
        if client:
            _allow_client(rules)
        return _exported(library, context)
    finally:
        library.seccomp_release(context)


def _allow_client(rules: _Rules) -> None:
    inet = _Condition(0, _EQUAL, socket.AF_INET, 0)
    stream = _Condition(1, _MASKED_EQUAL, _SOCKET_TYPE_MASK, socket.SOCK_STREAM)
    rules.allow("socket", inet, stream)
    for name in _CLIENT.split():
        rules.allow(name)


class _Rules:
    def __init__(self, library: ctypes.CDLL, context: ctypes.c_void_p) -> None:
        self._library = library
        self._context = context

    def allow(self, name: str, *conditions: _Condition) -> None:
        """Allow a system call if the conditions hold; one unknown to this library stays forbidden."""
        number = self._library.seccomp_syscall_resolve_name(name.encode())
        if number == _UNKNOWN_CALL:
            return
        array = (_Condition * len(conditions))(*conditions)
        _check(
            self._library.seccomp_rule_add_array(
                self._context, ctypes.c_uint32(_ALLOW), number, len(conditions), array
            )
        )


def _exported(library: ctypes.CDLL, context: ctypes.c_void_p) -> bytes:
    file = os.memfd_create("seccomp", os.MFD_CLOEXEC)
    try:
        _check(library.seccomp_export_bpf(context, file))
        return os.pread(file, os.fstat(file).st_size, 0)
    finally:
        os.close(file)


def _check(result: int) -> None:
    if result < 0:
        raise OSError(-result, os.strerror(-result))
