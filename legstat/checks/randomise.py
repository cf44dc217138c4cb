"""Networks with random weights: which layers there are, and a copy with some of them replaced."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, overload

from legstat._core.checks import check_choice, check_rng
from legstat._core.errors import invalid
from legstat.checks.layers import WeightLaw, WeightLayer

if TYPE_CHECKING:
    import torch


def weight_layers(model: str | Path | torch.nn.Module, *, output: str | None = None) -> tuple[WeightLayer, ...]:
    """The layers of a network, from the output back: what `randomize` replaces.

    In an ONNX file they are found by walking the graph back from its outputs: convolutions, matrix products, recurrent
    cells and embeddings, each with the biases, scales and normalisations that follow it. Weights may be initialisers or
    Constant nodes, of any type, inside or beside the file, reshaped or dequantised on their way. What scales the
    picture in front of the first layer is no weight, nor are single numbers, nor the mean and variance of a batch
    normalisation. Of a torch module the layers stand in the order in which its parts were registered.

    Parameters
    ----------
    model : str or Path or torch.nn.Module
        ONNX file or module.
    output : str, optional
        Of a file: the tensor from which to walk back; by default all outputs.

    Returns
    -------
    tuple of WeightLayer
        The one nearest to the output first.

    Raises
    ------
    ValueError
        A file that cannot be read; no weights; layers inside subgraphs (If, Loop); sparse weights.
    BackendUnavailableError
        onnx is missing.

    Examples
    --------
    >>> from legstat.data import digits_model_path
    >>> weight_layers(digits_model_path())[0].tensors
    ('linear.weight', 'linear.bias')
    """
    where = "checks.weight_layers"
    if isinstance(model, str | Path):
        from legstat.checks.randomised_onnx import Weights

        return Weights(where, model, output).layers
    from legstat.checks.randomised_torch import module_layers

    return module_layers(where, _module(where, model, output=output))


@overload
def randomize(
    model: str | Path,
    to: str | Path,
    *,
    layers: int | Sequence[str] | None = None,
    law: WeightLaw = "normal",
    output: str | None = None,
    rng: Any = None,
) -> Path: ...


@overload
def randomize(
    model: torch.nn.Module,
    to: None = None,
    *,
    layers: int | Sequence[str] | None = None,
    law: WeightLaw = "normal",
    output: None = None,
    rng: Any = None,
) -> torch.nn.Module: ...


def randomize(
    model: str | Path | torch.nn.Module,
    to: str | Path | None = None,
    *,
    layers: int | Sequence[str] | None = None,
    law: WeightLaw = "normal",
    output: str | None = None,
    rng: Any = None,
) -> Path | torch.nn.Module:
    """A network with some of its weights replaced by random numbers (Adebayo et al., 2018; LEG paper, section 6.3).

    Parameters
    ----------
    model : str or Path or torch.nn.Module
        ONNX file or module; it stays as it is.
    to : str or Path
        For a file: where the new one is written, all its data within.
    layers : int or sequence of str, optional
        So many layers, counted from the output; or their names, see `weight_layers`; by default all.
    law : {"normal", "uniform", "permuted"}, default "normal"
        "normal": mean 0 and the tensor's own mean square, so that activations keep their size. "uniform": the LEG
        authors' U(-0.05, 0.05) for weights and biases, under which those of a wide layer grow and those of a narrow one
        vanish. "permuted": the tensor's own numbers in another order, the only one for quantised weights.
    output : str, optional
        Of a file: the tensor from which layers are counted back; by default all outputs.
    rng : int or anything `numpy.random.default_rng` takes
        Each layer has a stream of its own: the first layers of a longer cascade are those of a shorter one.

    Returns
    -------
    Path or torch.nn.Module
        The file that was written, or a copy of the module.

    Raises
    ------
    ValueError
        As `weight_layers`; unknown layers; a law that draws real numbers for quantised weights.
    TypeError
        Neither a file nor a module; a file without `to`.

    Examples
    --------
    >>> import tempfile
    >>> from legstat.data import digits_model_path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fresh = randomize(digits_model_path(), f"{folder}/random.onnx", layers=1, law="uniform", rng=0)
    ...     fresh.name
    'random.onnx'
    """
    where = "checks.randomize"
    check_choice(where, "law", law, get_args(WeightLaw))
    root = int(check_rng(where, rng).integers(2**63))
    if isinstance(model, str | Path):
        if to is None:
            raise TypeError(invalid(where, "to", to, "the file to write", "The model's own stays as it is."))
        from legstat.checks.randomised_onnx import Weights

        weights = Weights(where, model, output)
        weights.replace(layers, law, root)
        return weights.save(to)
    from legstat.checks.randomised_torch import randomised_module

    return randomised_module(where, _module(where, model, to=to, output=output), layers, law, root)


def _module(where: str, model: Any, **of_files: object) -> torch.nn.Module:
    """The module, or TypeError for what is none; arguments that belong to files must be left out."""
    for name, value in of_files.items():
        if value is not None:
            raise TypeError(invalid(where, name, value, "left out for a module, which is copied in memory"))
    if not (hasattr(model, "named_parameters") and hasattr(model, "named_modules")):
        raise TypeError(invalid(where, "model", model, "the path of an ONNX file, or a torch.nn.Module"))
    module: torch.nn.Module = model
    return module
