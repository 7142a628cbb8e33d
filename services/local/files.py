"""The small files of a stack's folder: written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def replace_text(file: Path, text: str) -> None:
    """Write `text` so that a reader sees the old content or the new, never a part of it.

    Only the owner may read it: these files hold the broker's password.
    """
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(text, encoding="utf-8")
    draft.replace(file)
