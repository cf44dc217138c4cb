"""Moments "crossfit": each observation's residual is taken from a pilot map that the observation had no part in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy

from legstat._core.typing import FloatArray
from legstat.designs.dense import DENSE_LIMIT
from legstat.designs.design import Design
from legstat.designs.grid import Grid
from legstat.moments.influence import Estimate, Influence, PowerSums, degrees_of_freedom
from legstat.moments.pilot import MOST_LEVERAGE, PENALTIES, Piloting
from legstat.moments.ridge import SMALL, SMOOTHNESS, gcv_ridge
from legstat.moments.sums import Sums, summed
from legstat.moments.units import Units


def crossfit(units: Units, design: Design, leave_out: tuple[int, int] | None) -> Estimate:
    """Each observation's pilot is the ridge map of all the others; all of them follow from one decomposition.

    `SMALL` unknowns and fewer take an eigendecomposition and dense products (their bits are those of every record so
    far), more the way of `legstat.moments.pilot`: the same numbers but for their last digits.
    """
    if units.n_unknowns > DENSE_LIMIT:
        return _halves(units, leave_out)
    many = units.n_unknowns > SMALL
    if many and leave_out is not None:
        return Piloting.of(units, design).without(leave_out), None, None
    (sums,) = summed(units, leave_out, gram=not many)
    if many:
        piloting = Piloting.of(units, design)
        found = piloting.pilot(None)
        pilot, hat = piloting.prior.out(found.map[None])[0], piloting.hat(found)
        moves = _moves(units, design.grid, hat, found.penalty) if design.smooth_pilot else hat
    elif design.smooth_pilot:
        pilot, hat, moves = smooth_pilot(units, sums, design.grid)
    else:
        pilot, hat = ridge_pilot(units, sums)
        moves = hat
    mu, n = units.law.mean.ravel(), float(sums.n)
    centre, mean_y, base = sums.centre(units.paired)
    shift = mean_y - float(pilot @ (centre - mu)) if not units.paired else 0.0
    drift, along, product = np.zeros((3, units.n_unknowns))
    by_law, by_draws = PowerSums(units.n_unknowns), PowerSums(units.n_unknowns)
    for z, y in units.rows(leave_out):
        rows, spread = z - mu, z - centre
        moved = spread @ hat
        # r_u, the residual that u has from the map of the others: that from the map of all over 1 - h_u
        residual = (y - shift - rows @ pilot) / (1.0 - base - np.einsum("ij,ij->i", moved, spread))
        product += residual @ rows
        drift += residual @ moved  # leaving u out moves the pilot by minus this
        if leave_out is None:
            directions = moved if moves is hat else spread @ moves
            along += residual @ directions
            by_law.add(units.solve(rows) * residual[:, None])
            by_draws.add(directions * residual[:, None])
    total = units.solve(product)
    gamma = pilot + (total - drift) / n
    # First scaling. The estimate is the pilots' mean plus the mean of n contributions psi_u; its variance is estimated
    # by sum (psi_u - mean psi)^2 / (n (n - 1)): every psi_u - mean psi is weighed by
    weight = 1.0 / np.sqrt(n * (n - 1.0))
    plain = Influence(
        centre=mu, maps=pilot[None], means=total[None] / n, shifts=np.array([shift]), weights=np.array([weight])
    )
    if leave_out is not None:  # a fold's map is only used to predict: its spread would go unread
        return gamma, plain, None
    level, shape = by_law.about_mean(n), by_draws.about_mean(n)
    if not shape[0].any():  # no pilot: the estimate is that of centred moments, psi_u = S^{-1} z_u r_u
        free = replace(plain, power=1.0, base=base, hat=hat, hat_centre=centre)
        return gamma, free, (level[0] / (n * (n - 1.0)), degrees_of_freedom(*level, n))
    # Second scaling. What are the psi_u? Each direction by itself is half right:
    #   S^{-1} z_u r_u, S known: their sum over all cells (the trace) has the right expectation for any pilot, but with
    #     a pilot the estimate follows the drawn z's own covariance, as least squares does, so that single cells which
    #     the draws determine badly look as sure as others: bands covered 2 to 6 % too little;
    #   A z_u r_u, A = S^{-1} (S + lambda P) (Z^T Z + n lambda P)^{-1} with the pilot's prior N(0, P^{-1}): how u moves
    #     the estimate to first order, right from cell to cell; where P = S, H = A / (1 + lambda), shrunken as a whole.
    # So psi_u = c A z_u r_u, with the c that gives both the same trace,
    #   c^2 = sum_u |S^{-1} z_u r_u - mean|^2 / sum_u |A z_u r_u - mean|^2.
    c2 = float(level[0].sum() / shape[0].sum())
    c = np.sqrt(c2)
    influence = replace(
        plain,
        centre=centre,
        means=c * along[None] / n,
        shifts=np.array([mean_y]),
        matrix=c * moves,
        power=1.0,
        base=base,
        hat=hat,
    )
    return gamma, influence, (c2 * shape[0] / (n * (n - 1.0)), degrees_of_freedom(*shape, n))


def _halves(units: Units, leave_out: tuple[int, int] | None) -> Estimate:
    halves = summed(units, leave_out, parts=2)
    # the pilot for a half comes from the other half
    pilots = np.stack([_shrunken_pilot(units, halves[1]), _shrunken_pilot(units, halves[0])])
    mu = units.law.mean.ravel()
    shifts = np.array(
        [0.0 if units.paired else (h.y - g @ (h.z - h.n * mu)) / h.n for h, g in zip(halves, pilots, strict=True)]
    )
    powers, products = [PowerSums(units.n_unknowns), PowerSums(units.n_unknowns)], np.zeros_like(pilots)
    start = 0
    for z, y in units.rows(leave_out):
        turn = (start + np.arange(len(y))) % 2
        for half in range(2):
            rows = z[turn == half] - mu
            residual = y[turn == half] - rows @ pilots[half] - shifts[half]
            products[half] += residual @ rows
            if leave_out is None:  # as above
                powers[half].add(units.solve(rows) * residual[:, None])
        start += len(y)
    n = np.array([[h.n] for h in halves], dtype=np.float64)
    lost = 0.0 if units.paired else 1.0  # the mean of the residuals was estimated from the same half
    total = units.solve(products)
    step = total / (n - lost)
    weight = n / n.sum()
    moved = Influence(
        centre=mu,
        maps=pilots,
        means=total / n,
        shifts=shifts,
        weights=(weight / np.sqrt(n * (n - 1.0)))[:, 0],
    )
    gamma = np.sum(weight * (pilots + step), axis=0)
    if leave_out is not None:
        return gamma, moved, None
    central = [s.about_mean(h.n) for s, h in zip(powers, halves, strict=True)]
    scale = moved.weights[:, None] ** 2
    second = np.sum(scale * np.stack([c[0] for c in central]), axis=0)
    fourth = np.sum(scale**2 * np.stack([c[1] for c in central]), axis=0)
    return gamma, moved, (second, degrees_of_freedom(second, fourth, float(n.sum())))


def ridge_pilot(units: Units, sums: Sums) -> tuple[FloatArray, FloatArray]:
    """Ridge where S is the identity, penalty by generalised cross-validation; 0 where that gains nothing.

    With it the matrix H of its leverages (z_u - centre)^T H (z_u - centre).
    """
    b, gram, yy = sums.centred(units.paired)
    lower = np.linalg.cholesky(units.law.matrix())
    whitening = np.asarray(scipy.linalg.solve_triangular(lower, np.eye(len(b)), lower=True, trans="T"))
    pilot, hat, _ = gcv_ridge(b, gram, yy, sums.n, whitening, PENALTIES, or_nothing=True, most_leverage=MOST_LEVERAGE)
    return pilot, hat


def smooth_pilot(units: Units, sums: Sums, grid: Grid) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Ridge on a prior that is smooth on the grid, for laws whose own metric S would make it rough; likewise chosen.

    With it H of its leverages, and the matrix along whose rows an observation moves the estimate: H + lambda H P S^{-1}
    with the prior N(0, P^{-1} / lambda), P = D^T D + epsilon I. Without a pilot all three are 0.
    """
    b, gram, yy = sums.centred(units.paired)
    factor = _smoothed(units, grid, -0.5, np.eye(b.size))
    unit = float(np.einsum("ij,ij->", factor, gram @ factor)) / b.size  # the mean eigenvalue of F^T G F
    pilot, hat, penalty = gcv_ridge(
        b, gram, yy, sums.n, factor, unit * PENALTIES, or_nothing=True, most_leverage=MOST_LEVERAGE
    )
    return pilot, hat, _moves(units, grid, hat, penalty)


def _smoothed(units: Units, grid: Grid, power: float, v: FloatArray) -> FloatArray:
    """P^power v."""
    planes = v.reshape(-1, *units.law.mean.shape)
    return Grid(grid.shape).apply_spectrum(lambda e: (e + SMOOTHNESS) ** power, planes).reshape(v.shape)


def _moves(units: Units, grid: Grid, hat: FloatArray, penalty: float) -> FloatArray:
    """H + lambda H P S^{-1}."""
    return hat + penalty * units.solve(_smoothed(units, grid, 1.0, hat)) if np.isfinite(penalty) else hat


def _shrunken_pilot(units: Units, sums: Sums) -> FloatArray:
    """c S^{-1} b with c = share of ||S^{-1/2} b||^2 that is not noise, the best multiple in expectation."""
    b, _, yy = sums.centred(units.paired)
    g = units.solve(b)
    length = float(b @ g)
    noise = units.n_unknowns * max(yy, 0.0) / sums.n
    return g * (max(0.0, 1.0 - noise / length) if length > 0 else 0.0)
