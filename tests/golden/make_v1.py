"""Wrote the samples and results of schema version 1: run it with the code of commit 0ad97ce (see SOURCES.md)."""

from pathlib import Path

import numpy as np

import legstat as ls

home = Path(__file__).parent / "v1"
home.mkdir(exist_ok=True)
gamma = np.zeros((6, 6))
gamma[1:3, 2:5] = 1.0
gamma[4, 0] = -2.0
image = np.linspace(0.2, 0.8, 144).reshape(1, 12, 12)
f = ls.simulate.logistic(gamma)
rgb = np.stack(
    [np.linspace(0.2, 0.7, 144).reshape(12, 12), np.full((12, 12), 0.5), np.linspace(0.8, 0.3, 144).reshape(12, 12)]
)


def score(x):  # a plain function
    return (x * np.linspace(0, 1, 144).reshape(12, 12)).mean(axis=(1, 2, 3)) + (x[:, 0, 2:5, 3:9] ** 2).mean(
        axis=(1, 2)
    )


samples = {
    "shared": ls.query(f, image, ls.StructuredGaussian(grid=(6, 6), scale=0.05), n_queries=801, rng=0, progress=False),
    "paper_separate": ls.query(
        score,
        rgb,
        ls.StructuredGaussian(grid=(6, 6), scale=0.02, channels="separate"),
        n_queries=1201,
        rng=1,
        conventions="paper",
        progress=False,
    ),
    "joint": ls.query(
        score,
        rgb,
        ls.StructuredGaussian(grid=(6, 6), scale=0.05, channels="joint"),
        n_queries=1001,
        rng=2,
        progress=False,
    ),
    "blend_noise": ls.query(
        score,
        rgb,
        ls.StructuredGaussian(grid=(6, 6), scale=0.25),
        perturbation=ls.Blend("noise", at=0.5),
        n_queries=802,
        rng=3,
        progress=False,
    ),
    "upstream": ls.query(
        score,
        rgb,
        ls.StructuredGaussian(grid=(6, 6), scale=0.02, channels="separate"),
        n_queries=1201,
        rng=10,
        conventions="upstream",
        progress=False,
    ),
    "isotropic_mean": ls.query(
        score,
        rgb,
        ls.IsotropicGaussian(grid=(6, 6), scale=0.2),
        perturbation=ls.Blend("mean", at=0.4),
        n_queries=803,
        rng=4,
        progress=False,
    ),
    "until": ls.query(
        score,
        rgb,
        ls.StructuredGaussian(grid=(6, 6), scale=0.05),
        n_queries=4000,
        until=ls.HalfWidth(0.02),
        rng=5,
        progress=False,
    ),
}
S = ls.IsotropicGaussian(grid=(6, 6), scale=0.1).covariance_matrix() * 1.0 + 0.002
samples["general"] = ls.query(
    score, rgb, ls.GaussianDesign(grid=(6, 6), covariance=S), n_queries=801, rng=6, progress=False
)
z = ls.StructuredGaussian(grid=(6, 6), scale=0.05)
rng = np.random.default_rng(0)
zz = np.concatenate([z.draw((1, 2), 0, j, 1) for j in range(12)]).reshape(-1, 6, 6)
samples["from_arrays"] = ls.QuerySample.from_arrays(
    zz, (zz * gamma).sum((1, 2)) + 0.1 * rng.standard_normal(len(zz)), z
)
d = ls.StructuredGaussian(grid=(6, 6), scale=0.05)
samples["merged"] = ls.query(f, image, d, n_queries=301, rng=7, progress=False).merge(
    ls.query(f, image, d, n_queries=401, rng=8, progress=False)
)
calls = 0


def breaks(x):
    global calls
    calls += len(x)
    if calls > 500:
        raise RuntimeError("enough")
    return score(x)


breaks.fingerprint = score.fingerprint = "score"
try:
    ls.query(
        breaks,
        rgb,
        ls.StructuredGaussian(grid=(6, 6), scale=0.02, channels="separate"),
        n_queries=1501,
        rng=9,
        batch_size=16,
        progress=False,
    )
except ls.QueryError as e:
    samples["stopped"] = e.sample
expected = {}
for name, s in samples.items():
    s.save(home / f"sample_{name}.npz")
    expected[f"{name}.responses"] = s.responses
    expected[f"{name}.draws"] = s.draws()[:7]
    if name == "stopped":
        continue
    leg = ls.LEG(s).fit()
    tv = ls.LEGTV(s).fit(L_ratio=0.1)
    expected[f"{name}.leg"] = leg.params
    expected[f"{name}.legtv"] = tv.params
    if leg.has_intervals:
        expected[f"{name}.conf_int"] = leg.conf_int()
    if name in ("shared", "general"):
        leg.save(home / f"leg_{name}.npz")
        tv.save(home / f"legtv_{name}.npz")
np.savez_compressed(home / "expected.npz", **expected)
