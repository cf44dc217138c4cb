"""Arguments that cannot be right: of `query`, `explain`, the laws, the estimators, the results and the planning."""

from __future__ import annotations

import numpy as np

import legstat as ls
from legstat.estimators.legtv_results import _NotForLEGTV as N
from tests.bad_input.world import Row

NAN_PICTURE = np.full((1, 8, 8), np.nan)
V, T, I = ValueError, TypeError, ls.InferenceUnavailableError  # noqa: E741

QUERY = [
    Row("f is no function", lambda w: w.query(f="resnet.onnx"), T, ("as_response", "`f`", "callable")),
    Row("f is None", lambda w: w.explain(f=None), T, ("as_response", "`f`", "callable")),
    Row("picture of 0..255", lambda w: w.query(image=255 * w.image), V, ("`image`", "within [0, 1]", "255")),
    Row("picture below 0", lambda w: w.query(image=w.image - 0.5), V, ("`image`", "within [0, 1]")),
    Row("picture with NaN", lambda w: w.query(image=NAN_PICTURE), V, ("`image`", "finite")),
    Row("picture without channels", lambda w: w.query(image=w.image[0]), V, ("`image`", "(C, H, W)")),
    Row("batch of pictures", lambda w: w.query(image=w.image[None]), V, ("`image`", "(C, H, W)")),
    Row("picture of words", lambda w: w.query(image="picture.png"), T, ("`image`", "load_image")),
    Row("complex picture", lambda w: w.query(image=w.image * 1j), T, ("`image`", "real numbers")),
    Row("empty picture", lambda w: w.query(image=np.empty((1, 0, 8))), V, ("`image`", "(C, H, W)")),
    Row("ragged picture", lambda w: w.query(image=[[[0.5], [0.5, 0.5]]]), T, ("`image`", "(C, H, W)")),
    Row("channels last", lambda w: w.explain(image=np.full((28, 28, 3), 0.5)), V, ("`image`", "(C, H, W)")),
    Row("design is a grid", lambda w: w.query(design=(4, 4)), T, ("`design`", "StructuredGaussian(grid=(28, 28))")),
    Row("n_queries 0", lambda w: w.query(n_queries=0), V, ("`n_queries`", "at least 3", "f(x0)")),
    Row("n_queries below 0", lambda w: w.query(n_queries=-5), V, ("`n_queries`", "at least")),
    Row("n_queries a fraction", lambda w: w.query(n_queries=100.5), T, ("`n_queries`", "whole number")),
    Row("n_queries a word", lambda w: w.query(n_queries="many"), T, ("`n_queries`", "whole number")),
    Row("n_queries True", lambda w: w.query(n_queries=True), T, ("`n_queries`", "whole number")),
    Row("perturbation a word", lambda w: w.query(perturbation="blur"), T, ("`perturbation`", "Blend()")),
    Row("antithetic a word", lambda w: w.query(antithetic="yes"), T, ("`antithetic`", "True or False")),
    Row("unknown conventions", lambda w: w.query(conventions="papers"), V, ("`conventions`", "'upstream'")),
    Row(
        "conventions against antithetic",
        lambda w: w.query(conventions="paper", antithetic=True),
        V,
        ("`antithetic`", 'conventions="paper"', "Leave `antithetic` out"),
    ),
    Row(
        "conventions against perturbation",
        lambda w: w.query(conventions="paper", perturbation=ls.Blend("mean")),
        V,
        ("`perturbation`", 'conventions="paper"'),
    ),
    Row(
        "conventions against boundary",
        lambda w: w.query(conventions="upstream", design=ls.StructuredGaussian(grid=(4, 4), boundary="free")),
        V,
        ("`boundary`", 'conventions="upstream"'),
    ),
    Row(
        "blend of separate channels",
        lambda w: w.query(
            design=ls.StructuredGaussian(grid=(4, 4), channels="separate"), perturbation=ls.Blend("black")
        ),
        V,
        ("channels", "Blend", "Additive()"),
    ),
    Row("rng a word", lambda w: w.query(rng="seed"), T, ("`rng`", "seed")),
    Row("rng below 0", lambda w: w.query(rng=-1), V, ("`rng`", "-1")),
    Row("rng a fraction", lambda w: w.query(rng=0.5), T, ("`rng`", "0.5")),
    Row("rng and key", lambda w: w.query(key=(1, 2)), V, ("`rng, key`", "not given together")),
    Row("key too large", lambda w: w.query(rng=None, key=(2**64, 0)), V, ("`key`", "64 bits")),
    Row("key of one word", lambda w: w.query(rng=None, key=(5,)), V, ("`key`", "two integers")),
    Row("first_block below 0", lambda w: w.query(first_block=-1), V, ("`first_block`", "from 0")),
    Row("beforehand below 0", lambda w: w.query(beforehand=-1), V, ("`beforehand`", ">= 0")),
    Row("beforehand above the budget", lambda w: w.query(beforehand=99), V, ("`n_queries`", "at least 102")),
    Row("batch_size 0", lambda w: w.query(batch_size=0), V, ("`batch_size`", ">= 1")),
    Row("batch_size a word", lambda w: w.query(batch_size="large"), T, ("`batch_size`", "whole number")),
    Row("cache is a file", lambda w: w.query(cache=w.file("answers.txt", "x")), V, ("`folder`", "answers.txt")),
    Row("until below 0", lambda w: w.query(until=-0.1), V, ("`until`", "half-width > 0")),
    Row("until True", lambda w: w.query(until=True), V, ("`until`", "half-width > 0")),
    Row("until with few queries", lambda w: w.query(until=0.1), V, ("`n_queries`", "with `until`")),
    Row(
        "until a region outside the grid",
        lambda w: w.query(n_queries=2000, until=ls.HalfWidth(0.1, region=(0, 9, 0, 4))),
        V,
        ("`region`", "inside the grid (4, 4)"),
    ),
    Row(
        "until contrasts of another size",
        lambda w: w.query(n_queries=2000, until=ls.HalfWidth(0.1, contrasts=np.ones((1, 5)))),
        V,
        ("`contrasts`", "(k, 16)"),
    ),
    Row("resume a word", lambda w: w.query(rng=None, resume="partial.npz"), T, ("`resume`", "QuerySample")),
    Row(
        "resume with a seed",
        lambda w: w.query(image=w.sample.image, resume=w.sample, n_queries=2000),
        V,
        ("`rng, first_block`", "left out"),
    ),
    Row(
        "resume of another picture",
        lambda w: w.query(image=w.image / 2, rng=None, resume=w.sample, n_queries=2000),
        V,
        ("`image`", "resume.image"),
    ),
    Row(
        "resume of another law",
        lambda w: w.query(design=ls.StructuredGaussian(grid=(4, 4)), rng=None, resume=w.sample, n_queries=2000),
        V,
        ("`design`", "as in the resumed sample"),
    ),
    Row(
        "resume of another operator",
        lambda w: w.query(perturbation=ls.Additive(clip=False), rng=None, resume=w.sample, n_queries=2000),
        V,
        ("`perturbation`", "as in the resumed sample"),
    ),
    Row(
        "resume below what was spent",
        lambda w: w.query(rng=None, resume=w.sample, n_queries=50),
        V,
        ("`n_queries`", "at least", "ceiling over all runs"),
    ),
]

EXPLAIN = [
    Row("unknown rule for L", lambda w: w.explain(L="largest"), V, ("`L`", "heldout", "theory")),
    Row("L below 0", lambda w: w.explain(L=-1.0), V, ("`L`", ">= 0")),
    Row("L True", lambda w: w.explain(L=True), T, ("`L`", "number")),
    Row("L NaN", lambda w: w.explain(L=float("nan")), V, ("`L`", "finite")),
    Row("L and L_ratio", lambda w: w.explain(L=0.1, L_ratio=0.1), V, ("L, L_ratio", "exactly one")),
    Row("L_ratio above 1", lambda w: w.explain(L_ratio=1.5), V, ("`L_ratio`", "within [0, 1]")),
    Row("grid of no rows", lambda w: w.explain(grid=(0, 4)), V, ("`grid`", ">= 1")),
    Row("grid of one number", lambda w: w.explain(grid=8), V, ("`grid`", "(28, 28)")),
    Row("grid of fractions", lambda w: w.explain(grid=(2.5, 4)), V, ("`grid`", "two integers")),
    Row("grid finer than the picture", lambda w: w.explain(grid=(16, 16)), V, ("grid", "8")),
    Row("scale 0", lambda w: w.explain(scale=0.0), V, ("`scale`", "> 0")),
    Row("scale a word", lambda w: w.explain(scale="large"), V, ("`scale`", "number")),
    Row("too few queries for heldout", lambda w: w.explain(n_queries=5), V, ("`n_queries`", "at least")),
    Row("a path without load_image", lambda w: w.explain(image="nowhere.png"), V, ("`path`", "existing picture file")),
]

LAWS = [
    Row("scale below 0", lambda w: ls.StructuredGaussian(grid=(4, 4), scale=-1), V, ("`scale`", "> 0")),
    Row("scale NaN", lambda w: ls.IsotropicGaussian(grid=(4, 4), scale=float("nan")), V, ("`scale`", "finite")),
    Row("unknown channels", lambda w: ls.StructuredGaussian(grid=(4, 4), channels="rgb"), V, ("`channels`", "shared")),
    Row("unknown boundary", lambda w: ls.StructuredGaussian(grid=(4, 4), boundary="wrap"), V, ("`boundary`", "zero")),
    Row("grid side 0", lambda w: ls.Grid((0, 4)), V, ("`grid`", ">= 1")),
    Row("covariance of another size", lambda w: ls.GaussianDesign(np.eye(5), grid=(2, 2)), V, ("`covariance`", "4, 4")),
    Row(
        "covariance not symmetric",
        lambda w: ls.GaussianDesign(np.triu(np.ones((4, 4))), grid=(2, 2)),
        V,
        ("`covariance`", "symmetric"),
    ),
    Row(
        "covariance not positive",
        lambda w: ls.GaussianDesign(-np.eye(4), grid=(2, 2)),
        V,
        ("`covariance`", "positive definite"),
    ),
    Row("clipped and truncated", lambda w: ls.Additive(clip=True, quantise=True), V, ("`quantise`", "clip=False")),
    Row("unknown baseline", lambda w: ls.Blend("white"), V, ("`baseline`", "'black'")),
    Row("mask level 1", lambda w: ls.Blend("black", at=1.0), V, ("`at`", "strictly between 0 and 1")),
    Row("mask level a word", lambda w: ls.Blend("black", at="half"), T, ("`at`", "between 0 and 1")),
    Row("blur of 0", lambda w: ls.Blend(blur_sigma=0.0), V, ("`blur_sigma`", "> 0")),
    Row(
        "baseline of another shape",
        lambda w: w.query(perturbation=ls.Blend(np.zeros((3, 8, 8)))),
        V,
        ("`baseline`", "(1, 8, 8)"),
    ),
    Row(
        "baseline of 0..255",
        lambda w: w.query(perturbation=ls.Blend(np.full((1, 8, 8), 255.0))),
        V,
        ("`baseline`", "[0, 1]"),
    ),
    Row("half-width 0", lambda w: ls.HalfWidth(0.0), V, ("`until`", "> 0")),
    Row("half-width a word", lambda w: ls.HalfWidth("narrow"), V, ("`until`", "half-width > 0")),
    Row("level in percent", lambda w: ls.HalfWidth(0.1, level=95), V, ("`level`", "0.95 is usual")),
    Row(
        "region and contrasts",
        lambda w: ls.HalfWidth(0.1, region=(0, 1, 0, 1), contrasts=np.ones((1, 16))),
        V,
        ("`region, contrasts`", "one at a time"),
    ),
    Row("batch size of a response", lambda w: ls.as_response(w.f, batch_size=-1), V, ("`batch_size`", ">= 1")),
]

ESTIMATORS = [
    Row("LEG of an array", lambda w: ls.LEG(np.zeros(16)), T, ("`data`", "legstat.query")),
    Row("LEGTV of a result", lambda w: ls.LEGTV(w.done.leg), T, ("`data`", "Moments")),
    Row("unknown moments", lambda w: ls.LEG(w.sample, moments="best").fit(), V, ("best", "crossfit")),
    Row("moments of moments", lambda w: ls.LEG(w.done.moments, moments="printed"), V, ("`moments`", "left out")),
    Row("unknown cov_type", lambda w: ls.LEG(w.sample).fit("HC9"), V, ("`cov_type`", "HC3")),
    Row("fit without L", lambda w: ls.LEGTV(w.sample).fit(), V, ("`L, L_ratio, n_regions`", "exactly one")),
    Row("fit at L below 0", lambda w: ls.LEGTV(w.sample).fit(L=-0.1), V, ("`L`", ">= 0", "L_ratio")),
    Row("fit at L True", lambda w: ls.LEGTV(w.sample).fit(L=True), T, ("`L`", "number")),
    Row("fit at L a word", lambda w: ls.LEGTV(w.sample).fit(L="big"), V, ("`L`", "number", "heldout")),
    Row("fit at L_ratio 2", lambda w: ls.LEGTV(w.sample).fit(L_ratio=2), V, ("`L_ratio`", "`L=`")),
    Row("unknown engine", lambda w: ls.LEGTV(w.sample).fit(L_ratio=0.5, engine="simplex"), V, ("`engine`", "highs")),
    Row("unknown selection", lambda w: ls.LEGTV(w.sample).fit(L_ratio=0.5, selection="first"), V, ("selection",)),
    Row("path of no L", lambda w: ls.LEGTV(w.sample).fit_path(Ls=[]), V, ("`Ls`", "at least one")),
    Row("path of L below 0", lambda w: ls.LEGTV(w.sample).fit_path(Ls=[0.1, -1]), V, ("L", ">= 0")),
    Row("path of 0 points", lambda w: ls.LEGTV(w.sample).fit_path(n_Ls=0), V, ("n_Ls", ">= 1")),
    Row("exact path of given L", lambda w: ls.LEGTV(w.sample).fit_path(Ls=[0.1], exact=True), V, ("`Ls`", "left out")),
    Row("select nothing", lambda w: w.done.path.select(), V, ("`L, L_ratio, n_regions`", "exactly one")),
    Row("select by two", lambda w: w.done.path.select("heldout", L_ratio=0.1), V, ("L, L_ratio", "exactly one")),
    Row("select by an unknown rule", lambda w: w.done.path.select("aic"), V, ("heldout", "bootstrap", "theory")),
    Row("select no region", lambda w: w.done.path.select(n_regions=0), V, ("`n_regions`",)),
    Row("moments of another size", lambda w: ls.Moments(b=np.zeros(9), design=w.design, n=9), V, ("`b`", "16")),
    Row("moments with NaN", lambda w: ls.Moments(b=np.full(16, np.nan), design=w.design, n=9), V, ("`b`", "finite")),
    Row("moments of 0 draws", lambda w: ls.Moments(b=np.zeros(16), design=w.design, n=0), V, ("`n`", ">= 1")),
    Row("unknown kind", lambda w: w.sample.moments("mean"), V, ("`kind`", "crossfit")),
]

SAMPLES = [
    Row(
        "z of another grid",
        lambda w: ls.QuerySample.from_arrays(np.zeros((9, 3, 3)), np.zeros(9), w.design),
        V,
        ("`z`", "(n, 4, 4)"),
    ),
    Row(
        "fewer scores than z",
        lambda w: ls.QuerySample.from_arrays(np.zeros((9, 4, 4)), np.zeros(8), w.design),
        V,
        ("`y`", "(9,)"),
    ),
    Row(
        "z of another scale",
        lambda w: ls.QuerySample.from_arrays(9 * w.sample.draws()[:, 0], w.sample.responses, w.design),
        V,
        ("`z`", "drawn from `design`", "scale"),
    ),
    Row(
        "pairs that are none",
        lambda w: ls.QuerySample.from_arrays(
            np.abs(w.sample.draws()[:, 0]), w.sample.responses, w.design, antithetic=True
        ),
        V,
        ("`antithetic`", "minus row 2i"),
    ),
    Row("split of moments", lambda w: ls.split_sample(w.done.moments), T, ("`sample`", "QuerySample")),
    Row("split at 0", lambda w: ls.split_sample(w.sample, 0.0), V, ("`share`", "0.5 is usual")),
    Row("split at True", lambda w: ls.split_sample(w.sample, True), T, ("`share`", "between 0 and 1")),
    Row("split at a word", lambda w: ls.split_sample(w.sample, "half"), T, ("`share`", "between 0 and 1")),
    Row("split of a small sample", lambda w: ls.split_sample(w.done.other, 0.01), V, ("`sample`", "n_queries")),
    Row("merge with a path", lambda w: w.sample.merge("other.npz"), T, ("QuerySample",)),
    Row("merge with itself", lambda w: w.sample.merge(w.sample), V, ("merge", "block")),
    Row("merge of other pictures", lambda w: w.sample.merge(w.done.other), V, ("merge", "the same in every sample")),
]

RESULTS = [
    Row("level 95", lambda w: w.done.leg.conf_int(level=95), V, ("`level`", "0.95 is usual")),
    Row("level 0", lambda w: w.done.leg.conf_int(level=0), V, ("`level`", "between 0 and 1")),
    Row("level a word", lambda w: w.done.leg.conf_int(level="95%"), T, ("`level`", "between 0 and 1")),
    Row("level True", lambda w: w.done.leg.conf_int(level=True), T, ("`level`", "between 0 and 1")),
    Row("unknown bands", lambda w: w.done.leg.conf_int(simultaneous=True, method="scheffe"), V, ("`method`", "max-t")),
    Row("test without a rate", lambda w: w.done.leg.test(), V, ("`fdr, fwer`", "exactly one", "fdr=0.1")),
    Row("test with both rates", lambda w: w.done.leg.test(fdr=0.1, fwer=0.1), V, ("`fdr, fwer`", "exactly one")),
    Row("test at 5 percent", lambda w: w.done.leg.test(fdr=5), V, ("`fdr`", "between 0 and 1")),
    Row("unknown test", lambda w: w.done.leg.test(fdr=0.1, method="tukey"), V, ("`method`", "with fdr=")),
    Row("region of another grid", lambda w: w.done.leg.region(np.ones((3, 3), dtype=bool)), V, ("`region`", "(4, 4)")),
    Row("region of fractions", lambda w: w.done.leg.region(np.ones((4, 4))), V, ("`region`", "boolean")),
    Row("empty region", lambda w: w.done.leg.region((1, 1, 0, 4)), V, ("`region`", "with cells")),
    Row("box of three", lambda w: w.done.leg.region((0, 1, 2)), V, ("`region`",)),
    Row("unknown channel", lambda w: w.done.leg.region((0, 1, 0, 1), channel=7), V, ("`channel`", "sum")),
    Row("contrast of another size", lambda w: w.done.leg.contrasts(np.ones(5)), V, ("(k, 16)",)),
    Row("hypothesis of another size", lambda w: w.done.leg.wald_test(np.ones((1, 5))), V, ("(k, 16)",)),
    Row("intervals of a map", lambda w: w.done.tv.conf_int(), N, ("LEG", "region_inference")),
    Row("intervals of moments", lambda w: ls.LEG(w.done.moments).fit().conf_int(), I, ("sample",)),
    Row("regions by two rules", lambda w: ls.region_inference(w.sample, L="theory", n_regions=3), V, ("exactly one",)),
    Row("regions of 0 cells", lambda w: ls.region_inference(w.sample, smallest=0), V, ("`smallest`", ">= 1")),
    Row("regions of an array", lambda w: ls.region_inference(np.zeros(3)), T, ("`sample`", "QuerySample")),
]

PLANS = [
    Row(
        "nothing to solve for",
        lambda w: ls.solve_queries(error=0.1, n_queries=99, sparsity=4, probability=0.9, grid=(4, 4), scale=0.02),
        V,
        ("error", "n_queries", "all given but one"),
    ),
    Row(
        "error below 0",
        lambda w: ls.solve_queries(error=-0.1, sparsity=4, probability=0.9, grid=(4, 4), scale=0.02),
        V,
        ("`error`", "> 0"),
    ),
    Row(
        "unknown law",
        lambda w: ls.solve_queries(error=1, sparsity=4, probability=0.9, grid=(4, 4), scale=0.02, design="uniform"),
        V,
        ("`design`", "isotropic"),
    ),
    Row(
        "probability in percent",
        lambda w: ls.solve_queries(error=0.1, sparsity=4, probability=90, grid=(4, 4), scale=0.02),
        V,
        ("`probability`", "between 0 and 1"),
    ),
    Row("pilot and noise", lambda w: ls.solve_half_width(w.sample, noise=0.1, half_width=0.1, level=0.95), V, ("one",)),
    Row("pilot of moments", lambda w: ls.solve_half_width(w.done.moments, half_width=1, level=0.9), T, ("`pilot`",)),
    Row("noise without a law", lambda w: ls.solve_half_width(noise=1, half_width=1, level=0.9), V, ("`design`",)),
    Row("half-width below 0", lambda w: ls.solve_half_width(w.sample, half_width=-1, level=0.9), V, ("`half_width`",)),
    Row(
        "contrast 0",
        lambda w: ls.solve_power(w.sample, region=(0, 2, 0, 2), contrast=0.0, alpha=0.05, power=0.8),
        V,
        ("`contrast`", "other than 0"),
    ),
    Row(
        "power below alpha",
        lambda w: ls.solve_power(w.sample, region=(0, 2, 0, 2), contrast=1.0, alpha=0.05, power=0.01),
        V,
        ("`power`", "alpha"),
    ),
    Row("no repeats", lambda w: ls.noise_probe(w.f, w.image, w.design, repeats=1), V, ("`repeats`", "2")),
    Row("no inputs", lambda w: ls.noise_probe(w.f, w.image, w.design, n_inputs=0), V, ("`n_inputs`", "1")),
    Row("probe of 0..255", lambda w: ls.noise_probe(w.f, 255 * w.image, w.design), V, ("`image`", "[0, 1]")),
    Row("probe with NaN", lambda w: ls.noise_probe(w.f, NAN_PICTURE, w.design), V, ("`image`", "finite")),
    Row("probe without a law", lambda w: ls.noise_probe(w.f, w.image, (4, 4)), T, ("`design`",)),
    Row("probe of another grid", lambda w: ls.noise_probe(w.f, w.image[:, :3], w.design), V, ("grid",)),
    Row("probe by a word", lambda w: ls.noise_probe(w.f, w.image, w.design, perturbation="blur"), T, ("perturbation",)),
    Row(
        "candidates of 0",
        lambda w: ls.measure_batch_sizes(ls.as_response(w.f), w.image, candidates=(0, 4)),
        V,
        ("`batch_size`", ">= 1"),
    ),
    Row(
        "no candidates",
        lambda w: ls.measure_batch_sizes(ls.as_response(w.f), w.image, candidates=()),
        V,
        ("`candidates`", "at least one"),
    ),
]

ROWS = [*QUERY, *EXPLAIN, *LAWS, *ESTIMATORS, *SAMPLES, *RESULTS, *PLANS]
