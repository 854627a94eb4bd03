"""How much memory there is for a model in this process, and what a checkpoint's files take."""

import os
from pathlib import Path

GIB = 1 << 30


def free_memory(device: str = "auto") -> int:
    """Bytes that weights could take now: on the GPUs and beside them, or on one device."""
    import torch  # noqa: PLC0415

    if device == "cpu":
        return _free_host_memory()
    if device.startswith("cuda") and torch.cuda.is_available():
        return int(torch.cuda.mem_get_info(torch.device(device).index or 0)[0])
    gpus = range(torch.cuda.device_count())
    free = sum(int(torch.cuda.mem_get_info(gpu)[0]) for gpu in gpus)
    return free + _free_host_memory()


def room_for_caches(model_device: str) -> int:
    """Half of the bytes that are free where a loaded model computes."""
    return free_memory(model_device if model_device.startswith("cuda") else "cpu") // 2


def _free_host_memory() -> int:
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    except OSError:  # no Linux: all there is, as the system lends what it uses for files
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    table = dict(line.split(":", 1) for line in lines)
    return int(table["MemAvailable"].split()[0]) * 1024


def file_bytes(folder: Path) -> int:
    """Bytes of the weights' files, the safe format where a folder has both; 0 where there are
    none."""
    for pattern in ("*.safetensors", "*.bin"):
        files = [path for path in folder.glob(pattern) if path.is_file()]
        if files:
            return sum(path.stat().st_size for path in files)
    return 0
