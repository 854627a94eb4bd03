"""How a checkpoint's weights are to be held, by name; refused before anything is loaded where the
library could not, or would hold them otherwise without a word.
"""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agent.models.kernels import check_repository, how_to_install
from agent.models.room import GIB, file_bytes, free_memory
from agent.planning.find import Model as Planned
from agent.planning.find import find as find_planned
from agent.planning.memory import weight_bytes
from agent.planning.precision import BF16, BNB4, MXFP4, Precision
from sandbox.errors import SetupError, UsageError

#: bitsandbytes at 8 bits: a scale for each row hardly counts.
_BNB8 = replace(BNB4, name="bnb-8bit", linear=8)
_BITSANDBYTES = {"int8": _BNB8, "int4": BNB4}
_BITS = {"int8": 8, "int4": 4}
#: Methods of checkpoints that hold whole numbers of so many bits.
_WHOLE = frozenset({"awq", "gptq"})


@dataclass(frozen=True)
class Holding:
    """How to load: the number type ("auto": the checkpoint's), what to quantise with, and the bytes
    that the weights will take."""

    number_type: Any
    quantization: Any = None
    size: int = 0
    name: str = ""


def choose(name: str, folder: Path, config: Any, wanted: str, device: str) -> Holding:
    """How to hold the weights in `folder` at the precision `wanted` (see the setting `precision`).
    Raises SetupError, shown to the user, with the nearest thing that can be had."""
    chosen = _Choice(name, folder, config, device)
    made = chosen.auto() if wanted == "auto" else chosen.named(wanted)
    free = free_memory(device)
    if made.size > free:
        raise chosen.too_large(made, free)
    return made


def method_of(config: Any) -> str:
    """How the checkpoint is quantised, empty for one that is not."""
    table = _table(config)
    return str(getattr(table.get("quant_method"), "value", table.get("quant_method")) or "")


def _table(config: Any) -> dict[str, Any]:
    found = getattr(config, "quantization_config", None)
    if found is None:
        return {}
    return found if isinstance(found, dict) else dict(found.to_dict())


class _Choice:
    """One checkpoint and the precisions that it can be held at."""

    def __init__(self, name: str, folder: Path, config: Any, device: str) -> None:
        import torch  # noqa: PLC0415

        self._torch = torch
        self._name = name
        self._config = config
        self._method = method_of(config)
        self._bits = _table(config).get("bits")
        self._accelerated = device != "cpu" and torch.accelerator.is_available()
        self._size = file_bytes(folder)
        self._stored = (getattr(config, "dtype", None) or torch.float32).itemsize
        self._planned = _planned(folder)

    def auto(self) -> Holding:
        """The checkpoint's own on an accelerator and where it is quantised. On a CPU float32, or
        bfloat16 where the processor has that or float32 does not fit."""
        if self._method == "mxfp4":
            self._check_mxfp4()
        if self._accelerated or self._method:
            return Holding("auto", size=self._size, name=self._method)
        single = self._size // self._stored * 4
        if not _has_bfloat16() and single <= free_memory("cpu"):
            return Holding(self._torch.float32, size=single)
        return Holding(self._torch.bfloat16, size=single // 2)

    def named(self, wanted: str) -> Holding:
        if wanted in {"bf16", "fp16"}:
            return self._sixteen(wanted)
        if wanted == "mxfp4":
            if self._method == "mxfp4":
                return self.auto()
            raise self._refusal(
                wanted, "only a checkpoint that was made so can be run in MXFP4, and this is none"
            )
        return self._whole(wanted)

    def _sixteen(self, wanted: str) -> Holding:
        if self._method == "mxfp4" and wanted == "bf16":
            from transformers import Mxfp4Config  # noqa: PLC0415

            size = self._bytes(BF16) or 3 * self._size
            return Holding(self._torch.bfloat16, Mxfp4Config(dequantize=True), size)
        if self._method:
            made_of = "bf16" if self._method == "mxfp4" else "the model that it was made of"
            raise self._refusal(
                wanted, f"the checkpoint is quantised ({self._method}); unpacked it gives {made_of}"
            )
        number_type = self._torch.bfloat16 if wanted == "bf16" else self._torch.float16
        return Holding(number_type, size=self._size // self._stored * 2)

    def _whole(self, wanted: str) -> Holding:
        """Whole numbers: of the checkpoint itself, or made by bitsandbytes."""
        if self._method in _WHOLE and self._bits == _BITS[wanted]:
            return self.auto()
        if self._method:
            raise self._refusal(
                wanted, f"the checkpoint is quantised ({self._method}), which happens only once"
            )
        kind = _BITSANDBYTES[wanted]
        size = self._bytes(kind)
        if self._planned and self._planned.shape.experts:
            half = f": {size / 1e9:.1f} GB in place of {self._bytes(BF16) / 1e9:.1f} GB"
            raise self._refusal(
                wanted,
                "bitsandbytes replaces nn.Linear only, and fused experts are none, so that these"
                f" stay at 16 bits{half}",
            )
        if importlib.util.find_spec("bitsandbytes") is None:
            raise self._refusal(
                wanted, "it needs the package bitsandbytes, which is not installed beside Greenroom"
            )
        from transformers import BitsAndBytesConfig  # noqa: PLC0415

        options: dict[str, Any] = {"load_in_8bit": True}
        if wanted == "int4":
            number_type = self._torch.bfloat16
            options = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
            options["bnb_4bit_compute_dtype"] = number_type
        estimate = self._size // self._stored * _BITS[wanted] // 8
        return Holding("auto", BitsAndBytesConfig(**options), size or estimate, kind.name)

    def _bytes(self, precision: Precision) -> int:
        """What the weights take at a precision; 0 where the model's shape is not known."""
        return weight_bytes(self._planned.shape, precision).total if self._planned else 0

    def _check_mxfp4(self) -> None:
        """Refuses MXFP4 that this machine would unpack to 16 bits: three times the memory, with no
        more than a warning."""
        from transformers.quantizers.auto import AutoHfQuantizer  # noqa: PLC0415

        quantizer = AutoHfQuantizer.from_config(
            self._config.quantization_config, pre_quantized=True
        )
        if quantizer.quantization_config.dequantize:
            return  # the folder's own wish
        quantizer.validate_environment()
        if quantizer.quantization_config.dequantize:
            raise unpacked(self._name)
        check_repository(self._name)

    def _refusal(self, wanted: str, reason: str) -> SetupError:
        return SetupError(f"{self._name} cannot be run at {wanted}: {reason}", self._nearest())

    def _nearest(self) -> str:
        """What can be had in place of what was asked for."""
        if self._method:
            size = f", {self._size / 1e9:.1f} GB" if self._size else ""
            return f"Leave precision at auto: the checkpoint as it is ({self._method}{size})."
        if self._config.model_type == "gpt_oss":
            size = f", {self._bytes(MXFP4) / 1e9:.1f} GB" if self._planned else ""
            return f"Take the checkpoint that OpenAI published: it is MXFP4{size}."
        return (
            "Take a checkpoint that was quantised beforehand (AWQ, GPTQ), or run it at bf16, or as"
            " GGUF with llama.cpp (`greenroom plan` says what fits)."
        )

    def too_large(self, made: Holding, free: int) -> SetupError:
        hint = "Take a smaller or quantised model, or a server on a larger machine."
        if not self._method and self._planned and not self._planned.shape.experts:
            sizes = ((name, self._bytes(kind)) for name, kind in _BITSANDBYTES.items())
            fitting = [(name, size) for name, size in sizes if size <= free]
            if fitting:
                name, size = fitting[0]
                hint = f"The nearest that fits: --precision {name} ({size / GIB:.1f} GiB). {hint}"
        return SetupError(
            f"the model {self._name} needs {made.size / GIB:.1f} GiB for its weights alone, and"
            f" {free / GIB:.1f} GiB of memory are free here",
            hint,
        )


def unpacked(name: str) -> SetupError:
    """The error for MXFP4 that would be held in 16 bits."""
    return SetupError(
        f"the model {name} is quantised to MXFP4, and this machine cannot run that:"
        f" {'; '.join(_lacking())}. It would be unpacked to 16 bits, three times the memory",
        f"{_mending()}Or run it with a server: ollama, llama.cpp or vLLM (`greenroom models`). With"
        " --precision bf16 it is unpacked where that fits.",
    )


def _mending() -> str:
    """How a machine with a GPU gets the package that it lacks."""
    import torch  # noqa: PLC0415
    from transformers.utils import is_kernels_available  # noqa: PLC0415
    from transformers.utils.import_utils import (  # noqa: PLC0415
        KERNELS_MAX_VERSION,
        KERNELS_MIN_VERSION,
    )

    if not torch.cuda.is_available() or is_kernels_available():
        return ""
    return f"{how_to_install(f'>={KERNELS_MIN_VERSION},<{KERNELS_MAX_VERSION}')}. "


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


def _planned(folder: Path) -> Planned | None:
    try:
        return find_planned(str(folder))
    except UsageError:  # a kind of model that nothing is planned for
        return None


def _has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 itself, which doubles the speed."""
    import torch  # noqa: PLC0415

    able = torch.cpu.get_capabilities()
    return any(able.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
