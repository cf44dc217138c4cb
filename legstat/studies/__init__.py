"""Monte Carlo studies: how the error of an estimator falls with the number of queries, set beside the theory.

Looks at estimators from outside; no stage knows of it.
"""

from legstat.studies.cells import Estimator
from legstat.studies.closed_form import leg_mse
from legstat.studies.results import StudyResults
from legstat.studies.sample_size import SampleSizeStudy
from legstat.studies.subjects import Subject

__all__ = ["Estimator", "SampleSizeStudy", "StudyResults", "Subject", "leg_mse"]
