"""What importing the package costs, and what happens without its optional packages."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from legstat.data import digits_model_path

HEAVY = ["torch", "onnxruntime", "onnx", "cvxpy", "highspy", "matplotlib", "statsmodels", "pandas", "xarray", "joblib"]
# two thirds of what the import once cost: `import scipy` loads its parts when they are first used
HEAVY += [f"scipy.{part}" for part in ("fft", "linalg", "ndimage", "optimize", "sparse", "special", "stats")]
# optional package -> extra that brings it
OPTIONAL = {"torch": "torch", "onnxruntime": "onnx", "onnx": "onnx", "pylmcf": "fast", "urllib3": "http"}
OPTIONAL |= {"xarray": "xarray"}

HIDE = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in HIDDEN:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

HIDDEN = %r
sys.meta_path.insert(0, Hidden())
"""


def run(code: str) -> str:
    """What a fresh interpreter prints; warnings are errors there too."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_loads_no_heavy_package():
    loaded = run(f"import sys, legstat; print(sorted(set({HEAVY!r}) & set(sys.modules)))")
    assert loaded == "[]"


def test_the_command_line_loads_none_either():
    assert run(f"import sys, legstat.cli; print(sorted(set({HEAVY!r}) & set(sys.modules)))") == "[]"


def test_public_names_resolve_without_heavy_packages():
    # reading a name must not pull in a package either: only calling it may
    names = "import sys, legstat; [getattr(legstat, name) for name in legstat.__all__]"
    assert run(f"{names}; print(sorted(set({HEAVY!r}) & set(sys.modules)))") == "[]"


def test_import_time_is_reported(record_property):
    code = "import time; t = time.perf_counter(); import legstat; print(time.perf_counter() - t)"
    seconds = float(run(code))
    record_property("import_seconds", seconds)  # reported (junit, -rA), not bounded: machines differ
    assert seconds > 0


@pytest.mark.parametrize("package", OPTIONAL)
def test_import_works_without(package):
    assert run(HIDE % [package] + "import legstat; print('ok')") == "ok"


def test_onnx_response_names_the_extra():
    code = (
        HIDE % ["onnxruntime"]
        + f"""
import legstat
try:
    legstat.onnx_response({str(digits_model_path())!r})
except legstat.BackendUnavailableError as error:
    print(error)
"""
    )
    assert "pip install 'legstat[onnx]'" in run(code)


def test_torch_response_names_the_extra():
    code = (
        HIDE % ["torch"]
        + """
import legstat
try:
    legstat.torch_response(lambda x: x)
except legstat.BackendUnavailableError as error:
    print(error)
"""
    )
    assert "pip install 'legstat[torch]'" in run(code)


@pytest.mark.parametrize("package", OPTIONAL)
def test_optional_packages_are_tested_here(package):
    # a suite that skips a whole backend looks green: the test environment must have all of them
    assert importlib.util.find_spec(package) is not None
