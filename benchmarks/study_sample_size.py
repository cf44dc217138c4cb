"""How the error falls with n on a photograph's network, against a large-budget reference (docs/studies/sample_size.md).

MobileNetV2, golden retriever, 14 x 14 cells blended with the blurred picture, pairs. Two processes of one thread each;
a run that was stopped goes on from the study's file in FOLDER.

Run: LEGSTAT_DATA=... python benchmarks/study_sample_size.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

from pictures import DATA, network
from timing import save

import legstat as ls
from legstat.studies import SampleSizeStudy, Subject

PICTURE = "images/samples/n02099601_golden_retriever.JPEG"
N_QUERIES = (402, 1602, 6402)
ESTIMATORS = ("leg/printed", "leg/crossfit", "legtv/crossfit/bootstrap", "legtv/adaptive/heldout")


def main(folder: Path) -> None:
    """Run the study, store its cells and slopes."""
    f = network("mobilenet_v2_1.0_224", threads=1)
    image = f.load_image(DATA / PICTURE)
    subject = Subject(f, image, perturbation=ls.Blend("blur"), reference_queries=40_002, name="golden retriever")
    study = SampleSizeStudy(
        N_QUERIES, grid=(14, 14), scale=0.25, estimators=ESTIMATORS, response=subject, replicates=8, antithetic=True
    )
    folder.mkdir(parents=True, exist_ok=True)
    found = study.run(folder / "golden_retriever.sqlite3", n_jobs=2)
    print(found.summary())
    slopes = found.slopes().to_dict(orient="records")
    save("sample_size_network", found.cells().to_dict(orient="records"), slopes=slopes)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
