"""Records: what an explanation writes down, so that anybody with the same files can repeat and check it.

Estimates nothing by itself: what is compared comes from the stages that made it.
"""

from legstat._core.digests import array_sha256
from legstat.record.folder import FILES, SavedPath, keep_sample, prepare, save_run
from legstat.record.numbers import Check, path_arrays
from legstat.record.verification import Verification, verify
from legstat.record.writing import make_record, read_record, write_record

__all__ = [
    "FILES",
    "Check",
    "SavedPath",
    "Verification",
    "array_sha256",
    "keep_sample",
    "make_record",
    "path_arrays",
    "prepare",
    "read_record",
    "save_run",
    "verify",
    "write_record",
]
