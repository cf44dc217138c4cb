"""Records: what an explanation writes down, so that anybody with the same files can repeat and check it."""

from legstat.record.reopening import Check
from legstat.record.verification import Verification, verify
from legstat.record.writing import array_sha256, make_record, path_arrays, read_record, write_record

__all__ = [
    "Check",
    "Verification",
    "array_sha256",
    "make_record",
    "path_arrays",
    "read_record",
    "verify",
    "write_record",
]
