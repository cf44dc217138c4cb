"""Files that are missing, empty, broken or something else, and words on the command line."""

from __future__ import annotations

import json

import numpy as np

import legstat as ls
from tests.bad_input.world import Row, ToldError, World

V, T = ValueError, TypeError
ENDPOINT = {"url": "http://127.0.0.1:9", "model": "digits", "model_version": None}
RGBA = np.full((8, 8, 4), 100, dtype=np.uint8)

PICTURES = [
    Row("no such picture", lambda w: w.onnx().load_image("no.png"), V, ("`path`", "existing picture file")),
    Row("picture is a folder", lambda w: w.onnx().load_image(w.folder), V, ("`path`", "existing picture file")),
    Row("picture of 0 bytes", lambda w: w.onnx().load_image(w.file("p.png")), V, ("`path`", "PNG or JPEG")),
    Row("picture is a text", lambda w: w.onnx().load_image(w.file("p.png", "hello")), V, ("`path`", "Pillow")),
    Row(
        "picture cut short",
        lambda w: w.onnx().load_image(w.file("q.png", w.picture.read_bytes()[:90])),
        V,
        ("`path`", "PNG or JPEG"),
    ),
    Row("transparent picture", lambda w: w.onnx().load_image(w.saved("p.png", RGBA)), V, ("transparent", "Flatten")),
    Row(
        "picture of real numbers",
        lambda w: w.onnx().load_image(w.saved("p.tiff", np.ones((8, 8), dtype=np.float32))),
        V,
        ("`path`", "8 or 16 bits"),
    ),
]

LABELS = [
    Row("no such labels", lambda w: w.onnx(labels="labels.txt"), V, ("`labels`", "one name per line")),
    Row("labels cut short", lambda w: w.onnx(labels=w.file("l.json", '["a", ')), V, ("`labels`", "JSON")),
    Row("labels with a gap", lambda w: w.onnx(labels=w.file("l.json", '{"0": "a", "2": "b"}')), V, ("`labels`", "'0'")),
    Row("labels a number", lambda w: w.onnx(labels=w.file("l.json", "7")), V, ("`labels`", "JSON list")),
    Row("labels in latin-1", lambda w: w.onnx(labels=w.file("l.txt", b"\xe9\n" * 10)), V, ("`labels`", "text file")),
    Row("labels empty", lambda w: w.onnx(labels=w.file("l.txt", "")), V, ("`labels`", "10 names")),
    Row("no such TOML", lambda w: w.onnx(preprocessing="p.toml"), V, ("`path`", "TOML", "p.toml")),
    Row("broken TOML", lambda w: w.onnx(preprocessing=w.file("p.toml", "mean = ")), V, ("`path`", "TOML")),
    Row("TOML of other words", lambda w: w.onnx(preprocessing=w.file("p.toml", "means = 1")), V, ("means", "mean")),
    Row("TOML of other kinds", lambda w: w.onnx(preprocessing=w.file("p.toml", 'mean = "a"')), T, ("`mean`",)),
    Row("no such constant", lambda w: w.onnx(constants={"a": "a.npy"}), V, ("constants",)),
]

ARCHIVES = [
    Row("no such sample", lambda w: ls.QuerySample.load(w.folder / "s.npz"), FileNotFoundError, ("s.npz",)),
    Row("sample of 0 bytes", lambda w: ls.QuerySample.load(w.file("s.npz")), V, ("QuerySample.save",)),
    Row("sample is a text", lambda w: ls.QuerySample.load(w.file("s.npz", "hello")), V, ("QuerySample.save",)),
    Row("sample is a folder", lambda w: ls.QuerySample.load(w.folder), IsADirectoryError, ("directory",)),
    Row("arrays of somebody else", lambda w: ls.QuerySample.load(w.archive("s.npz", a=[1])), V, ("QuerySample.save",)),
    Row(
        "a result for a sample",
        lambda w: (w.done.leg.save(w.folder / "l.npz"), ls.QuerySample.load(w.folder / "l.npz")),
        V,
        ("LEGResults", "that class"),
    ),
    Row(
        "a LEG for a LEG-TV",
        lambda w: (w.done.leg.save(w.folder / "l.npz"), ls.LEGTVResults.load(w.folder / "l.npz")),
        V,
        ("LEGResults", "that class"),
    ),
    Row(
        "sample of a newer version",
        lambda w: ls.QuerySample.load(w.archive("s.npz", {"legstat": "QuerySample", "schema": 99})),
        V,
        ("schema 99", "newer"),
    ),
    Row(
        "sample without its parts",
        lambda w: ls.QuerySample.load(w.archive("s.npz", {"legstat": "QuerySample", "schema": 2})),
        V,
        ("QuerySample.save",),
    ),
    Row(
        "header is no mapping",
        lambda w: ls.QuerySample.load(w.archive("s.npz", [1, 2])),
        V,
        ("QuerySample.save",),
    ),
]


def _asked(w: World, transport: ls.Transport | None = None, url: str | None = None) -> object:
    """Verify a record whose endpoint was at an address where nobody answers."""
    path = w.record()
    response = {**json.loads(path.read_text(encoding="utf-8"))["response"], "kind": "http", **ENDPOINT}
    return ls.verify(w.record(response=response), url=url, transport=transport)


RECORDS = [
    Row("no such record", lambda w: ls.verify(w.folder / "record.json"), V, ("record", "record.json")),
    Row("record of 0 bytes", lambda w: ls.verify(w.file("record.json")), V, ("record",)),
    Row("record is a text", lambda w: ls.verify(w.file("record.json", "hello")), V, ("record",)),
    Row("record of a list", lambda w: ls.verify(w.file("record.json", "[]")), V, ("record",)),
    Row("record of somebody else", lambda w: ls.verify(w.file("record.json", '{"a": 1}')), V, ("record",)),
    Row("record of a newer version", lambda w: ls.verify(w.record(legstat_record=99), f=w.f), V, ("99",)),
    Row("record without its results", lambda w: ls.verify(w.record(results=None), f=w.f), V, ("results",)),
    Row("record without its experiment", lambda w: ls.verify(w.record(experiment=None), f=w.f), V, ("experiment",)),
    Row("record of a function", lambda w: ls.verify(w.record()), V, ("`f`", "f=the_function")),
    Row("record at another address", lambda w: _asked(w, url="http://127.0.0.1:8"), V, ("`url`", "Nothing was sent")),
    Row("headers for nobody", lambda w: _asked(w, ls.Transport(headers={"A": "x"})), V, ("`url`", "with headers")),
    Row("record is a folder", lambda w: ls.verify(w.folder), V, ("record",)),
]

COMMANDS = [
    Row("--grid of one number", lambda w: w.explained("--grid", "8"), ToldError, ("--grid", "28x28")),
    Row("--grid of words", lambda w: w.explained("--grid", "axb"), ToldError, ("--grid", "28x28")),
    Row("--batch-size of words", lambda w: w.explained("--batch-size", "big"), ToldError, ("--batch-size", "auto")),
    Row("--n-queries of words", lambda w: w.explained("--n-queries", "many"), ToldError, ("--n-queries", "integer")),
    Row("--L of other words", lambda w: w.explained("--L", "largest"), ToldError, ("`L`", "heldout")),
    Row("--L and --L-ratio", lambda w: w.explained("--L", "1", "--L-ratio", "0.1"), ToldError, ("L, L_ratio",)),
    Row("--at with additive", lambda w: w.explained("--perturb", "additive", "--at", ".5"), ToldError, ("--at",)),
    Row("--at of 2", lambda w: w.explained("--at", "2"), ToldError, ("`at`", "between 0 and 1")),
    Row("--perturb of other words", lambda w: w.explained("--perturb", "white"), ToldError, ("--perturb", "blur")),
    Row("--target of words", lambda w: w.explained("--target", "seven"), ToldError, ("`target`", "labels")),
    Row("--target out of range", lambda w: w.explained("--target", "77"), ToldError, ("`target`", "0..9")),
    Row(
        "--score difference of one",
        lambda w: w.explained("--score", "difference", "--target", "3"),
        ToldError,
        ("--target", "207,208"),
    ),
    Row("--seed below 0", lambda w: w.explained("--seed", "-1"), ToldError, ("rng", "-1")),
    Row("--resume of nothing", lambda w: w.explained("--resume", "no.npz"), ToldError, ("no.npz",)),
    Row("--resume of a picture", lambda w: w.explained("--resume", w.picture), ToldError, ("QuerySample",)),
    Row("--constant without a value", lambda w: w.explained("--constant", "shift"), ToldError, ("--constant",)),
    Row("--headers without --url", lambda w: w.explained("--headers", w.file("h", "a: b")), ToldError, ("--url",)),
    Row("--provider of other words", lambda w: w.explained("--provider", "gpu"), ToldError, ("`provider`", "cpu")),
    Row("--out is a file", lambda w: w.explained("--out", w.file("taken", "x")), ToldError, ("--out", "taken")),
    Row("a text for a picture", lambda w: w.explained(picture=w.file("p.png", "x")), ToldError, ("`path`", "Pillow")),
    Row("no picture", lambda w: w.explained(picture=w.folder / "no.png"), ToldError, ("no.png",)),
    Row("a text for a model", lambda w: w.explained(model=w.file("m.onnx", "x")), ToldError, ("`path`", "ONNX")),
    Row("unknown option", lambda w: w.explained("--speed", "9"), ToldError, ("--speed",)),
    Row("unknown command", lambda w: w.command("explains"), ToldError, ("explain",)),
    Row("inspect nothing", lambda w: w.command("inspect", w.folder / "m.onnx"), ToldError, ("m.onnx",)),
    Row("verify nothing", lambda w: w.command("verify", w.folder / "record.json"), ToldError, ("record.json",)),
    Row("verify a text", lambda w: w.command("verify", w.file("r.json", "{")), ToldError, ("record",)),
]

ROWS = [*PICTURES, *LABELS, *ARCHIVES, *RECORDS, *COMMANDS]
