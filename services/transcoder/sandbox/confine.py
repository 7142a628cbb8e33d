"""Give up all that a program does not need, then become it: `confine.py NAME=VALUE ... -- COMMAND`.

The worker starts this as a program, with descriptors of what it has prepared. It runs before anything of an
uploaded file is read; Python's standard library is all it may use, so that it starts in some 10 ms. It is not
run between fork and exec of the worker, which may deadlock in a process with threads (gRPC has them).

Any step that fails ends the process with exit code 125: nothing runs with less around it than was asked for.
"""

import ctypes
import os
import resource
import sys

FAILED = 125

_PR_SET_PDEATHSIG = 1
_PR_SET_SECCOMP = 22
_PR_SET_SECUREBITS = 28
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_CAP_AMBIENT_CLEAR_ALL = 4
_NO_PRIVILEGES_FOR_ROOT_LOCKED = 0b11
_SECCOMP_MODE_FILTER = 2
_LANDLOCK_RESTRICT_SELF = 446
_FILTER_ENTRY_BYTES = 8

_SIGKILL = 9
_CPU_GRACE_S = 5
"""Between the signal that names the reason (SIGXCPU) and the one that cannot be caught."""
_MAX_OPEN_FILES = 256
_OOM_SCORE = 500
"""Half of the scale: as if it used half of the machine's memory more than it does."""

_libc = ctypes.CDLL(None, use_errno=True)


class _FilterProgram(ctypes.Structure):
    """`struct sock_fprog`."""

    _fields_ = (("length", ctypes.c_ushort), ("entries", ctypes.c_char_p))


def main(arguments: list[str]) -> None:
    """Confine this process as the arguments say and run the program in it."""
    end = arguments.index("--")
    options = dict(argument.split("=", 1) for argument in arguments[:end])
    try:
        _limit(options)
        _enter(options.get("namespaces", ""))
        _drop_privileges()
        _restrict_files(options.get("ruleset"))
        _die_with(int(options["parent"]))
        _filter_calls(options.get("filter", ""))
        os.execv(options["program"], arguments[end + 1 :])  # noqa: S606 - no shell wanted
    except OSError as error:
        print(f"The program could not be confined or started: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(FAILED)


def _limit(options: dict[str, str]) -> None:
    cpu_s = int(options["cpu_s"])
    _allow(resource.RLIMIT_CPU, cpu_s, cpu_s + _CPU_GRACE_S)
    _allow(resource.RLIMIT_DATA, int(options["memory_bytes"]))
    _allow(resource.RLIMIT_AS, int(options["address_bytes"]))
    _allow(resource.RLIMIT_FSIZE, int(options["file_bytes"]))
    _allow(resource.RLIMIT_CORE, 0)
    _allow(resource.RLIMIT_NOFILE, _MAX_OPEN_FILES)
    _give_way(os.nice(int(options["niceness"])))
    _be_first_to_go()


def _allow(kind: int, most: int, at_last: int | None = None) -> None:
    """Set a limit, and the harder one behind it; neither above what this process was itself allowed."""
    _, allowed = resource.getrlimit(kind)
    soft, hard = most, most if at_last is None else at_last
    if allowed != resource.RLIM_INFINITY:
        soft, hard = min(soft, allowed), min(hard, allowed)
    resource.setrlimit(kind, (soft, hard))


def _give_way(niceness: int) -> None:
    """Let the whole session give way, too.

    Where the kernel schedules sessions as groups (`sched(7)`, autogroups), a process is nice only to those of
    its own session, which here are none: a player or a server on this machine would get no more than it does.
    """
    try:
        with open("/proc/self/autogroup", "w") as file:  # noqa: PTH123 - pathlib takes long to import
            file.write(str(niceness))
    except OSError:  # there are no such groups here, or a container does not let it be written
        return


def _be_first_to_go() -> None:
    """Where the machine runs out of memory, let the kernel end this process rather than the worker."""
    with open("/proc/self/oom_score_adj", "r+") as file:  # noqa: PTH123 - pathlib takes long to import
        score = max(int(file.read()), _OOM_SCORE)
        file.seek(0)
        file.write(str(score))


def _enter(namespaces: str) -> None:
    for descriptor in filter(None, namespaces.split(",")):
        _check(_libc.setns(int(descriptor), 0))


def _drop_privileges() -> None:
    # Root without privileges is like any other user once it runs a program. Others have none to lose.
    _libc.prctl(_PR_SET_SECUREBITS, _NO_PRIVILEGES_FOR_ROOT_LOCKED, 0, 0, 0)
    _check(_libc.prctl(_PR_CAP_AMBIENT, _CAP_AMBIENT_CLEAR_ALL, 0, 0, 0))
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def _restrict_files(ruleset: str | None) -> None:
    if ruleset is not None:
        _check(_libc.syscall(_LANDLOCK_RESTRICT_SELF, int(ruleset), 0))


def _die_with(parent: int) -> None:
    # After all that changes credentials, which would undo it.
    _check(_libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0))
    if os.getppid() != parent:
        sys.exit(FAILED)  # it died before


def _filter_calls(program: str) -> None:
    if not program:
        return
    entries = bytes.fromhex(program)
    filter_program = _FilterProgram(len(entries) // _FILTER_ENTRY_BYTES, entries)
    _check(_libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(filter_program), 0, 0))


def _check(result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    main(sys.argv[1:])
