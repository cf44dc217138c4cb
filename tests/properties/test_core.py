"""Laws that the core obeys for every grid, design, sample and budget."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import legstat as ls
from legstat.designs.design import Design
from legstat.designs.grid import Grid
from legstat.perturbations.clipped_law import ClippedLaw
from tests.helpers import Counting, naive_D, pinv, smooth

shapes = st.tuples(st.integers(1, 12), st.integers(1, 12))
small = st.tuples(st.integers(1, 5), st.integers(1, 5))
boundaries = st.sampled_from(["free", "zero"])
seeds = st.integers(0, 2**32 - 1)
ratios = st.one_of(st.just(0.0), st.floats(1e-3, 1.0))  # closer to 0 lies within the solvers' tolerances
KINDS = ("centred", "regression", "adaptive", "crossfit", "least_squares")
# a share of what the profile allows: 40 and 25 by default, ten times as many with HYPOTHESIS_PROFILE=explore
QUICK = settings(max_examples=2 * settings.default.max_examples // 5)
SLOW = settings(max_examples=settings.default.max_examples // 4)


@st.composite
def designs(draw: st.DrawFn, shape: Any = small) -> Design:
    """Any of the three designs, either boundary, scales over six orders of magnitude."""
    grid, boundary, scale = draw(shape), draw(boundaries), 10.0 ** draw(st.integers(-4, 2))
    kind = draw(st.sampled_from(["structured", "isotropic", "general"]))
    if kind == "structured":
        return ls.StructuredGaussian(grid, scale, boundary=boundary)
    if kind == "isotropic":
        return ls.IsotropicGaussian(grid, scale, boundary=boundary)
    p = grid[0] * grid[1]
    rows = np.random.default_rng(draw(seeds)).standard_normal((2 * p + 3, p))
    return ls.GaussianDesign(rows.T @ rows / len(rows) + 0.3 * np.eye(p), grid, scale, boundary=boundary)


def arrays(design: Design, seed: int, n: int, antithetic: bool) -> tuple[np.ndarray, np.ndarray]:
    """Draws of a design (in pairs or not) and a response with a linear, an even and a noisy part."""
    rng = np.random.default_rng(seed)
    p = design.grid.n_cells
    z = design.from_normals(rng.standard_normal((n, design.n_normals)))
    if antithetic:
        z = np.stack([z, -z], axis=1).reshape(-1, p)
    linear = z @ rng.standard_normal(p) / design.scale
    return z.reshape(-1, *design.grid.shape), linear + 0.3 * linear**2 + 0.2 * rng.standard_normal(len(z)) + 0.7


def sample_of(z: np.ndarray, y: np.ndarray, design: Design, antithetic: bool, f_x0: float = 0.0) -> ls.QuerySample:
    return ls.QuerySample.from_arrays(z, y, design, antithetic=antithetic, f_x0=f_x0)


# ---------------------------------------------------------------- operators


@QUICK
@given(shapes, boundaries, seeds)
def test_operators_are_those_of_the_dense_matrix(shape: tuple[int, int], boundary: Any, seed: int) -> None:
    grid, D = Grid(shape, boundary), naive_D(*shape, boundary)
    rng = np.random.default_rng(seed)
    v, e = rng.standard_normal((2, grid.n_cells)), rng.standard_normal((2, grid.n_edges))
    # dense SVD of at most 312 x 144, smallest singular value above 0.2
    np.testing.assert_allclose(grid.difference(v), v @ D.T, rtol=0, atol=1e-10)
    np.testing.assert_allclose(grid.divergence(e), e @ D, rtol=0, atol=1e-10)
    np.testing.assert_allclose(grid.pinv(e), e @ pinv(D).T, rtol=0, atol=1e-10)
    np.testing.assert_allclose(grid.pinv_transpose(v), v @ pinv(D), rtol=0, atol=1e-10)


@QUICK
@given(designs(shapes), seeds)
def test_sigma_its_inverse_and_its_root(design: Design, seed: int) -> None:
    v = np.random.default_rng(seed).standard_normal((2, design.grid.n_cells))
    # condition numbers stay below some thousands here
    np.testing.assert_allclose(design.solve(design.covariance(v)), v, rtol=0, atol=1e-9)
    R = design.root(np.eye(design.grid.n_cells)).T
    np.testing.assert_allclose(
        v @ R @ R.T / design.scale**2, design.covariance(v) / design.scale**2, rtol=0, atol=1e-10
    )
    A = design.from_normals(np.eye(design.n_normals)) / design.scale
    np.testing.assert_allclose(A.T @ A, design.covariance_matrix() / design.scale**2, rtol=0, atol=1e-10)


@QUICK
@given(shapes, seeds)
def test_pinv_of_the_free_grid_removes_the_mean_and_nothing_else(shape: tuple[int, int], seed: int) -> None:
    grid = Grid(shape)
    v = np.random.default_rng(seed).standard_normal(grid.n_cells)
    np.testing.assert_allclose(grid.pinv(grid.difference(v)), v - v.mean(), rtol=0, atol=1e-10)
    zero = Grid(shape, "zero")
    np.testing.assert_allclose(zero.pinv(zero.difference(v)), v, rtol=0, atol=1e-10)


@QUICK
@given(small, st.integers(1, 3), st.integers(1, 3), seeds)
def test_cell_means_undo_lift(shape: tuple[int, int], h: int, w: int, seed: int) -> None:
    grid, z = Grid(shape), np.random.default_rng(seed).standard_normal((2, *shape))
    lifted = grid.lift(z, shape[0] * h, shape[1] * w)
    np.testing.assert_allclose(grid.cell_means(lifted), z, rtol=0, atol=1e-14)  # means of equal numbers


# ---------------------------------------------------------------- clipping


@QUICK
@given(small, st.floats(0.01, 2.0), st.booleans(), seeds)
def test_clipping_never_adds(shape: tuple[int, int], scale: float, paired: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = np.clip(rng.uniform(-0.3, 1.3, (2, 2 * shape[0], 2 * shape[1])), 0, 1)
    design = ls.StructuredGaussian(shape, scale)
    cell_map = ls.Additive().cell_map(image, design.grid, "shared", 0)
    assert cell_map is not None
    cell_map = cell_map.odd_part() if paired else cell_map
    z = design.draw((1, seed), 0, 0).reshape(-1, 1, design.grid.n_cells)
    realised = cell_map(z)
    assert (np.abs(realised) <= np.abs(z) + 1e-12).all()
    assert (realised * z >= -1e-12).all()
    matrix = ClippedLaw(design, cell_map, 1).matrix()
    assert (np.diag(matrix) <= design.variances + 1e-12).all()
    assert np.linalg.eigvalsh(matrix)[0] > 0


# ---------------------------------------------------------------- equivariances of LEG


@SLOW
@given(designs(), seeds, st.booleans(), st.sampled_from([-3.0, 1e-6, 0.5, 1e6]), st.floats(-5, 5))
def test_score_times_a_plus_c(design: Design, seed: int, antithetic: bool, a: float, c: float) -> None:
    z, y = arrays(design, seed, 60, antithetic)
    one = sample_of(z, y, design, antithetic, f_x0=0.3)
    two = sample_of(z, a * (y + c), design, antithetic, f_x0=a * (0.3 + c))
    size = np.abs(one.moments("centred").gamma).max()
    for kind in (*KINDS, "printed"):
        # y + c rounds y in its last bits; least squares of up to 25 unknowns on 60 units
        np.testing.assert_allclose(
            two.moments(kind).gamma / a,
            one.moments(kind).gamma,
            rtol=0,
            atol=1e-9 * size,  # type: ignore[arg-type]
        )
    fits = [ls.LEG(s).fit().r2_heldout for s in (one, two)]
    assert fits[0] == pytest.approx(fits[1], abs=1e-8)


@SLOW
@given(designs(), seeds, st.booleans(), st.sampled_from([1e-3, 0.5, 40.0]))
def test_unit_of_z(design: Design, seed: int, antithetic: bool, k: float) -> None:
    z, y = arrays(design, seed, 60, antithetic)
    one = sample_of(z, y, design, antithetic)
    two = sample_of(k * z, y, design.replace(scale=k * design.scale), antithetic)
    size = np.abs(one.moments("centred").gamma).max()
    for kind in (*KINDS, "printed"):
        np.testing.assert_allclose(
            two.moments(kind).gamma * k,
            one.moments(kind).gamma,
            rtol=0,
            atol=1e-9 * size,  # type: ignore[arg-type]
        )
        left, right = two.moments(kind).variances, one.moments(kind).variances  # type: ignore[arg-type]
        if left is not None and right is not None:
            np.testing.assert_allclose(left * k**2, right, rtol=1e-6)


SYMMETRIES = {
    "upside down": lambda a: a[..., ::-1, :],
    "mirrored": lambda a: a[..., ::-1],
    "rotated": lambda a: np.rot90(a, axes=(-2, -1)),
    "transposed": lambda a: np.swapaxes(a, -2, -1),
}


@SLOW
@given(small, boundaries, seeds, st.booleans(), st.sampled_from(sorted(SYMMETRIES)), ratios)
def test_symmetries_of_the_grid(
    shape: tuple[int, int], boundary: Any, seed: int, antithetic: bool, name: str, ratio: float
) -> None:
    move = SYMMETRIES[name]
    design = ls.StructuredGaussian(shape, 0.3, boundary=boundary)
    z, y = arrays(design, seed, 60, antithetic)
    turned = design.replace(grid=move(np.empty(shape)).shape)
    one, two = sample_of(z, y, design, antithetic), sample_of(move(z), y, turned, antithetic)
    for kind in (*KINDS, "printed"):
        a, b = (s.moments(kind).gamma[0].reshape(s.design.grid.shape) for s in (one, two))  # type: ignore[arg-type]
        np.testing.assert_allclose(b, move(a), rtol=0, atol=1e-9 * (1 + np.abs(a).max()))
    left, right = (ls.LEGTV(s.moments("regression")).fit(L_ratio=ratio) for s in (one, two))
    # the closest optimum is unique: a bound on its own error is 1e-6 of the data's size
    size = np.abs(one.moments("regression").gamma).max()
    np.testing.assert_allclose(right.saliency, move(left.saliency), rtol=0, atol=1e-5 * size)
    assert pytest.approx(left.L_max, rel=1e-9) == right.L_max


# ---------------------------------------------------------------- LEG-TV


def problem(design: Design, seed: int) -> tuple[ls.LEGTV, np.ndarray, float, float]:
    """An estimator of a random b, b, the size of D^{+T} b and the total variation of LEG.

    A general Sigma on a grid of one edge can reach L = 0 by a constant alone: L_max is then rounding, and left out.
    """
    b = np.random.default_rng(seed).standard_normal(design.grid.n_cells) * design.scale
    estimator = ls.LEGTV(ls.Moments(b=b, design=design, n=10))
    size = float(np.abs(design.grid.pinv_transpose(b)).max(initial=0.0))
    assume(size == 0 or estimator.L_max > 1e-6 * size)
    return estimator, b, size, float(np.abs(design.grid.difference(design.solve(b))).sum())


@SLOW
@given(designs(), seeds, st.lists(ratios, min_size=3, max_size=3, unique=True))
def test_total_variation_falls_and_is_convex_in_L(design: Design, seed: int, three: list[float]) -> None:
    low, middle, high = sorted(three)
    assume(high - low > 1e-6)
    estimator, _, _, variation = problem(design, seed)
    D = design.grid.D
    tv = [float(np.abs(D @ estimator.fit(L_ratio=r).params).sum()) for r in (low, middle, high)]
    assert tv[0] >= tv[1] - 1e-8 * variation  # certificates allow a relative gap of 1e-8
    assert tv[1] >= tv[2] - 1e-8 * variation
    weight = (high - middle) / (high - low)
    assert tv[1] <= weight * tv[0] + (1 - weight) * tv[2] + 1e-7 * variation


@SLOW
@given(designs(), seeds, ratios)
def test_certified_feasible_and_no_worse_than_shrunken_leg(design: Design, seed: int, ratio: float) -> None:
    estimator, b, size, variation = problem(design, seed)
    result = estimator.fit(L_ratio=ratio)
    g, L = result.params, result.L
    residual = np.abs(design.grid.pinv_transpose(b - design.covariance(g))).max(initial=0.0)
    assert residual <= L + 1e-8 * size  # what certificates allow
    assert result.certificate.passed
    # (1 - t) LEG is feasible for t = L / ||D^{+T} b||, so the optimum is no larger
    t = min(1.0, L / size) if size > 0 else 1.0
    assert np.abs(design.grid.difference(g)).sum() <= (1 - t) * variation + 1e-8 * variation


@SLOW
@given(designs(), seeds, ratios, st.sampled_from([-2.0, 1e-5, 1e5]), st.sampled_from([0.1, 7.0]))
def test_units_of_legtv(design: Design, seed: int, ratio: float, a: float, k: float) -> None:
    estimator, b, size, variation = problem(design, seed)
    one = estimator.fit(L_ratio=ratio)
    scaled = design.replace(scale=k * design.scale)
    two = ls.LEGTV(ls.Moments(b=a * k * b, design=scaled, n=10)).fit(L_ratio=ratio)
    tv, other = (np.abs(design.grid.difference(g)).sum() for g in (one.params, two.params))
    assert other * k / abs(a) == pytest.approx(tv, abs=1e-7 * variation)  # two certified optima
    assert abs(a) * k * one.L == pytest.approx(two.L, rel=1e-9, abs=1e-12 * abs(a) * k * size)


# ---------------------------------------------------------------- spending


@st.composite
def experiments(draw: st.DrawFn) -> dict[str, Any]:
    """An arrangement, a budget over up to three blocks, a batch size."""
    channels = draw(st.sampled_from(["shared", "separate", "joint", "blend"]))
    return {
        "channels": "shared" if channels == "blend" else channels,
        "perturbation": ls.Blend("mean") if channels == "blend" else ls.Additive(draw(st.booleans())),
        "antithetic": draw(st.booleans()),
        "n_queries": draw(st.integers(8, 220)),
        "batch_size": draw(st.integers(1, 70)),
        "seed": draw(seeds),
    }


PICTURE = np.random.default_rng(0).uniform(0, 1, (2, 2, 3))


def spend(f: Any, given_: dict[str, Any], **more: Any) -> ls.QuerySample:
    arguments = {k: given_[k] for k in ("perturbation", "antithetic", "n_queries", "batch_size")} | more
    if "resume" not in more:
        arguments["rng"] = given_["seed"]
    design = ls.StructuredGaussian((2, 3), 0.2, channels=given_["channels"])
    return ls.query(f, PICTURE, design, progress=False, **arguments)


@QUICK
@given(experiments(), st.data())
def test_stopped_anywhere_and_resumed_is_the_same_experiment(experiment: dict[str, Any], data: st.DataObject) -> None:
    whole = spend(smooth, experiment)
    overhead = whole.ledger.x0 + whole.ledger.base
    position = data.draw(st.integers(overhead, whole.ledger.spent - 1))
    nan = data.draw(st.booleans())
    f = Counting(smooth, **{"nan_at" if nan else "raise_at": position})
    with pytest.raises(ls.QueryError) as caught:
        spend(f, experiment)
    stopped = caught.value.sample
    assert stopped.ledger.spent == f.count <= experiment["n_queries"]
    done = spend(f, experiment, resume=stopped, n_queries=experiment["n_queries"] + nan)
    assert f.count == done.ledger.spent == whole.ledger.spent + nan
    assert np.array_equal(done.responses, whole.responses)
    assert np.array_equal(done.draws(), whole.draws())


@QUICK
@given(experiments(), st.integers(1, 70))
def test_any_batch_size_gives_the_same_bits_within_the_ceiling(experiment: dict[str, Any], batch_size: int) -> None:
    f = Counting(smooth)
    one, two = spend(f, experiment), spend(smooth, experiment, batch_size=batch_size)
    assert f.count == one.ledger.spent <= experiment["n_queries"]
    assert np.array_equal(one.responses, two.responses)
    if min(one.n_units) >= 2:
        assert np.array_equal(one.moments("centred").b, two.moments("centred").b)


@QUICK
@given(st.lists(st.integers(1, 80), min_size=2, max_size=4), st.permutations(range(4)), seeds)
def test_merging_does_not_depend_on_the_order(units: list[int], order: list[int], seed: int) -> None:
    design, parts, block = ls.StructuredGaussian((2, 3), 0.2), [], 0
    for count in units:
        parts.append(ls.query(smooth, PICTURE, design, 1 + count, antithetic=False, rng=seed, first_block=block,
                              progress=False))  # fmt: skip
        block += -(-count // 32)
    shuffled = [parts[k] for k in order if k < len(parts)]
    one, two = parts[0].merge(*parts[1:]), shuffled[0].merge(*shuffled[1:])
    assert np.array_equal(one.responses, two.responses)
    assert np.array_equal(one.responses, np.concatenate([p.responses for p in parts]))
    assert one.ledger == two.ledger
    assert one.n_units == (sum(units),)
