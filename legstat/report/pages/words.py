"""What a reader of a report must know: the words that stand in it, and what it does not say."""

from __future__ import annotations

QUERY_NOISE = (
    "Query noise is not robustness of the model to its input: an interval says how far an estimate would move if other "
    "perturbations of the same picture were drawn, and nothing about what the model does when its input changes."
)
"""Stands in every report."""

ESTIMAND = (
    "gamma = Sigma^-1 E[(f(Phi(x0; z)) - f(Phi(x0; 0))) z]: the linear map of z that comes closest, on average over "
    "random perturbations z of the picture x0, to the change of the score f (the linearly estimated gradient, LEG)."
)
QUESTION = "Which parts of each picture does the model's score for the target class respond to?"

LIMITS = (
    QUERY_NOISE,
    "An estimate is of this model's score at this picture, under this operator and this law of perturbations. Another "
    "of any of them has another answer.",
    "A map says what the model responds to. It does not say that the response is right, nor why it is there.",
    "Intervals hold one by one: of 100 intervals of 95 %, some five are expected to miss. Where cells are chosen after "
    "looking, the false discovery rate is the statement that holds.",
    "LEG-TV is shrunken by its penalty and its regions are chosen by the data: it carries no intervals. Those of LEG, "
    "and those of regions tested on draws that did not choose them, are valid.",
    "What is said of the audited pictures carries over to others only as far as the audited ones were drawn from them "
    "at random; how they were chosen stands under provenance.",
)

_MEANINGS = (
    ("black box", "The model as it is audited: pictures go in, scores come out. Neither gradients nor weights are "
     "used."),
    ("score, f", "The number that is explained, read from the model's outputs for the target: the log-odds "
     "log(p / (1 - p)) of its probability p, a logit, the probability, or the difference of two of them."),
    ("target", "The class whose score is explained: the model's first choice at each picture, or one that was "
     "named."),
    ("x0", "The picture as the model sees it, after resizing and cropping."),
    ("cell, grid", "The picture is cut into p1 x p2 rectangles, the cells of a grid. A map has one value for each."),
    ("z", "A random perturbation: one number for each cell."),
    ("operator, Phi", "How z acts on the picture. Blend moves each cell between the picture and a baseline (blurred, "
     "black, mean or noise): its unit is the mask level, from 0 (baseline) to 1 (picture). Additive adds z to the "
     "pixel values."),
    ("design, law of z", "The probability law that z is drawn from: its covariance is Sigma, its scale sigma."),
    ("estimand", "The quantity that is estimated, defined without reference to data: here gamma, a map."),
    ("estimate", "What the evaluations say about the estimand; it has an error, which the standard error measures."),
    ("LEG", "The linearly estimated gradient: the estimand gamma, and its estimate in closed form. Red cells raise the "
     "score when there is more of the picture in them, blue cells lower it."),
    ("LEG-TV", "LEG with a penalty on its total variation: the map with the smallest total variation within a distance "
     "L of the data. It is easier to read, and shrunken."),
    ("total variation", "The sum of absolute differences between neighbouring cells: small for maps of few, flat "
     "regions."),
    ("L, L_max, path", "The radius of LEG-TV's constraint. At L_max the map is flat; as L falls, it follows the data "
     "more closely, down to LEG. The path is the sequence of maps from L_max down; the report's L is one point of it, "
     "chosen by the rule that stands under provenance."),
    ("region", "Connected cells of equal value. Where a table of regions stands, they were found on one part of the "
     "evaluations and tested on the other."),
    ("evaluation, query", "One picture handed to the model. Every one is counted, those of f(x0) and of tuning too."),
    ("pair", "Two evaluations, at z and at -z, which make one observation."),
    ("standard error", "How much an estimate varies from one set of random perturbations to another, measured on the "
     "evaluations themselves."),
    ("interval", "A range that covers the estimand with the stated probability (its level, 95 % unless said), over "
     "repeated draws of the perturbations; by Student's law."),
    ("p-value", "The probability of an estimate at least so far from 0, were the estimand 0."),
    ("multiplicity", "A map has hundreds of cells: some would look different from 0 by chance. A false discovery rate "
     "or a familywise error rate takes account of all of them."),
    ("false discovery rate, FDR", "The expected share of cells that are called significant although their estimand is "
     "0. At FDR 10 %, at most a tenth of the cells shown is expected to be false (Benjamini and Hochberg, 1995)."),
    ("familywise error rate", "The probability that any of the hypotheses is rejected falsely: a stricter rate, by "
     "Holm's method for instance."),
    ("out-of-sample R^2", "The share of the score's response to z that the map predicts on evaluations that it was not "
     "fitted to. At or below 0, the map predicts nothing."),
    ("mean shift", "How far the mean score of perturbed pictures lies from f at the base point: it measures how much "
     "the response bends."),
    ("certificate, gap", "Proof, computed apart from the solver, that LEG-TV's linear program is solved: the distance "
     "from the optimum is at most the gap."),
    ("deletion, insertion", "The score as cells are removed from the picture, or put into a baseline, in the order of "
     "the map, the most important first. A small area under deletion and a large one under insertion speak for the "
     "map."),
    ("check", "A test that the map or the run can fail: passed, failed, or not applicable where what it needs is not "
     "there."),
    ("placebo", "A run whose responses carry no signal, because their signs are flipped at random: what is found there "
     "is false."),
    ("seed, key", "Numbers from which all random draws follow: the same seed gives the same numbers."),
    ("SHA-256, digest", "A fingerprint of a file or an array: it changes with any bit of it."),
    ("provider", "The part of the runtime that computes the model: CPU, or a certain GPU library."),
    ("preprocessing", "What is done to a picture before the model sees it: size, crop, order of channels, scale, "
     "mean."),
)  # fmt: skip
WORDS = tuple({"word": word, "meaning": meaning} for word, meaning in _MEANINGS)
"""The appendix of every report."""
