"""The check of a record: the experiment repeated from its key, every number compared."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from legstat._core.digests import array_sha256, file_sha256
from legstat._core.notebooks import Rich
from legstat._core.typing import JSON, AnyArray, FloatArray
from legstat.estimators.found_regions import find_regions
from legstat.estimators.leg import LEG
from legstat.estimators.legtv import LEGTV
from legstat.record.experiment import carry_out
from legstat.record.numbers import Check, compare, numbers
from legstat.record.reopening import find_file, reopen
from legstat.record.writing import environment, read_record
from legstat.responses.base import Response
from legstat.responses.function import as_response
from legstat.responses.transport import Transport
from legstat.samples.sample import QuerySample


@dataclass(frozen=True)
class Verification(Rich):
    """What `verify` found.

    Attributes
    ----------
    record : str
        The record's file.
    inputs : tuple of Check
        Hashes of model and picture. Where one differs, nothing was evaluated.
    results : tuple of Check
        Every number.
    environment : tuple of str
        Versions that differ: no fault by itself, but where to look if a number differs.
    files : tuple of Check
        The files beside the record: whether they are those that it was written with.

    Examples
    --------
    >>> checks = (Check("f_x0", True, "1.5", "1.5"), Check("legtv.L", False, "0.25", "0.5"))
    >>> print(Verification("record.json", (), checks, ()).as_text())
    same    f_x0
    DIFFERS legtv.L: 0.25 in the record, 0.5 now
    DIFFERENT: 1 of 2 differ.
    """

    record: str
    inputs: tuple[Check, ...]
    results: tuple[Check, ...]
    environment: tuple[str, ...]
    files: tuple[Check, ...] = ()

    @property
    def checks(self) -> tuple[Check, ...]:
        """Inputs, files and results."""
        return self.inputs + self.files + self.results

    @property
    def passed(self) -> bool:
        """Whether everything was repeated, every bit is the same, and the files belong to the record."""
        return bool(self.results) and all(check.same for check in self.checks)

    def as_text(self) -> str:
        """One line for each number, then the verdict."""
        lines = [f"{'same' if c.same else 'DIFFERS':8}{c.name}" + _difference(c) for c in self.checks]
        lines += [f"{'note':8}{text}" for text in self.environment]
        wrong = sum(not check.same for check in self.checks)
        if not self.results:
            verdict = "NOT REPEATED: the inputs are not those of the record; nothing was evaluated."
        elif wrong:
            verdict = f"DIFFERENT: {wrong} of {len(self.checks)} differ."
        else:
            verdict = f"VERIFIED: all {len(self.results)} numbers are the same, bit for bit."
        return "\n".join([*lines, verdict])

    def __repr__(self) -> str:
        return f"<Verification {self.as_text().splitlines()[-1]}>"

    def to_dict(self) -> JSON:
        """The same as JSON."""
        return {
            "record": self.record,
            "passed": self.passed,
            "inputs": [vars(check) for check in self.inputs],
            "files": [vars(check) for check in self.files],
            "results": [vars(check) for check in self.results],
            "environment": list(self.environment),
        }


def verify(
    path: str | Path,
    *,
    f: Response | Callable[[AnyArray], AnyArray] | None = None,
    model: str | Path | None = None,
    picture: str | Path | None = None,
    constants: Mapping[str, AnyArray | float | str | Path] | None = None,
    url: str | None = None,
    transport: Transport | None = None,
    progress: bool = True,
) -> Verification:
    """Repeat an explanation from its record and compare every number, bit for bit.

    Parameters
    ----------
    path : str or Path
        The record.json.
    f : Response or callable, optional
        The black box, where it was neither an ONNX file nor an endpoint; it must be the recorded one.
    model, picture : str or Path, optional
        The files, where they are no longer at the recorded path nor beside the record.
    constants : mapping of str to ndarray or float or path, optional
        Values of the model's other inputs, where they were too many for the record and their files are gone.
    url : str, optional
        Address of the endpoint that may be asked: the recorded one, or nothing is sent. Needed with headers.
    transport : Transport, optional
        How to reach it, headers included; a record holds none.
    progress : bool, default True
        Show progress bars if the output is a terminal.

    Returns
    -------
    Verification
        What is the same and what is not. Where model or picture are not those of the record, nothing is evaluated.

    Raises
    ------
    ValueError
        If the record cannot be read, a file that it needs is missing, or the response cannot be built from a record; if
        it is of an endpoint at another address than `url`, or headers come without one.
    ConnectionError
        If it was an endpoint, and that does not answer.

    Notes
    -----
    Spends as many model evaluations as the run did. Bits are promised on one machine with one set of versions; an
    endpoint may run on another one today. What its network is cannot be seen from here: equal numbers say that it
    answers as it did.

    Examples
    --------
    >>> import tempfile, numpy as np, legstat as ls
    >>> f = ls.simulate.linear(np.eye(4))
    >>> found = ls.explain(f, np.full((1, 4, 4), 0.5), perturbation=ls.Additive(), n_queries=100, rng=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = found.save(folder)
    ...     verify(files[-1], f=f).passed
    True
    """
    record, home = read_record(path), Path(path).resolve().parent
    response: Response | None
    checks: list[Check] = []
    if f is not None:
        response = as_response(f).resolved(record["response"])
    else:
        response, check = reopen(record, home, model=model, constants=constants, url=url, transport=transport)
        checks.append(check)
    image: FloatArray | None = None
    if response is not None:
        image, more = _image_of(record, home, response, picture)
        checks += more
    files, notes = tuple(_files(record, home)), tuple(_notes(record))
    if response is None or image is None or not all(check.same for check in checks):
        return Verification(str(path), tuple(checks), (), notes, files)
    sample = carry_out(record["experiment"], home, response, image, progress=progress)
    results = compare(record["results"], _estimated(record["estimators"], sample, progress))
    if not all(check.same for check in results):
        notes += tuple(_distance(home, sample))
    return Verification(str(path), tuple(checks), tuple(results), notes, files)


def _files(record: JSON, home: Path) -> Iterator[Check]:
    """The files that lie beside the record, against it; those that do not are missed by what needs them.

    Records of form 1 list no files: there the arrays are compared with the results.
    """
    for name, then in record.get("files", {}).items():
        if (home / name).is_file():
            now = file_sha256(home / name)
            yield Check(f"file {name}", now == then, then, now)
    if "files" not in record:
        for name, entry in record["results"].items():
            if (file := entry.get("file")) is not None and (home / file).is_file():
                now = _sha256_in(home / file, entry["array"])
                yield Check(f"{name} in {file}", now == entry["sha256"], entry["sha256"], now)


def _sha256_in(file: Path, name: str) -> str:
    try:
        with np.load(file, allow_pickle=False) as archive:
            return array_sha256(archive[name])
    except (OSError, ValueError, LookupError, zipfile.BadZipFile) as error:
        return f"no such array ({error})"


def _image_of(
    record: JSON, home: Path, response: Response, picture: str | Path | None
) -> tuple[FloatArray, list[Check]]:
    """The recorded picture, from its file where it had one, else from sample.npz."""
    then, checks = record["inputs"]["picture"], []
    if then["file"] is None and picture is None:
        image = QuerySample.load(find_file("sample.npz", None, None, home, "sample.npz")).image
    else:
        file = find_file("picture", picture, record["provenance"]["picture_path"], home, then["file"])
        now = file_sha256(file)
        if then["sha256"] is not None:
            checks.append(Check("picture file", now == then["sha256"], then["sha256"], now))
        image = response.load_image(file)
    now = array_sha256(image)
    return image, [*checks, Check("picture", now == then["array_sha256"], then["array_sha256"], now)]


def _estimated(how: JSON, sample: QuerySample, progress: bool) -> JSON:
    """The numbers of the explanation by the recorded choices."""
    own = sample.conventions == "default"  # other conventions imply the moments and take no word about them
    leg = LEG(sample, moments=how["leg"]["moments"] if own else None).fit()
    # levels were never refitted before form 3
    relaxed = how["legtv"].get("relaxed", False)
    estimator = LEGTV(sample, moments=how["legtv"]["moments"] if own else None, relaxed=relaxed)
    # the engine is left to the rule that chose it then: it may have taken another one for a fold
    path = estimator.fit_path(selection=how["legtv"]["selection"], progress=progress)
    regions = None
    if how.get("regions") is not None:
        regions = find_regions(sample, how["choice"], relaxed=relaxed)
    return numbers(sample, leg, path, path.select(**how["choice"]), regions)


def _difference(check: Check) -> str:
    return "" if check.same else f": {check.then} in the record, {check.now} now"


def _distance(home: Path, now: QuerySample) -> Iterator[str]:
    """How far the responses are from the saved ones, where these lie beside the record."""
    try:
        then = QuerySample.load(home / "sample.npz").responses
    except (ValueError, OSError):
        return
    if then.shape == now.responses.shape:
        moved = float(np.abs(now.responses - then).max(initial=0.0))
        yield f"the responses differ by up to {moved:.3g}; their standard deviation is {then.std():.3g}"


def _notes(record: JSON) -> Iterator[str]:
    if record["response"].get("kind") == "http":
        yield "what runs behind the endpoint cannot be seen; equal numbers say that it answers as it did"
    yield from differing_environment(record["environment"])


def differing_environment(then: JSON) -> Iterator[str]:
    """Versions and platform that are others now than `environment` told then."""
    now = environment()
    for name, value in then["versions"].items():
        if now["versions"].get(name) != value:
            yield f"{name} {value} then, {now['versions'].get(name)} now"
    for name in ("python", "platform", "machine", "blas"):
        if name in then and now[name] != then[name]:  # older records know nothing of BLAS
            yield f"{name} {then[name]} then, {now[name]} now"
