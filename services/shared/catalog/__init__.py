"""The catalogue of videos, their uploads, plans and tasks, in etcd."""

from services.shared.catalog.originals import NOT_KEPT, Originals, check_original, dispensable_ops
from services.shared.catalog.restorations import Restorations, is_left_out, left_out_ops, restored_ops
from services.shared.catalog.resumables import Reception, Resumables, check_offset
from services.shared.catalog.starts import PLAN, Starts
from services.shared.catalog.verifications import VERIFY, OpenVerification, Verifications, wanted_ops
from services.shared.catalog.videos import Catalog, Measured, now_ms
from services.shared.catalog.work import NO_ERRAND, Claim, Errand, WorkBook

__all__ = [
    "NOT_KEPT",
    "NO_ERRAND",
    "PLAN",
    "VERIFY",
    "Catalog",
    "Claim",
    "Errand",
    "Measured",
    "OpenVerification",
    "Originals",
    "Reception",
    "Restorations",
    "Resumables",
    "Starts",
    "Verifications",
    "WorkBook",
    "check_offset",
    "check_original",
    "dispensable_ops",
    "is_left_out",
    "left_out_ops",
    "now_ms",
    "restored_ops",
    "wanted_ops",
]
