"""The catalogue of videos, their uploads, plans and tasks, in etcd."""

from services.shared.catalog.videos import Catalog, now_ms
from services.shared.catalog.work import Claim, WorkBook

__all__ = ["Catalog", "Claim", "WorkBook", "now_ms"]
