"""The catalogue of videos, their uploads, plans and tasks, in etcd."""

from services.shared.catalog.starts import PLAN, Starts
from services.shared.catalog.verifications import VERIFY, OpenVerification, Verifications, wanted_ops
from services.shared.catalog.videos import Catalog, now_ms
from services.shared.catalog.work import Claim, WorkBook

__all__ = [
    "PLAN",
    "VERIFY",
    "Catalog",
    "Claim",
    "OpenVerification",
    "Starts",
    "Verifications",
    "WorkBook",
    "now_ms",
    "wanted_ops",
]
