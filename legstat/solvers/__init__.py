"""Linear programs of LEG-TV: the problem, our certificate, the engines, the path along L.

Free of images and models: a program goes in, a certified solution comes out.
"""

from legstat.solvers.optimum.certificate import Certificate
from legstat.solvers.path import ExactPath, exact_path
from legstat.solvers.programs.flow import FlowProgram
from legstat.solvers.programs.general import GeneralProgram
from legstat.solvers.session import ENGINES
from legstat.solvers.solution import Dual, PathInterrupted, Solution, Status, face_width
from legstat.solvers.solve import SELECTIONS, solutions_along, solve, solve_path

__all__ = [
    "ENGINES",
    "SELECTIONS",
    "Certificate",
    "Dual",
    "ExactPath",
    "FlowProgram",
    "GeneralProgram",
    "PathInterrupted",
    "Solution",
    "Status",
    "exact_path",
    "face_width",
    "solutions_along",
    "solve",
    "solve_path",
]
