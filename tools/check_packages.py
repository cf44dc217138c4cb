"""Build wheel and sdist, install them into clean environments, and try what a stranger would.

    python tools/check_packages.py [--only core lowest ...] [--python 3.13] [--torch 2.13.0+cpu] [--tests] [--keep DIR]

For each environment: the wheel is installed with its extras, dependencies as new or as old as pyproject.toml allows,
and nothing of the checkout beside it; `legstat --help` and a user's typed script run there, mypy --strict checks that
script from outside, and each extra does what it is for. With --tests the project's tests run against the installed
package, from a copy that has no legstat beside it.

Only the extras torch and gradients may bring torch. They are tried where --torch names a build that is at hand without
CUDA: what Linux gets by default is gigabytes of CUDA. "lowest" and "newest" have all extras that can be tried.

Needs uv (`pip install uv`); versions that pip would take from elsewhere, uv takes from UV_FIND_LINKS and its like.
"""

from __future__ import annotations

import argparse
import email
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
IMAGE = "import numpy as np, legstat as ls\nimage = np.linspace(0.2, 0.8, 64).reshape(1, 8, 8)\n"
FOUND = (
    IMAGE
    + """
f = ls.as_response(ls.simulate.linear(np.eye(4)))
how = {"perturbation": ls.Additive(), "n_queries": 402, "rng": 0, "progress": False}
found = ls.explain(f, image, grid=(4, 4), **how)
"""
)
MODULE = (
    IMAGE
    + """
import torch
module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))
f = ls.torch_response(module, target=1)
"""
)
EXTRAS = {
    "onnx": IMAGE + "from legstat.data import digits_model_path\n"
    "print(ls.onnx_response(digits_model_path()).bind(image)[1])",
    "http": "import legstat as ls\n"
    "told = ls.Transport(retries=0, timeout=1.0)\n"
    "try: ls.http_response('http://127.0.0.1:9', 'digits', transport=told)\n"
    "except ConnectionError as error: print(error)",
    "fast": FOUND + "assert ls.LEGTV(found.sample).fit(L_ratio=0.3, engine='network').certificate.passed",
    "compare": FOUND + "ls.compare(['kernelshap', 'lime_superpixels', 'shapley_pairs'], f, [image], n_queries=[300], "
    "metrics=['deletion'], progress=False)",
    "audit": "import pandas as pd, legstat as ls\nfrom PIL import Image\n"
    "Image.effect_noise((8, 8), 50.0).convert('RGB').save('a.png')\n"
    "pd.DataFrame({'file': ['a.png']}).to_parquet('a.parquet')\n"
    "how = {'n_queries': 250, 'steps': 0, 'L_ratio': 0.1, 'checks': False, 'placebos': 0}\n"
    "plan = ls.audit.Plan(places=('a.parquet',), model={'model': 'mean'}, **how)\n"
    "f = ls.as_response(lambda images: images.mean(axis=(1, 2, 3)))\n"
    "assert len(ls.audit.audit(f, plan, 'run', progress=False)) == 1",
    "cluster": "from dask.distributed import Client\nimport joblib, legstat as ls\n"
    "if __name__ == '__main__':\n"
    "    study = ls.studies.SampleSizeStudy(n_queries=[300], grid=[(4, 4)], sparsity=[12], estimators=['leg/crossfit'],"
    " replicates=2)\n"
    "    with Client(n_workers=2, threads_per_worker=1, dashboard_address=None), joblib.parallel_config('dask'):\n"
    "        print(study.run(n_jobs=2, progress=False))",
    "xarray": FOUND + "assert found.path.to_xarray().estimate.dims == ('L', 'channel', 'row', 'column')",
    "torch": MODULE + "print(f.bind(image)[1])",
    "gradients": MODULE + "print(ls.baselines.mask(f, image, gradient='exact', rng=0))\n"
    "ls.compare(['integrated_gradients'], f, [image], n_queries=[60], metrics=['deletion'], progress=False)",
    "docs": "import subprocess, sys\nfrom pathlib import Path\n"
    "names = ['myst_parser', 'numpydoc', 'sphinx.ext.autodoc', 'sphinx_copybutton', 'sphinx-mathjax-offline']\n"
    "Path('pages').mkdir(exist_ok=True)\n"  # the environment beside it has pages of its own
    "Path('pages/conf.py').write_text(f'extensions = {names}\\nhtml_theme = \"pydata_sphinx_theme\"\\n')\n"
    "Path('pages/index.md').write_text('# Maps\\n\\n```{eval-rst}\\n.. autoclass:: legstat.LEGResults\\n```\\n')\n"
    "subprocess.run([sys.executable, '-m', 'sphinx', '-q', 'pages', 'html'], check=True)",
}
"""Extras for users and writers, and a script that asks for what they bring."""
NEED_TORCH = ("torch", "gradients")
UNTRIED = ("onnx-gpu", "test")
"""Extras that are not tried: one needs a device and another's package; the other is what the tests run in."""
TOOLS = ("pytest", "pytest-randomly", "pytest-xdist", "hypothesis", "scikit-learn", "psutil", "scikit-image",
         "jsonschema")  # fmt: skip
TESTED = ("tests/unit", "tests/properties", "tests/bad_input")
MOST_MIB = 2.0
"""A wheel above this has something in it that nobody meant to ship."""
SCRIPT = """
import numpy as np
import legstat as ls

found: ls.Explanation = ls.explain(
    lambda images: images.mean(axis=(1, 2, 3)), np.linspace(0.2, 0.8, 64).reshape(1, 8, 8), n_queries=402, rng=0,
    progress=False,
)
low: float = float(found.leg.conf_int(level=0.95)[:, 0].min())
certified: bool = found.tv.certificate.passed
print(found.summary().as_text().splitlines()[0].strip(), certified, low < 0.1)
"""
SAID = "Explanation by LEG and LEG-TV True True\n"
"""What it prints, and nothing else."""


def main() -> int:
    """Build, look inside, and go through the environments; 1 if anything is wrong."""
    names = ["core", *EXTRAS, "lowest", "newest"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=names, choices=names)
    parser.add_argument("--python", default=sys.executable, help="interpreter of the environments, or its version")
    parser.add_argument("--torch", help="version of a build of torch without CUDA")
    parser.add_argument("--tests", action="store_true", help="run the tests against the installed package too")
    parser.add_argument("--keep", type=Path, help="leave the environments in this folder")
    asked = parser.parse_args()
    if shutil.which("uv") is None:
        print("uv is missing: pip install uv")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        home = (asked.keep or Path(folder)).resolve()
        home.mkdir(parents=True, exist_ok=True)
        run(["uv", "build", "--quiet", "--python", asked.python, "--out-dir", home / "dist", ROOT])
        wheel, sdist = next(home.glob("dist/*.whl")), next(home.glob("dist/*.tar.gz"))
        faults = inspected(wheel, sdist)
        for name in asked.only:
            if name in NEED_TORCH and asked.torch is None:
                print(f"{name}: left out without --torch")
                continue
            try:
                tried(home / name, wheel, name, asked.python, asked.torch, tests=asked.tests)
            except subprocess.CalledProcessError as error:
                faults.append(f"{name}: {' '.join(map(str, error.cmd[:6]))} ... ended with {error.returncode}")
                print(error.stdout or "", error.stderr or "", sep="\n")
            print(f"{name}: {'FAILED' if faults and faults[-1].startswith(name) else 'passed'}", flush=True)
    print("\n".join(faults) or "all passed")
    return 1 if faults else 0


def inspected(wheel: Path, sdist: Path) -> list[str]:
    """What is wrong with the files themselves."""
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
        home = next(name.split("/")[0] for name in names if ".dist-info/" in name)
        about = email.message_from_bytes(packed.read(f"{home}/METADATA"))
        commands = packed.read(f"{home}/entry_points.txt").decode()
    size = wheel.stat().st_size / 2**20
    print(f"{wheel.name}: {size:.2f} MiB, {len(names)} files; {sdist.name}: {sdist.stat().st_size / 2**20:.2f} MiB")
    faults = [f"wheel: {size:.1f} MiB"] if size > MOST_MIB else []
    faults += [f"wheel has {name}" for name in names if name.split("/")[0] not in ("legstat", home)]
    sources = {path for path in (ROOT / "legstat").rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    inside = {name for name in names if name.startswith("legstat/")}
    lacking = sorted({path.relative_to(ROOT).as_posix() for path in sources} - inside)
    faults += [f"wheel lacks {name}" for name in lacking]
    licences = {f"{home}/licenses/{name}" for name in about.get_all("License-File", [])}
    faults += [f"wheel lacks {name}" for name in licences - set(names)]
    faults += [] if len(licences) == 2 else [f"licences: {sorted(licences)}"]  # the code's, the data's
    faults += [] if "legstat = legstat.cli:main" in commands else [f"commands: {commands}"]
    for one in about.get_all("Requires-Dist", []):
        brought, _, extra = one.partition("; extra == ")
        if brought.startswith(("torch", "nvidia", "onnx")) and extra.strip("'\"") not in (
            "onnx",
            "onnx-gpu",
            *NEED_TORCH,
        ):
            faults.append(f"{extra or 'the core'} requires {brought}")
    with tarfile.open(sdist) as unpacked:
        there = {name.split("/", 1)[-1] for name in unpacked.getnames()}
    wanted = ("tests/conftest.py", "README.md", "LICENSE", "constraints.txt", "Makefile", "docs/conf.py")
    return faults + [f"sdist lacks {one}" for one in (*wanted, *sorted(inside)) if one not in there]


def tried(home: Path, wheel: Path, name: str, python: str, torch: str | None, *, tests: bool) -> None:
    """Install, and run what a user would; CalledProcessError where that fails."""
    some = () if torch is None else NEED_TORCH
    every = tuple(extra for extra in EXTRAS if extra not in NEED_TORCH) + some
    extras = {"core": (), "lowest": every, "newest": every}.get(name, (name,))
    fresh(home, python)
    interpreter = home / "bin" / "python"
    install = ["uv", "pip", "install", "--quiet", "--python", interpreter]
    pins = home / "pins.txt"
    pins.write_text("" if torch is None else f"torch=={torch}\n", encoding="utf-8")
    # of what legstat requires itself: named beside it, since lower ones of what these require were never promised
    lowest = ["--resolution", "lowest-direct", *required(wheel, extras)] if name == "lowest" else []
    named = f"legstat[{','.join(extras)}] @ {wheel.as_uri()}" if extras else f"legstat @ {wheel.as_uri()}"
    # first as a user installs it: no tool of ours may decide a version
    run([*install, "--constraint", pins, *lowest, named])
    kept = run(["uv", "pip", "freeze", "--python", interpreter])
    (home / "frozen.txt").write_text(kept, encoding="utf-8")
    heavy = [one for one in kept.splitlines() if one.startswith(("torch", "nvidia", "triton"))]
    if [one for one in heavy if not (set(extras) & set(NEED_TORCH) and one == f"torch=={torch}")]:
        raise subprocess.CalledProcessError(1, ["resolution"], output=f"pulls {heavy}")
    script = home / "user.py"
    script.write_text(SCRIPT, encoding="utf-8")
    said = run([interpreter, "-W", "error", script], cwd=home)
    if said != SAID:  # a banner of a library, say: it would be in what --json prints too
        raise subprocess.CalledProcessError(1, ["user.py"], output=said)
    run([home / "bin" / "legstat", "--help"], cwd=home)
    for extra in extras:
        entry = home / f"{extra}_entry.py"
        entry.write_text(EXTRAS[extra], encoding="utf-8")
        run([interpreter, entry], cwd=home)
    if "onnx" in extras:
        run([home / "bin" / "legstat", "demo", "--out", home / "demo"], cwd=home)
    run([*install, "mypy>=1.15"])
    run([interpreter, "-m", "mypy", "--strict", "--cache-dir", home / "mypy", script], cwd=home)
    if tests:
        prepared(home)
        run([*install, "--constraint", home / "frozen.txt", *TOOLS])
        # what is old and what is new around it need not get on without a warning
        spared = ["-W", "ignore::DeprecationWarning"] if name == "lowest" else []
        print(run([interpreter, "-m", "pytest", "-q", "-n", "2", *spared, *TESTED], cwd=home / "copy")[-200:])


def required(wheel: Path, extras: tuple[str, ...]) -> list[str]:
    """What the wheel requires, by itself and with these extras."""
    with zipfile.ZipFile(wheel) as packed:
        name = next(name for name in packed.namelist() if name.endswith(".dist-info/METADATA"))
        about = email.message_from_bytes(packed.read(name))
    parts = [one.partition("; extra == ") for one in about.get_all("Requires-Dist", [])]
    return [one for one, _, extra in parts if not extra or extra.strip("'\"") in extras]


def fresh(home: Path, python: str) -> None:
    """An environment with nothing in it."""
    run(["uv", "venv", "--quiet", "--clear", "--python", python, home])


def prepared(home: Path) -> None:
    """A copy of the tests and what they read, without the package."""
    copy = home / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for name in ("tests", "docs", "pyproject.toml", "constraints.txt", "README.md", "CONTRIBUTING.md"):
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, copy / name)


def run(command: list[str | Path], cwd: Path | None = None) -> str:
    """What a command prints; it sees no checkout."""
    surroundings = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "MYPYPATH", "VIRTUAL_ENV")}
    found = subprocess.run(
        list(map(str, command)), cwd=cwd, env=surroundings, check=True, capture_output=True, text=True
    )
    return found.stdout


if __name__ == "__main__":
    sys.exit(main())
