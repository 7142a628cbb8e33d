"""A disk that loses what was not synced, and a process that dies between two system calls.

`Disaster` wraps the calls of `os` that change files while it is active. It can stop the process at the n-th
of them (everything after fails as well, as nothing runs any more), and afterwards take back changes that no
fsync had made durable, in any combination: directory entries undone, file contents cut.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class Killed(BaseException):
    """The process has ended."""


@dataclass
class Disaster:
    """Watches one folder tree."""

    root: Path
    steps_left: int | None = None
    """Changing calls before the process dies; None: it lives."""
    dead: bool = False
    _pending: list[tuple[Path, Callable[[], None]]] = field(default_factory=list)
    _unsynced: set[int] = field(default_factory=set)
    _saved: int = 0

    @contextmanager
    def active(self) -> Iterator[None]:
        """Intercept the calls."""
        names = ("open", "write", "fsync", "link", "unlink", "mkdir", "rename", "replace")
        originals = {name: getattr(os, name) for name in names}
        try:
            for name, original in originals.items():
                setattr(os, name, self._wrapped(name, original))
            yield
        finally:
            for name, original in originals.items():
                setattr(os, name, original)

    def cut_power(self, is_lost: Callable[[], bool]) -> None:
        """Take back what was not durable, newest first; `is_lost` decides for each change."""
        for _, undo in reversed(self._pending):
            if is_lost():
                undo()
        for path in self.root.rglob("*"):
            if path.stat().st_ino in self._unsynced and is_lost():
                os.truncate(path, path.stat().st_size // 2)
        self._pending.clear()
        self._unsynced.clear()

    def restart(self) -> None:
        """Begin a new life of the process; what was not durable still isn't."""
        self.dead = False
        self.steps_left = None

    def _wrapped(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        after = getattr(self, f"_after_{name}", None)
        before = getattr(self, f"_before_{name}", None)

        def call(*args: Any, **kwargs: Any) -> Any:
            if not self._concerns(name, args):
                return original(*args, **kwargs)
            self._step()
            prepared = before(*args) if before else None
            result = original(*args, **kwargs)
            if after:
                after(prepared, *args)
            return result

        return call

    def _concerns(self, name: str, args: tuple[Any, ...]) -> bool:
        if name == "open":
            return bool(args[1] & os.O_CREAT) and self._inside(args[0])
        target = _path_of(args[0]) if isinstance(args[0], int) else args[0]
        return self._inside(target) and not str(target).endswith("/lock")

    def _inside(self, path: Any) -> bool:
        return str(path).startswith(str(self.root))

    def _step(self) -> None:
        if self.steps_left is not None:
            self.steps_left -= 1
            self.dead = self.dead or self.steps_left < 0
        if self.dead:
            raise Killed

    def _after_open(self, _: None, path: Any, *__: Any) -> None:
        self._pending.append((Path(path).parent, lambda: Path(path).unlink(missing_ok=True)))

    def _after_write(self, _: None, descriptor: int, *__: Any) -> None:
        self._unsynced.add(os.fstat(descriptor).st_ino)

    def _after_fsync(self, _: None, descriptor: int, *__: Any) -> None:
        path = _path_of(descriptor)
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            self._pending = [(folder, undo) for folder, undo in self._pending if folder != path]
        self._unsynced.discard(os.fstat(descriptor).st_ino)

    def _after_link(self, _: None, __: Any, target: Path) -> None:
        self._pending.append((target.parent, lambda: target.unlink(missing_ok=True)))

    def _after_mkdir(self, _: None, path: Any, *__: Any) -> None:
        self._pending.append((Path(path).parent, lambda: shutil.rmtree(path, ignore_errors=True)))

    def _before_unlink(self, path: Any, *_: Any) -> Path:
        return self._keep(Path(path))

    def _after_unlink(self, saved: Path, path: Any, *_: Any) -> None:
        self._pending.append((Path(path).parent, lambda: _back(saved, Path(path))))

    def _before_rename(self, source: Any, target: Any) -> tuple[Path, Path | None]:
        return self._keep(Path(source)), self._keep(Path(target)) if Path(target).exists() else None

    def _after_rename(self, saved: tuple[Path, Path | None], source: Any, target: Any) -> None:
        old_source, old_target = saved

        def undo() -> None:
            _back(old_source, Path(source))
            Path(target).unlink(missing_ok=True)
            if old_target:
                _back(old_target, Path(target))

        self._pending.append((Path(source).parent, undo))

    _before_replace = _before_rename
    _after_replace = _after_rename

    def _keep(self, path: Path) -> Path:
        """Hold on to a file's content outside the tree."""
        self._saved += 1
        saved = self.root.with_name(f"{self.root.name}.saved.{self._saved}")
        shutil.copy2(path, saved)
        return saved


def _path_of(descriptor: int) -> Path:
    return Path(f"/proc/self/fd/{descriptor}").readlink()


def _back(saved: Path, path: Path) -> None:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(saved, path)
