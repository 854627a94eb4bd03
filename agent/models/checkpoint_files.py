"""Whether the files of a checkpoint are all there, to their ends. Nothing is loaded for it."""

import json
from collections.abc import Sequence
from pathlib import Path

#: The format's own bound on the header of a file.
_LONGEST_HEADER = 100_000_000


def lacking(folder: Path) -> str:
    """What is missing of the weights in `folder`, in words; empty where nothing is. Of formats
    other than safetensors no more is known than that there are files."""
    for name in _named(folder):
        if not (folder / name).is_file():
            return f"{name} is missing"
        if _cut_off(folder / name):
            return f"{name} is damaged, or was cut off"
    files = (*folder.glob("*.safetensors"), *folder.glob("*.bin"))
    return "" if files else "there are no weights (*.safetensors)"


def _named(folder: Path) -> Sequence[str]:
    """The files that the index names, or those that are there where it is of one file."""
    try:
        index = json.loads((folder / "model.safetensors.index.json").read_bytes())
        return sorted(set(map(str, index["weight_map"].values())))
    except FileNotFoundError:
        return sorted(path.name for path in folder.glob("model*.safetensors"))
    except (ValueError, KeyError, TypeError, AttributeError):
        return ["model.safetensors.index.json (which cannot be read)"]


def _cut_off(path: Path) -> bool:
    """Whether a file ends before the tensors that its header tells of."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > min(size - 8, _LONGEST_HEADER):
            return True
        try:
            header = json.loads(file.read(length))
            ends = [t["data_offsets"][1] for name, t in header.items() if name != "__metadata__"]
            return 8 + length + max(ends, default=0) > size
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
            return True
