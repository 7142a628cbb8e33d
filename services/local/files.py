"""The small files of a stack's folder: written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from services.shared.errors import ConflictError


def replace_text(file: Path, text: str) -> None:
    """Write `text` so that a reader sees the old content or the new, never a part of it.

    Only the owner may read it: these files hold the broker's password.
    """
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.touch(mode=0o600)
    with draft.open("w", encoding="utf-8") as output:
        output.write(text)
        output.flush()
        os.fsync(output.fileno())
    draft.replace(file)


def damaged(file: Path) -> ConflictError:
    """The error to raise for a file of ours that cannot be understood."""
    return ConflictError(
        f"{file} is damaged. The stack's data depends on it: restore it from a backup, or start a new stack "
        "with another --data."
    )
