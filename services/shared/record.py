"""What every stored or sent record is: frozen, and JSON."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """Base of everything that is stored or sent as JSON: frozen, keyword-only.

    Unknown fields are ignored, so that services of two versions can run side by side during an upgrade.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    def encode(self) -> bytes:
        """The record as compact JSON."""
        return self.model_dump_json().encode()
