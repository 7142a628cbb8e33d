"""The catalogue of videos, their uploads, plans and tasks, in etcd."""

from services.shared.catalog.originals import NOT_KEPT, Originals, check_original, dispensable_ops
from services.shared.catalog.resumables import Reception, Resumables
from services.shared.catalog.starts import PLAN, Starts
from services.shared.catalog.verifications import VERIFY, OpenVerification, Verifications, wanted_ops
from services.shared.catalog.videos import Catalog, now_ms
from services.shared.catalog.work import Claim, WorkBook

__all__ = [
    "NOT_KEPT",
    "PLAN",
    "VERIFY",
    "Catalog",
    "Claim",
    "OpenVerification",
    "Originals",
    "Reception",
    "Resumables",
    "Starts",
    "Verifications",
    "WorkBook",
    "check_original",
    "dispensable_ops",
    "now_ms",
    "wanted_ops",
]
