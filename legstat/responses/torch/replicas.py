"""The network on its devices: replicas, batches split over them, compiled sizes, copies to and from."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from legstat._core.errors import invalid
from legstat.responses.torch.devices import precision
from legstat.responses.torch.module import Watch, own_copy, pick_output
from legstat.responses.torch.settings import TorchSettings

if TYPE_CHECKING:
    import torch

Feed = Callable[[int, int, int], "torch.Tensor"]
"""(replica, at, end) -> the network's input for pictures `at` to `end`, on that replica's device."""

_MOST_SIZES = 8
"""Batch sizes that one network is compiled for: torch itself gives up at this number, silently."""
_REGULAR = 3
"""A size that comes up this often is compiled; until then it is filled up to one that is."""


class Pending(Protocol):
    """Outputs on their way from the devices."""

    def __call__(self) -> NDArray[np.generic]:
        """Wait for them."""


class Replica:
    """The network on one device.

    Parameters
    ----------
    module : torch.nn.Module
        In evaluation mode, on the device, in its memory layout.
    device : torch.device
        The device.
    settings : TorchSettings
        How it is run.
    """

    def __init__(self, module: torch.nn.Module, device: torch.device, settings: TorchSettings) -> None:
        self.module, self.device, self.settings = module, device, settings
        self._compiled: Callable[[torch.Tensor], object] | None = None
        self._sizes: set[int] = set()
        self._seen: Counter[int] = Counter()

    def __call__(
        self, batch: torch.Tensor, full: int, *, autocast: bool = True, compiled: bool = True
    ) -> tuple[object, int]:
        """What the module returns for a batch, which for a compiled one may be filled up with its last picture.

        Parameters
        ----------
        batch : torch.Tensor
            Input, on the device.
        full : int
            Size of a full batch.
        autocast, compiled : bool
            Whether to follow these settings; without them it is what they are measured against.

        Returns
        -------
        made : object
            As the module makes it.
        size : int
            Pictures it was made for.
        """
        import torch

        settings, n = self.settings, len(batch)
        dtype = None if settings.autocast is None else getattr(torch, settings.autocast)
        narrow = torch.autocast(self.device.type, dtype=dtype) if autocast and dtype is not None else nullcontext()
        with narrow:
            if not compiled or settings.compile_mode is None or n == 0:
                return self.module(batch), n
            if self._compiled is None:
                # one size after the other, each for itself: a free batch axis is slower, and some networks refuse it
                self._compiled = torch.compile(self.module, mode=settings.compile_mode, dynamic=False)
            size = self._compiled_size(n, full)
            if size > n:
                batch = torch.cat([batch, batch[-1:].expand(size - n, *batch.shape[1:])])
                if settings.channels_last:
                    batch = batch.contiguous(memory_format=torch.channels_last)
            if self.device.type == "cuda":  # the outputs before are on their way: CUDA graphs may write over them
                torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
            made = self._compiled(batch)
            self._sizes.add(size)
            return made, size

    def _compiled_size(self, n: int, full: int) -> int:
        """The size to run n pictures in: their own where that is a regular one, else the next compiled one."""
        if n >= full or n in self._sizes:
            return n
        self._seen[n] += 1
        larger = min((size for size in self._sizes if size >= n), default=full)
        regular = self._seen[n] >= _REGULAR and len(self._sizes) < _MOST_SIZES
        return n if regular else larger

    def forget(self, larger_than: int) -> None:
        """No longer run batches above that size: they do not fit."""
        self._sizes = {size for size in self._sizes if size <= larger_than}

    def __getstate__(self) -> dict[str, object]:
        """All but the compiled network, which a worker makes anew."""
        return {**self.__dict__, "_compiled": None, "_sizes": set(), "_seen": Counter()}


class Replicas:
    """The network on all of its devices.

    Parameters
    ----------
    where : str
        Call to name in errors.
    module : torch.nn.Module
        The user's; it is left as it is.
    devices : tuple of torch.device
        One replica each.
    settings : TorchSettings
        How it is run.
    output : str or int or callable or None
        What picks the class output; see `pick_output`.
    """

    def __init__(
        self,
        where: str,
        module: torch.nn.Module,
        devices: tuple[torch.device, ...],
        settings: TorchSettings,
        output: object,
    ) -> None:
        self._where, self.devices, self._settings, self._output = where, devices, settings, output
        homes = {tensor.device for tensor in (*module.parameters(), *module.buffers())}
        if any(home.type == "meta" for home in homes):
            remedy = "Load its weights first: those on the device 'meta' are only announced."
            raise ValueError(invalid(where, "module", type(module).__qualname__, "a module with weights", remedy))
        there = all(same_place(home, devices[0]) for home in homes) and not settings.channels_last
        first, home = own_copy(where, module, weights=not there), devices[0]
        self._replicas = [Replica(first, home, settings) if there else self._placed(first, home)]
        self._add_others()

    def _placed(self, module: torch.nn.Module, device: torch.device) -> Replica:
        import torch

        module = module.to(device)
        if self._settings.channels_last:
            module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return Replica(module, device, self._settings)

    def _add_others(self) -> None:
        first = self._replicas[0]
        for device in self.devices[1:]:
            self._replicas.append(self._placed(own_copy(self._where, first.module, weights=True), device))
        self._watches = [Watch(replica.module) for replica in self._replicas]
        self._pool: ThreadPoolExecutor | None = None
        self._pool_of = 0

    @property
    def module(self) -> torch.nn.Module:
        """The network on the first device."""
        return self._replicas[0].module

    def start(self, n: int, full: int, feed: Feed, *, autocast: bool = True, compiled: bool = True) -> Pending:
        """Start the network on n pictures, split evenly over the devices, and their outputs on the way back.

        Parameters
        ----------
        n : int
            Pictures.
        full : int
            Pictures of a full batch, over all devices.
        feed : callable
            Makes the input of a share on its device.
        autocast, compiled : bool
            As for `Replica`.

        Returns
        -------
        callable
            Waits for the outputs, in order. On CUDA the devices are still at work when this is returned, but all
            memory has been asked for: an error that says it is short is raised here.
        """
        import torch

        k = len(self._replicas)
        share = -(-n // k)
        # with fewer pictures than devices the last ones have nothing to do; without pictures, the first one still runs
        spans = [(i, i * share, min((i + 1) * share, n)) for i in range(k) if i * share < n] or [(0, 0, 0)]

        def launch(span: tuple[int, int, int]) -> Pending:
            i, at, end = span
            self._watches[i].check()
            # no bookkeeping for gradients, from the input on: a compiled network takes another kind of tensor for
            # another network. The mode belongs to the thread, so it is set here
            with torch.inference_mode():
                made, size = self._replicas[i](feed(i, at, end), -(-full // k), autocast=autocast, compiled=compiled)
                outputs = pick_output(self._where, self._output, made)
                if end - at == 1 and not (outputs.ndim and len(outputs) == size):
                    outputs = outputs[None]  # a module that drops axes of length 1 drops this one too
                filled_up = size > end - at and outputs.ndim > 0 and len(outputs) == size
                return _to_host(outputs[: end - at] if filled_up else outputs)

        # the switches are of the process: they are set once, around all the threads
        with precision(self._settings.tf32):
            if len(spans) == 1:
                return launch(spans[0])
            parts = list(self._threads().map(launch, spans))
        return lambda: np.concatenate([part() for part in parts])

    def with_history(self, inputs: torch.Tensor) -> torch.Tensor:
        """Class outputs of a batch on the first device, with the history that `torch.autograd` goes back along."""
        import torch

        self._watches[0].check()
        with precision(self._settings.tf32), torch.enable_grad():
            return pick_output(self._where, self._output, self._replicas[0].module(inputs))

    def _threads(self) -> ThreadPoolExecutor:
        """One thread for each device; new ones in a forked process, where the old ones do not live."""
        if self._pool is None or self._pool_of != os.getpid():
            self._pool = ThreadPoolExecutor(len(self._replicas), thread_name_prefix="legstat-torch")
            self._pool_of = os.getpid()
        return self._pool

    def free_memory(self, full: int) -> None:
        """Hand back the memory that batches above `full` took."""
        import torch

        for replica in self._replicas:
            replica.forget(-(-full // len(self._replicas)))
            if replica.device.type == "cuda":
                with torch.cuda.device(replica.device):
                    torch.cuda.empty_cache()

    def __getstate__(self) -> dict[str, object]:
        """One replica: the others are copies of it."""
        return {**self.__dict__, "_replicas": self._replicas[:1], "_watches": [], "_pool": None}

    def __setstate__(self, state: dict[str, object]) -> None:
        """Restore, with the other replicas made anew."""
        self.__dict__.update(state)
        self._add_others()


def same_place(one: torch.device, other: torch.device) -> bool:
    """Whether two devices are one; no index stands for the current one."""
    import torch

    def index(device: torch.device) -> int:
        own: int | None = device.index  # typed as if it were always there
        if own is not None:
            return own
        return torch.cuda.current_device() if device.type == "cuda" else 0

    return one.type == other.type and index(one) == index(other)


def to_device(values: NDArray[np.generic], device: torch.device, dtype: torch.dtype | None = None) -> torch.Tensor:
    """An array as a tensor on a device; through pinned memory, without waiting, where that is a CUDA device."""
    import torch

    tensor = torch.from_numpy(values)
    if device.type == "cuda":
        # torch keeps pinned memory, and does not give it out again before the copy from it is done
        tensor = tensor.pin_memory()
    return tensor.to(device, dtype=dtype, non_blocking=device.type == "cuda")


def _to_host(rows: torch.Tensor) -> Pending:
    """A tensor on its way to the host."""
    import torch

    if rows.device.type != "cuda":
        # a copy: a module may return a view of its input, whose memory the next batch is written into
        return rows.to("cpu", copy=True).numpy
    host = torch.empty(rows.shape, dtype=rows.dtype, pin_memory=True)
    host.copy_(rows, non_blocking=True)
    arrived = torch.cuda.current_stream(rows.device).record_event()

    def fetch() -> NDArray[np.generic]:
        arrived.synchronize()
        return host.numpy()

    return fetch
