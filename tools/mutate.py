"""Change one thing in the code at a time and see whether a test notices: what survives is not pinned by any.

A mutant swaps an arithmetic, comparison or boolean operator, shifts a constant, drops a sign or a `not`, or returns
None. Each is written into a scratch copy of the tree and judged by the fast tests of its folder (`TESTS`, or --tests)
in a forked process of its own, in which all but legstat itself is loaded; the first failing test, or the
timeout, kills it. A survivor is either equivalent to the code (a tolerance, a speed-up, a bound never met) or stands
for a test that is missing.

Run: python tools/mutate.py legstat/inference/*.py --sample 40 --seed 1
     [--tests tests/unit/inference ...] [--timeout 120] [--first 21] [--list]
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("legstat", "tests", "tools", "docs", "README.md", "pyproject.toml", "constraints.txt")
SLOW = "not over_repeated and not unbiased and not closed_form and not biased_towards and not command_line"
SLOW += " and not structured_L_holds and not record_repeats and not traps and not cvxpy and not nonuniqueness"
SLOW += " and not drawing_again and not against_the_bootstrap and not fourth_powers"
"""Tests that repeat samples, draw them again or solve many programs: left out of those in TESTS."""
COVARIANCE = "tests/unit/inference/test_covariance.py"
CONTRASTS = "tests/unit/inference/test_contrasts.py"
RESULTS = "tests/unit/estimators/test_results.py"
POWER = "tests/unit/inference/test_power.py"
TESTS = {
    "moments": ("tests/unit/moments",),
    "inference": ("tests/unit/inference", RESULTS),
    "inference/bounds": ("tests/unit/inference/test_bounds.py", "tests/unit/inference/test_theory.py"),
    "inference/theory": ("tests/unit/inference/test_theory.py", "tests/unit/inference/test_bounds.py"),
    "inference/needed": (POWER,),
    "inference/power": (POWER,),
    "inference/sequential": ("tests/unit/inference/test_sequential.py",),
    "inference/cells": (COVARIANCE, RESULTS),
    "inference/contrasts": (CONTRASTS, COVARIANCE),
    "inference/covariance": (COVARIANCE, CONTRASTS, POWER),
    "inference/estimates": (CONTRASTS, COVARIANCE, RESULTS),
    "inference/intervals": ("tests/unit/inference/test_intervals.py", CONTRASTS, COVARIANCE),
    "inference/multiplicity": (COVARIANCE, CONTRASTS),
    "solvers/programs": ("tests/unit/solvers/test_programs.py", "tests/unit/solvers/test_scale.py"),
    "solvers/path": ("tests/unit/solvers/test_path.py",),
    "solvers/session": ("tests/unit/solvers/test_engines.py", "tests/unit/solvers/test_selection.py"),
}
"""The fewest fast tests that exercise a folder or file of legstat, without those that SLOW names; tests/unit/FOLDER
where it is not here."""
SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult, ast.FloorDiv: ast.Div,
    ast.Mod: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE,
    ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn,
    ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip
NOT_CODE = ("annotation", "returns", "decorator_list", "exc", "format_spec")  # of a node: types, texts of errors


class Mutant(NamedTuple):
    """One change: where, in words, and the whole changed source."""

    path: Path
    line: int
    change: str
    source: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.change}"


def nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes that compute something, in order; no annotations, no texts of errors, no representations."""
    yield tree
    for name, value in ast.iter_fields(tree):
        if name in NOT_CODE or (isinstance(tree, ast.FunctionDef) and tree.name == "__repr__"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from nodes(child)


def changes(node: ast.AST) -> list[ast.AST]:
    """The node's mutations, as nodes to stand in its place."""
    if isinstance(node, ast.BinOp | ast.AugAssign | ast.BoolOp) and type(node.op) in SWAPS:
        return [_with(node, op=SWAPS[type(node.op)]())]
    if isinstance(node, ast.Compare):
        return [
            _with(node, ops=[*node.ops[:k], SWAPS[type(op)](), *node.ops[k + 1 :]]) for k, op in enumerate(node.ops)
        ]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        return [node.operand]
    if isinstance(node, ast.Return) and node.value is not None:
        return [_with(node, value=ast.Constant(None))]
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        return [ast.Constant(not node.value)]
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        value = node.value
        return [ast.Constant(value + 1 if isinstance(value, int) else 2.0 * value or 1.0)]
    return []


def _with(node: ast.AST, **fields: object) -> ast.AST:
    other = copy.copy(node)
    for name, value in fields.items():
        setattr(other, name, value)
    return other


def mutants(path: Path) -> list[Mutant]:
    """All mutants of a file; `path` relative to the root."""
    tree = ast.parse((ROOT / path).read_text())
    found = []
    for node in list(nodes(tree)):
        original = dict(vars(node))
        for changed in changes(node):
            before = ast.unparse(node)
            after = ast.unparse(changed)
            # the node itself turns into its mutation, and back again
            node.__class__, kind = changed.__class__, node.__class__
            vars(node).update(vars(changed))
            source = ast.unparse(tree)
            node.__class__ = kind
            vars(node).clear()
            vars(node).update(original)
            line = getattr(node, "lineno", 0)
            found.append(Mutant(path, line, f"{before}  ->  {after}".replace("\n", " "), source))
    return found


def tests_of(path: Path) -> tuple[str, ...]:
    """Fast tests of the file of legstat, or else of the innermost folder it lies in that has some of its own."""
    for place in (path.with_suffix(""), *path.parents):
        tests = TESTS.get(place.relative_to("legstat").as_posix())
        if tests is not None:
            return (*tests, "-k", SLOW)
        if len(place.parts) == 2:
            break
    return (f"tests/unit/{path.parts[1]}",)


def likeliest(path: Path) -> tuple[str, ...]:
    """The file of tests that carries the name of this one, where there is one: it runs first."""
    named = Path("tests", "unit", path.parts[1], f"test_{path.stem}.py")
    return (str(named),) if (ROOT / named).exists() else ()


def preload() -> None:
    """Load pytest and all that legstat loads, once for all forks, and forget legstat itself."""
    import pytest  # noqa: F401

    sys.path.insert(0, str(ROOT))
    import legstat  # noqa: F401

    sys.path.pop(0)
    for name in [name for name in sys.modules if name.split(".")[0] == "legstat"]:
        del sys.modules[name]


def run(scratch: Path, tests: tuple[str, ...], timeout: float) -> str:
    """Run tests in a fork, in the scratch copy: "passed", "failed" or "timeout"."""
    child = os.fork()
    if not child:
        os.setsid()
        os.chdir(scratch)
        null = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(null, stream)
        sys.path.insert(0, str(scratch))
        os.environ["PYTHONPATH"] = str(scratch)
        import pytest

        code = pytest.main(["-x", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", "--no-header", *tests])
        os._exit(int(code))
    end = time.monotonic() + timeout
    try:
        while time.monotonic() < end:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return "passed" if status == 0 else "failed"
            time.sleep(0.05)
    except KeyboardInterrupt:  # it has a session of its own, which Ctrl-C does not reach
        os.killpg(child, signal.SIGKILL)
        raise
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "timeout"


def main() -> int:
    """Make the scratch copy, judge the sampled mutants, print the survivors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--sample", type=int, help="judge so many of the mutants, drawn at random")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=1, help="number in the sample to begin at, after a run cut short")
    parser.add_argument("--tests", nargs="+", help="tests to run in place of those of the file's folder")
    parser.add_argument(
        "--timeout", type=float, help="seconds a mutant may run; a minute and 8 times the unchanged code's"
    )
    parser.add_argument("--list", action="store_true", help="only list the mutants")
    given = parser.parse_args()
    files = [path.resolve().relative_to(ROOT) for path in given.files]
    found = [mutant for path in files for mutant in mutants(path)]
    chosen = found
    if given.sample is not None and given.sample < len(found):
        chosen = random.Random(given.seed).sample(found, given.sample)
    print(f"{len(found)} mutants in {len(files)} files, {len(chosen)} of them judged (seed {given.seed})", flush=True)
    if given.list:
        print("\n".join(map(str, chosen)))
        return 0
    preload()
    survivors: list[Mutant] = []
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        for name in COPIED:
            source = ROOT / name
            copied = shutil.copytree if source.is_dir() else shutil.copy2
            copied(source, scratch / name)
        limits: dict[tuple[str, ...], float] = {}
        for number, mutant in enumerate(chosen[given.first - 1 :], start=given.first):
            tests = tuple(given.tests or tests_of(mutant.path))
            if tests not in limits:
                started = time.monotonic()
                if run(scratch, tests, 3600.0) != "passed":
                    print(f"{' '.join(tests)} fail on the unchanged code")
                    return 1
                limits[tests] = given.timeout or 60.0 + 8.0 * (time.monotonic() - started)
            target = scratch / mutant.path
            kept = target.read_text()
            target.write_text(mutant.source)
            outcome = run(scratch, (*likeliest(mutant.path), *tests), limits[tests])
            target.write_text(kept)
            if outcome == "passed":
                survivors.append(mutant)
            print(f"{number:4d} {'SURVIVED' if outcome == 'passed' else outcome:8s} {mutant}", flush=True)
    judged = len(chosen) - given.first + 1
    print(f"\n{judged - len(survivors)} of {judged} noticed; {len(survivors)} survived:")
    print("\n".join(str(m) for m in sorted(survivors)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
