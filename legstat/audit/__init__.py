"""Many pictures before one black box: one unit of work each, on disk as soon as it is done, and what they say together.

Estimates no picture by itself: what is told of one comes from `explanation`, its checks from `checks`.
"""

from legstat.audit.across import Findings, findings
from legstat.audit.auditing import AuditStopped, audit
from legstat.audit.mean_maps import MeanMap, mean_maps
from legstat.audit.picture import AuditedPicture
from legstat.audit.plan import Plan, PlanError
from legstat.audit.run import AuditRun
from legstat.audit.shares import compare_groups, mean_shares, object_tests, shares_inside
from legstat.audit.verification import verify

__all__ = [
    "AuditRun",
    "AuditStopped",
    "AuditedPicture",
    "Findings",
    "MeanMap",
    "Plan",
    "PlanError",
    "audit",
    "compare_groups",
    "findings",
    "mean_maps",
    "mean_shares",
    "object_tests",
    "shares_inside",
    "verify",
]
