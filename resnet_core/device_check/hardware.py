"""Driver, torch, device and memory: what is there, before anything is computed."""

import re
from pathlib import Path

import torch

from resnet_core.device import describe, select_device
from resnet_core.device_check.row import NotApplicable, Wrong

DRIVER = Path("/proc/driver/nvidia/version")  # not there in WSL, where the driver is that of Windows
MEMORY = Path("/proc/meminfo")
GIB = 2**30
LEAST_FREE = 2 * GIB  # for ResNet-18 in batches of 128 and a CUDA context


def find_driver(*, cuda: bool) -> str:
    """The version of NVIDIA's driver in the kernel."""
    if not cuda:
        raise NotApplicable("not applicable on a CPU")
    if not DRIVER.exists():
        if torch.cuda.is_available():
            return f"works; its version is not told, for there is no {DRIVER}"
        raise Wrong(f"no {DRIVER}", "install NVIDIA's driver, or give the container the GPU (docker run --gpus all)")
    return f"NVIDIA {driver_version(DRIVER.read_text())}"


def driver_version(text: str) -> str:
    """Such as 580.65.06, of what the kernel's module says of itself.

    Raises:
        Wrong: it says no version.

    """
    found = re.search(r"Kernel Module.*?\s(\d+(?:\.\d+)+)\s", text)
    if found is None:
        raise Wrong(f"{DRIVER} names no version: {text.strip()[:80]}", "install NVIDIA's driver again")
    return found[1]


def find_torch(*, cuda: bool) -> str:
    """The versions of torch, and of CUDA and cuDNN in it."""
    if torch.version.cuda is None:
        found = f"torch {torch.__version__}, for CPUs alone"
        if cuda:
            raise Wrong(found, "install a torch with CUDA; pytorch.org says how")
        return found
    cudnn = torch.backends.cudnn.version() if torch.backends.cudnn.is_available() else None
    return f"torch {torch.__version__}, CUDA {torch.version.cuda}, cuDNN {cudnn or 'missing'}"


def find_device(name: str, found: list[torch.device]) -> str:
    """The device in words; it is put into `found`, unless nothing can be computed on it."""
    try:
        device = select_device(name)
    except ValueError as error:
        raise Wrong(f"{error}{_why_not()}", "see the rows above, and whether nvidia-smi lists the GPU") from None
    if device.type != "cuda":
        found.append(device)
        if name == "auto" and DRIVER.exists():
            advice = "mend that, or ask for cpu; with auto, trainings run on the CPU"
            raise Wrong(f"NVIDIA's driver is there, but torch finds no GPU{_why_not()}", advice)
        return describe(device)
    major, minor = torch.cuda.get_device_capability(device)
    words = f"{describe(device)}, compute capability {major}.{minor}"
    kernels = torch.cuda.get_arch_list()
    if not has_kernels(kernels, major, minor):
        raise Wrong(f"{words}; this torch has kernels for {', '.join(kernels)}", "install a torch for this GPU")
    found.append(device)
    return words


def has_kernels(built_for: list[str], major: int, minor: int) -> bool:
    """Whether a torch built for these architectures runs on a GPU of that compute capability.

    Machine code (`sm_86`) runs on GPUs of the same major version and at least that minor one; PTX (`compute_120`) is
    compiled for every later GPU (CUDA C++ programming guide, "Compute capability").
    """
    for architecture in built_for:
        kind, _, digits = architecture.partition("_")
        number = re.match(r"\d+", digits)
        if number is None:
            continue
        built = divmod(int(number[0]), 10)
        if built <= (major, minor) and (kind == "compute" or built[0] == major):
            return True
    return False


def find_memory(device: torch.device) -> str:
    """Free and total memory of the GPU, or of the machine."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        advice = "end what else uses the GPU (nvidia-smi lists it), or train smaller batches"
    else:
        if not MEMORY.exists():
            raise NotApplicable(f"not known: there is no {MEMORY}")
        sizes = {key: int(size) * 1024 for key, size in re.findall(r"(\w+): +(\d+) kB", MEMORY.read_text())}
        free, total = sizes["MemAvailable"], sizes["MemTotal"]
        advice = "end what else uses the machine's memory, or train smaller batches"
    found = f"{free / GIB:.1f} of {total / GIB:.1f} GiB free"
    if free < LEAST_FREE:
        raise Wrong(found, advice)
    return found


def _why_not() -> str:
    """The first sentence of what torch says when it is told to use CUDA, after a colon."""
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        said = str(error).strip().partition("\n")[0].partition(". ")[0]
        return f": {said}"
    return ""
