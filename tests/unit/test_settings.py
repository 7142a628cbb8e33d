"""What docs/operations.md says of the settings is what services/shared/settings.py has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic_core import PydanticUndefined

from services.shared.settings import GIB, MIB, Settings, StorageSettings, TranscoderSettings, WebSettings

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"
CHAPTERS: dict[str, type[Settings]] = {
    "Every service": Settings,
    "Web": WebSettings,
    "Transcoder": TranscoderSettings,
    "Storage node": StorageSettings,
}


def told(chapter: str) -> dict[str, str]:
    """The defaults in a chapter's table, by the settings' names."""
    text = OPERATIONS.read_text().split(f"\n### {chapter}\n")[1].split("\n#")[0]
    rows = re.findall(r"^\| `TRITONTUBE_([A-Z_]+)` \| (.*?) ?\| .+ \|$", text, re.MULTILINE)
    return {name.lower(): default for name, default in rows}


def own(kind: type[Settings]) -> dict[str, str]:
    """The defaults of those settings that not every service has, in the document's words."""
    inherited = Settings.model_fields if kind is not Settings else {}
    fields = {name: field for name, field in kind.model_fields.items() if name not in inherited}
    return {name: in_words(name, field.default) for name, field in fields.items()}


def in_words(name: str, default: object) -> str:
    if default in {None, (), PydanticUndefined}:
        return ""
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, int | float):
        return in_bytes(default) if re.search(r"_bytes(_per_s)?$", name) else f"{default:.10g}"
    return f"`{','.join(default) if isinstance(default, tuple) else default}`"


def in_bytes(number: float) -> str:
    return f"{number / GIB:g} GiB" if number >= GIB else f"{number / MIB:g} MiB"


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_setting_is_in_its_table_with_its_default(chapter: str):
    assert told(chapter) == own(CHAPTERS[chapter])
