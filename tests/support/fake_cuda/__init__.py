"""CUDA without a GPU: tensors on `cuda:0` that have shapes, devices and memory formats, but no values.

torch's FakeTensorMode computes what every operation would give, and refuses tensors on two devices. Here the operations
are counted that would launch kernels on a GPU, the transfers between host and device, and where the host would wait for
the device: `.item()`, copies from or to memory that is not pinned, indices that only the device knows the number of.

Unlike on a GPU, a `.tolist()` counts once an element; a convolution or batch norm is one operation, but some kernels.
The gradient of a convolution's weight comes in another memory format, so that it is laid out anew by a copy.
"""

import contextlib
import ctypes
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self
from unittest import mock

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils import _foreach_utils
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves

from resnet_core.augment import policies

CUDA = torch.device("cuda", 0)
VISIBLE = 100  # devices that autograd is shown, none of which has a context
SHIM = ctypes.CDLL(None)
# Operations that neither are views nor launch a kernel.
WITHOUT_KERNEL = {
    "alias", "detach", "empty", "empty_like", "empty_strided", "is_same_size", "lift_fresh", "new_empty",
    "new_empty_strided", "prim::device", "resize_", "set_", "_unsafe_view",
}  # fmt: skip
COPIES = {"_to_copy", "copy_", "_copy_from"}
UNKNOWN_SIZE = {"nonzero", "masked_select", "_unique2", "equal"}
INDEXED = {"index", "index_put", "index_put_", "_index_put_impl_"}


class Counts(TorchDispatchMode):
    """Counts below autograd. `.item()` gives `value`, whatever was computed."""

    def __init__(self, value: float = 0) -> None:
        super().__init__()
        self.value = value
        self.operations: Counter[str] = Counter()
        self.transfers: Counter[str] = Counter()
        self.waits: Counter[str] = Counter()
        self.capturing = False
        self.in_backward = False

    def totals(self) -> dict[str, int]:
        return {name: sum(getattr(self, name).values()) for name in ("operations", "transfers", "waits")}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        _show_devices(0)  # or torch would ask the driver what it thinks of a convolution
        try:
            return self._run(func, args, kwargs or {})
        finally:
            _show_devices(VISIBLE if self.in_backward else 0)

    def _run(self, func: Any, args: Any, kwargs: Any) -> Any:
        name = func._schema.name.removeprefix("aten::")
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        on_cuda = any(tensor.is_cuda for tensor in tensors)
        if name == "_local_scalar_dense" and on_cuda:
            self._wait("item")
            dtype = tensors[0].dtype
            return (
                bool(self.value) if dtype is torch.bool else self.value if dtype.is_floating_point else int(self.value)
            )
        if name in UNKNOWN_SIZE and on_cuda:
            self._wait(name)
        if name in INDEXED and on_cuda:
            indices = [index for index in args[1] if index is not None]
            if any(index.dtype is torch.bool or (index.dim() and not index.is_cuda) for index in indices):
                self._wait("index")
        if name.startswith("_fused_"):  # they have no fake implementation, and change tensors in place
            assert all(isinstance(tensor, FakeTensor) and tensor.is_cuda for tensor in tensors), name
            for parameter, gradient in zip(args[0], args[1], strict=True):
                assert _layout(parameter) == _layout(gradient), (name, parameter.shape)
            self.operations[name] += 1
            return None
        result = func(*args, **kwargs)
        given = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        if name in COPIES:
            source, target = (args[1], args[0]) if name == "copy_" else (args[0], result)
            if source.is_cuda != target.is_cuda:
                self._transfer(source, target, kwargs.get("non_blocking") or (name == "copy_" and args[2:] == (True,)))
                return result
        if (on_cuda or any(tensor.is_cuda for tensor in given)) and not func.is_view and name not in WITHOUT_KERNEL:
            self.operations[name] += 1
        return result

    def _transfer(self, source: Tensor, target: Tensor, asynchronous: bool) -> None:
        way = "to the device" if target.is_cuda else "to the host"
        self.transfers[way] += 1
        if not asynchronous or not getattr(source, "pinned", False):
            self._wait(way)

    def _wait(self, why: str) -> None:
        if self.capturing:
            raise RuntimeError(f"CUDA error: operation not permitted when stream is capturing ({why})")
        self.waits[why] += 1


class _FakeTensors(FakeTensorMode):
    """Never looks for a device, whatever `torch.cuda.is_available` is made to say."""

    avoid_device_init = True


class _Graph:
    """In place of torch.cuda.CUDAGraph: a replay counts what the capture has counted."""

    def __init__(self, counts: Counts) -> None:
        self.counts, self.captured = counts, Counter[str]()

    def replay(self) -> None:
        self.counts.operations += self.captured


class _Capture:
    """In place of torch.cuda.graph: what is captured does not run."""

    def __init__(self, graph: _Graph, **_options: Any) -> None:
        self._graph, self._before = graph, Counter(graph.counts.operations)

    def __enter__(self) -> Self:
        self._graph.counts.capturing = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        counts = self._graph.counts
        counts.capturing = False
        self._graph.captured = counts.operations - self._before
        counts.operations = self._before


@contextlib.contextmanager
def fake_cuda(counts: Counts) -> Iterator[None]:
    """In the block a GPU of compute capability 9.0 seems to be there, and what it would do is counted."""

    def run_backward(*args: Any, run: Any = torch.autograd.graph._engine_run_backward, **kwargs: Any) -> Any:
        counts.in_backward = True
        _show_devices(VISIBLE)
        try:
            return run(*args, **kwargs)
        finally:
            counts.in_backward = False
            _show_devices(0)

    def pin_memory(tensor: Tensor) -> Tensor:
        pinned = tensor.clone()
        pinned.pinned = True  # type: ignore[attr-defined]
        return pinned

    stream = mock.MagicMock()
    fakes = {
        "torch.cuda.is_available": lambda: True,
        "torch.cuda.device_count": lambda: 1,
        "torch.cuda.current_device": lambda: 0,
        "torch.cuda.set_device": lambda _: None,
        "torch.cuda.get_device_capability": lambda *_: (9, 0),
        "torch.cuda.is_bf16_supported": lambda *_, **__: True,
        "torch.cuda.is_current_stream_capturing": lambda: counts.capturing,
        "torch.cuda.empty_cache": lambda: None,
        "torch.cuda.synchronize": lambda *_: None,
        "torch.cuda.reset_peak_memory_stats": lambda *_: None,
        "torch.cuda.max_memory_allocated": lambda *_: 2**30,
        "torch.cuda.mem_get_info": lambda *_: (79 * 2**30, 80 * 2**30),
        "torch.cuda.get_device_name": lambda *_: "NVIDIA H100 80GB HBM3",
        "torch.cuda.get_arch_list": lambda: ["sm_80", "sm_90"],
        "torch.cuda._lazy_init": lambda: None,
        "torch.cuda.Stream": lambda: stream,
        "torch.cuda.stream": lambda _: contextlib.nullcontext(),
        "torch.cuda.current_stream": lambda: stream,
        "torch.cuda.CUDAGraph": lambda: _Graph(counts),
        "torch.cuda.graph": _Capture,
        "torch.accelerator.current_accelerator": lambda *_, **__: None,
        "torch.Tensor.pin_memory": pin_memory,
        "torch.nn.Module._apply": _apply,
        "resnet_core.augment.policies._magnitudes": really(policies._magnitudes),
        "torch.autograd._engine_run_backward": run_backward,
    }
    with contextlib.ExitStack() as stack:
        for target, fake in fakes.items():
            stack.enter_context(mock.patch(target, fake))
        # Without this, torch's optimizers would go tensor by tensor.
        for module in (_foreach_utils, sys.modules["torch.optim.optimizer"]):
            stack.enter_context(_with_fakes(module._foreach_supported_types))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("error", UserWarning)
        stack.enter_context(_FakeTensors(allow_non_fake_inputs=True))
        stack.enter_context(counts)
        yield


@contextlib.contextmanager
def _with_fakes(supported: list[type]) -> Iterator[None]:
    supported.append(FakeTensor)
    try:
        yield
    finally:
        supported.remove(FakeTensor)


def _apply(module: nn.Module, change: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
    """In place of torch.nn.Module's: puts new parameters in the place of the old ones, as fake ones cannot be swapped."""
    for part in module.modules() if recurse else [module]:
        for name, parameter in part._parameters.items():
            if parameter is not None:
                with torch.no_grad():
                    part._parameters[name] = nn.Parameter(change(parameter), parameter.requires_grad)
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = change(buffer)
    return module


def really(function: Callable[..., Any]) -> Callable[..., Any]:
    """Computed with values, as it is on the host, where they decide what the device does."""

    def compute(*args: Any, **kwargs: Any) -> Any:
        with _disable_current_modes():
            return function(*args, **kwargs)

    return compute


def has_shim() -> bool:
    """Whether this process was started with the shim, without which there is no backward pass."""
    return hasattr(SHIM, "set_fake_cuda_devices")


def _show_devices(count: int) -> None:
    if has_shim():
        SHIM.set_fake_cuda_devices(count)


def _layout(tensor: Tensor) -> list[int]:
    """Strides, but for dimensions of one element."""
    return [stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if size > 1]
