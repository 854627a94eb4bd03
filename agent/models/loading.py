"""Weights of a model that runs in this process: found, checked, loaded. Nothing is downloaded.

All errors are SetupErrors, and the user sees them: each says what is missing and how to get it.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.models.extra import check_packages
from agent.models.weights import quiet_libraries
from sandbox.errors import SetupError

_GIB = 1 << 30


@dataclass(frozen=True)
class Weights:
    """A folder with a model, and its commit where the folder lies in the Hugging Face cache."""

    name: str
    folder: Path
    revision: str = ""


@dataclass
class Loaded:
    """A model that is ready to run. `tokenizer` is None for gpt-oss, whose vocabulary the harmony
    library carries. `precision` is how the weights are held."""

    weights: Weights
    model: Any
    tokenizer: Any
    precision: str
    context_window: int | None


def load(name: str) -> Loaded:
    """Loads the model in the folder `name`, or of that name in the Hugging Face cache. Takes from
    seconds to minutes."""
    check_packages("a model in this process")
    quiet_libraries()
    weights = find(name)
    config = read_config(weights)
    harmony = config.model_type == "gpt_oss"
    tokenizer = None if harmony else read_tokenizer(weights)
    _check_quantisation(weights, config)
    model = _model(weights, config, _number_type(weights, config))
    text = config.get_text_config(decoder=True)
    return Loaded(
        weights,
        model,
        tokenizer,
        precision=_method(config) or str(model.dtype).removeprefix("torch."),
        context_window=getattr(text, "max_position_embeddings", None),
    )


def find(name: str) -> Weights:
    """Where the model `name` is on this machine."""
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise SetupError(
                f"the folder {path} holds no config.json, so it is no model",
                "Give the folder that holds config.json, the weights and the tokenizer.",
            )
        folder = path.resolve()
        return Weights(name, folder, folder.name if folder.parent.name == "snapshots" else "")
    if path.exists():
        raise SetupError(
            f"{path} is a file", "Give the folder that holds config.json and the weights."
        )
    if name.startswith(("/", ".", "~")) or name.count("/") > 1:
        raise SetupError(f"there is no folder {path}", "Check the path.")
    return _cached(name)


def _cached(name: str) -> Weights:
    from huggingface_hub import snapshot_download  # noqa: PLC0415
    from huggingface_hub.errors import (  # noqa: PLC0415
        HFValidationError,
        LocalEntryNotFoundError,
    )

    try:
        folder = Path(snapshot_download(name, local_files_only=True))
    except LocalEntryNotFoundError:
        raise SetupError(
            f"the model {name} is not on this machine, and Greenroom downloads none by itself",
            f"Get it with: hf download {name}",
        ) from None
    except HFValidationError as error:
        raise SetupError(
            f"{name!r} is neither a folder nor the name of a model: {error}",
            "Write OWNER/NAME as on the Hugging Face hub, or the path of a folder.",
        ) from None
    if not (folder / "config.json").is_file():
        raise _incomplete(name, "there is no config.json")
    return Weights(name, folder, folder.name)


def _incomplete(name: str, reason: str) -> SetupError:
    return SetupError(
        f"the model {name} is not whole on this machine: {reason}",
        f"If it came from the hub, get the rest with: hf download {name}",
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def read_config(weights: Weights) -> Any:
    """The configuration in the folder, as transformers has it."""
    from transformers import AutoConfig  # noqa: PLC0415

    try:
        return AutoConfig.from_pretrained(weights.folder, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SetupError(
            f"transformers cannot use the model {weights.name}: {_first_line(error)}",
            "It may need a newer transformers, or code of its own, which Greenroom does not run.",
        ) from error


def read_tokenizer(weights: Weights) -> Any:
    """The tokenizer in the folder, which has a chat template."""
    from transformers import AutoTokenizer  # noqa: PLC0415

    try:
        tokenizer = AutoTokenizer.from_pretrained(weights.folder, local_files_only=True)
    # The tokenizers' own library raises plain Exceptions on a damaged file.
    except Exception as error:
        raise _incomplete(weights.name, f"no tokenizer: {_first_line(error)}") from error
    if not tokenizer.chat_template:
        raise SetupError(
            f"the model {weights.name} has no chat template, so it cannot follow a conversation",
            "Take its variant that is tuned for instructions (often named -Instruct or -it).",
        )
    return tokenizer


def _method(config: Any) -> str:
    """How the checkpoint is quantised, empty for one that is not."""
    found = getattr(config, "quantization_config", None)
    if found is None:
        return ""
    table = found if isinstance(found, dict) else found.to_dict()
    return str(getattr(table.get("quant_method"), "value", table.get("quant_method")) or "")


def _check_quantisation(weights: Weights, config: Any) -> None:
    """Refuses MXFP4 that this machine would unpack to 16 bits: three times the memory, with no more
    than a warning."""
    if _method(config) != "mxfp4":
        return
    from transformers.quantizers.auto import AutoHfQuantizer  # noqa: PLC0415

    quantizer = AutoHfQuantizer.from_config(config.quantization_config, pre_quantized=True)
    if quantizer.quantization_config.dequantize:
        return  # the folder's own wish
    quantizer.validate_environment()
    if quantizer.quantization_config.dequantize:
        raise _unpacked(weights)


def _unpacked(weights: Weights) -> SetupError:
    return SetupError(
        f"the model {weights.name} is quantised to MXFP4, and this machine cannot run that:"
        f" {'; '.join(_lacking())}. It would be unpacked to 16 bits, three times the memory",
        "Mend that, or run it with a server: ollama, llama.cpp or vLLM (`greenroom models`).",
    )


def _lacking() -> Sequence[str]:
    """What MXFP4 needs and is not here."""
    import torch  # noqa: PLC0415
    from transformers.utils import is_kernels_available, is_triton_available  # noqa: PLC0415
    from transformers.utils.import_utils import (  # noqa: PLC0415
        KERNELS_MAX_VERSION,
        KERNELS_MIN_VERSION,
    )

    lacking = []
    if not torch.cuda.is_available():
        lacking.append("there is no CUDA GPU")
    elif torch.cuda.get_device_capability() < (7, 5):
        lacking.append("the GPU's compute capability is below 7.5")
    if not is_triton_available("3.4.0"):
        lacking.append("triton 3.4 is not installed")
    if not is_kernels_available():
        span = f"{KERNELS_MIN_VERSION} or later, before {KERNELS_MAX_VERSION}"
        lacking.append(f"the package kernels ({span}) is not installed")
    return lacking or ["transformers gives no reason"]


def _number_type(weights: Weights, config: Any) -> Any:
    """The checkpoint's own on an accelerator and where it is quantised. On a CPU float32, or
    bfloat16 where the processor has that or float32 does not fit. SetupError where nothing fits."""
    import torch  # noqa: PLC0415

    size = _size(weights)
    free = free_memory()
    accelerated = torch.accelerator.is_available()
    if not accelerated and not _method(config):
        stored = (getattr(config, "dtype", None) or torch.float32).itemsize
        if not _has_bfloat16() and size / stored * 4 <= free:
            return torch.float32
        size, chosen = size * 2 // stored, torch.bfloat16
    else:
        chosen = "auto"
    if size > free:
        raise SetupError(
            f"the model {weights.name} needs {size / _GIB:.1f} GiB for its weights alone, and"
            f" {free / _GIB:.1f} GiB of memory are free here",
            "Take a smaller or quantised model, or a server on a larger machine.",
        )
    return chosen


def _size(weights: Weights) -> int:
    """Bytes of the weights' files; the safe format where a folder has both."""
    for pattern in ("*.safetensors", "*.bin"):
        files = [path for path in weights.folder.glob(pattern) if path.is_file()]
        if files:
            return sum(path.stat().st_size for path in files)
    raise _incomplete(weights.name, "there are no weights (*.safetensors)")


def free_memory() -> int:
    """Bytes that weights could take now, on the GPUs and beside them."""
    import torch  # noqa: PLC0415

    gpus = range(torch.cuda.device_count())
    free: int = sum(torch.cuda.mem_get_info(gpu)[0] for gpu in gpus)
    return free + _free_host_memory()


def _free_host_memory() -> int:
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    except OSError:  # no Linux: all there is, as the system lends what it uses for files
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    table = dict(line.split(":", 1) for line in lines)
    return int(table["MemAvailable"].split()[0]) * 1024


def _has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 itself, which doubles the speed."""
    import torch  # noqa: PLC0415

    able = torch.cpu.get_capabilities()
    return any(able.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def _model(weights: Weights, config: Any, number_type: Any) -> Any:
    import torch  # noqa: PLC0415
    from transformers import AutoModelForCausalLM  # noqa: PLC0415

    try:
        model, report = AutoModelForCausalLM.from_pretrained(
            weights.folder,
            config=config,
            dtype=number_type,
            device_map="auto" if torch.accelerator.is_available() else None,
            local_files_only=True,
            output_loading_info=True,
        )
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise SetupError(
            f"memory ran out while the model {weights.name} was loaded: {_first_line(error)}",
            "Close other programs that use it, or take a smaller model.",
        ) from error
    # A library of many authors: what it raises on damaged files or absent parts has no pattern.
    except Exception as error:
        raise _incomplete(weights.name, _first_line(error)) from error
    if missing := sorted(report["missing_keys"]):
        # The library fills such gaps with random numbers.
        raise _incomplete(weights.name, f"weights are missing, {missing[0]} for one")
    quantizer = getattr(model, "hf_quantizer", None)
    wished = getattr(quantizer, "quantization_config", None)
    if _method(config) == "mxfp4" and getattr(wished, "dequantize", False):
        asked = config.quantization_config
        if not (asked if isinstance(asked, dict) else asked.to_dict()).get("dequantize"):
            raise _unpacked(weights)
    return model.eval()
