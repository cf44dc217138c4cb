"""docs/studies/checks.md: how often the checks are right."""

from __future__ import annotations

from collections.abc import Iterator

from tools.page_numbers import results, row, short, states

NETWORKS = {
    "mobilenet_v2_1.0_224": "MobileNetV2",
    "squeezenet1.1": "SqueezeNet 1.1",
    "cifar10_resnet20": "CIFAR ResNet-20",
    "cifar10_resnet_4b_robust": "CIFAR ResNet-4b, adversarially trained",
}


@states("docs/studies/checks.md", "benchmarks/study_checks.py")
def checks() -> Iterator[str]:
    """All tables, and what is said of them."""
    found = results("checks")
    placebo = found["placebo"]
    for name, title in {"digits network": "digits network", "logistic": "logistic, saturated"}.items():
        for law in ("blocks", "structured"):
            two = [placebo[f"{name}, {law}, {n} evaluations"] for n in (301, 801)]
            yield row(title, law, *(f"{short(one['share'], 3)} ± {short(one['error'], 3)}" for one in two))
    samples, failed = (sum(one[key] for one in placebo.values()) for key in ("of", "failed"))
    yield f"{ {1: 'One'}[failed] } of {samples} samples failed the check"

    learnt = found["learnt"]
    trained, kinds = learnt["trained"], ("normal", "uniform")
    yield row("trained, 20 digits", f"{round(trained['share'] * trained['of'])} of {trained['of']}")
    for kind in kinds:
        one = learnt[f"untrained, {kind}"]
        text = f"{round(one['share'] * one['of'])} of {one['of']}, mean p-value {short(one['mean'], 3)}"
        yield row(f"untrained, {kind} weights", text)
    for key, title in NETWORKS.items():
        two = [found["spread"][f"{key}, {law}"] for law in ("permuted", "normal")]
        assert all(one["pvalue"] == 0.05 for one in two)
        spreads = (", ".join(short(sd, 2) for sd in one["sd_random"]) for one in two)
        sd = f"{two[0]['sd']:.2f}"
        yield row(title, sd.removeprefix("0"), *spreads)

    measures = {"spearman": "ranks, with sign", "ssim": "structural similarity", "hog": "oriented gradients"}
    for key, title in measures.items():
        two = [found["resemblance"][f"{key} at {level}"] for level in (0.05, 0.01)]
        yield row(title, *(f"{short(one['share'], 3)} ± {short(one['error'], 3)}" for one in two))
    for key, title in {
        "normal": "normal",
        "uniform": "U(-0.05, 0.05), the LEG authors'",
        "permuted": "permuted",
    }.items():
        one = found["cascade"][key]
        alike = (short(one[name], 2).replace("-.00", ".00") for name in ("spearman_repeated", "spearman_last"))
        yield row(title, *alike, f"{one['passed']} of {one['of']}")

    fed = {
        "as it should": "rightly",
        "channels reversed": "channels reversed",
        "scale 1 for 255, or 255 for 1": "other scale",
    }
    for key, title in NETWORKS.items():
        for how, text in fed.items():
            one = found["preprocessing"][f"{key}, {how}"]
            first = title if how == "as it should" else ""
            yield (
                f"| {first}{' ' if first else ''}| {text} | {one['top_1']:.0%} | {one['best']:.0%} | ".replace(
                    "%", " %"
                )
                + one["status"]
            )
