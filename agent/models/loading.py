"""Weights of a model that runs in this process: found, checked, loaded. Nothing is downloaded.

All errors are SetupErrors, and the user sees them: each says what is missing and how to get it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.models.checkpoint_files import lacking
from agent.models.extra import check_packages
from agent.models.folder_checks import check_config
from agent.models.gguf_files import check_file
from agent.models.precisions import Holding, choose, method_of, unpacked
from agent.models.settings import ModelSettings
from agent.models.weights import quiet_libraries
from sandbox.errors import SetupError


@dataclass(frozen=True)
class Weights:
    """A folder with a model, its commit where the folder lies in the Hugging Face cache, and the
    file in it that is meant where that is GGUF."""

    name: str
    folder: Path
    revision: str = ""
    file: str = ""

    @property
    def source(self) -> dict[str, Any]:
        """How the library is told of it. Code that lies there is never run: without a word on it
        the library asks on the terminal."""
        more = {"gguf_file": self.file} if self.file else {}
        kept = {"local_files_only": True, "trust_remote_code": False}
        return {"pretrained_model_name_or_path": self.folder, **kept, **more}


@dataclass
class Loaded:
    """A model that is ready to run. `tokenizer` is None for gpt-oss, whose vocabulary the harmony
    library carries. `precision` is how the weights are held; `offloaded` is how many parts of the
    model lie outside of the GPUs."""

    weights: Weights
    model: Any
    tokenizer: Any
    precision: str
    context_window: int | None
    offloaded: int = 0


def load(name: str, settings: ModelSettings) -> Loaded:
    """Loads the model in the folder or GGUF file `name`, or of that name in the Hugging Face cache.
    Takes from seconds to minutes."""
    check_packages("a model in this process")
    quiet_libraries()
    weights = find(name)
    device = _device(settings.device_map)
    if weights.file:
        check_file(weights.folder / weights.file, device, settings.precision)
    config = read_config(weights)
    hold_rotation(config, settings.context_window)
    harmony = config.model_type == "gpt_oss"
    tokenizer = None if harmony else read_tokenizer(weights)
    if weights.file:
        holding = _unpacked_file(settings.precision)
    else:
        holding = choose(weights.name, weights.folder, config, settings.precision, device)
        check_whole(weights)
    model = _model(weights, config, holding, device)
    text = config.get_text_config(decoder=True)
    places = (getattr(model, "hf_device_map", None) or {}).values()
    return Loaded(
        weights,
        model,
        tokenizer,
        precision=holding.name or str(model.dtype).removeprefix("torch."),
        context_window=getattr(text, "max_position_embeddings", None),
        offloaded=0 if device == "cpu" else sum(place in {"cpu", "disk"} for place in places),
    )


def _device(wanted: str) -> str:
    """Where the weights go: `auto` (all GPUs there are, then main memory) or one device."""
    import torch  # noqa: PLC0415

    if wanted == "auto":
        return "auto" if torch.accelerator.is_available() else "cpu"
    try:
        kind = torch.device(wanted).type
    except RuntimeError:
        kind = ""
    here = torch.accelerator.is_available() and torch.accelerator.current_accelerator().type
    if kind not in {"cpu", here}:
        raise SetupError(
            f"device_map is {wanted!r}, and there is no such device here",
            "Write auto, cpu, or a device that torch has here, such as cuda or cuda:1.",
        )
    return wanted


def _unpacked_file(precision: str) -> Holding:
    """How a GGUF file's weights are held: few bits and a scale fit into bfloat16."""
    import torch  # noqa: PLC0415
    from transformers import GgufConfig  # noqa: PLC0415

    number_type = torch.float16 if precision == "fp16" else torch.bfloat16
    return Holding(number_type, GgufConfig(dequantize=True))


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
    if path.suffix == ".gguf" and path.is_file():
        return Weights(name, path.resolve().parent, file=path.name)
    if path.exists():
        raise SetupError(
            f"{path} is a file, and no .gguf",
            "Give the folder that holds config.json and the weights.",
        )
    if name.startswith(("/", ".", "~")) or name.count("/") > 1:
        raise SetupError(f"there is no folder or file {path}", "Check the path.")
    return _cached(name)


def _cached(name: str) -> Weights:
    from huggingface_hub import snapshot_download  # noqa: PLC0415
    from huggingface_hub.errors import (  # noqa: PLC0415
        HFValidationError,
        LocalEntryNotFoundError,
    )

    try:
        folder = Path(snapshot_download(name, local_files_only=True))
    except LocalEntryNotFoundError as error:
        # Some files of a repository may be the whole model: vLLM, for one, fetches no others. What
        # is missing of those that are needed is told later.
        partial = getattr(error, "snapshot_path", None)
        if partial is None:
            raise SetupError(
                f"the model {name} is not on this machine, and Greenroom downloads none by itself",
                f"Get it with: {_download(name)}",
            ) from None
        folder = Path(partial)
    except HFValidationError as error:
        raise SetupError(
            f"{name!r} is neither a folder nor the name of a model: {error}",
            "Write OWNER/NAME as on the Hugging Face hub, or the path of a folder.",
        ) from None
    if not (folder / "config.json").is_file():
        raise _incomplete(name, "there is no config.json")
    return Weights(name, folder, folder.name)


def check_whole(weights: Weights) -> None:
    """Raises SetupError where files of the weights are missing or cut off."""
    if not weights.file and (reason := lacking(weights.folder)):
        raise _incomplete(weights.name, reason)


def _incomplete(name: str, reason: str) -> SetupError:
    hint = "Copy the whole folder again: config.json, the weights and the tokenizer."
    if not Path(name).expanduser().exists():
        hint = f"Get the rest with: {_download(name)}"
    return SetupError(f"the model {name} is not whole on this machine: {reason}", hint)


def _download(name: str) -> str:
    """The command that gets a model, without the copies of its weights in other formats. `hf` is
    on no path where Greenroom is installed as a tool."""
    others = "--exclude 'original/*' --exclude 'metal/*'"
    return f"uvx --from huggingface_hub hf download {name} {others}"


def first_line(error: BaseException) -> str:
    """What an exception of a library says first; its type where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def read_config(weights: Weights) -> Any:
    """The configuration in the folder, as transformers has it."""
    from transformers import AutoConfig  # noqa: PLC0415

    if not weights.file:
        check_config(weights.name, weights.folder / "config.json")
    try:
        return AutoConfig.from_pretrained(**weights.source)
    # A library of many authors: what it raises on fields that make no sense has no pattern.
    except Exception as error:
        raise SetupError(
            f"transformers cannot use the model {weights.name}: {first_line(error)}",
            "It may need a newer transformers, or code of its own, which Greenroom does not run.",
        ) from error


def hold_rotation(config: Any, window: int | None) -> None:
    """Makes a model with LongRoPE (Phi-3 and later) use one table of rotations for texts of every
    length up to `window` (None: all that it can have), as vLLM and llama.cpp do.

    The library takes another table once a text is long. What a cache has kept of its beginning
    then fits no longer, nor does it fit to other conversations.
    """
    text = config.get_text_config(decoder=True)
    table = getattr(text, "rope_parameters", None)
    if not isinstance(table, dict) or table.get("rope_type") != "longrope":
        return
    short = table.get("original_max_position_embeddings") or text.max_position_embeddings
    if min(window or text.max_position_embeddings, text.max_position_embeddings) > short:
        table["short_factor"] = table["long_factor"]


def read_tokenizer(weights: Weights) -> Any:
    """The tokenizer in the folder, which has a chat template."""
    from transformers import AutoTokenizer  # noqa: PLC0415

    try:
        tokenizer = AutoTokenizer.from_pretrained(**weights.source)
    # The tokenizers' own library raises plain Exceptions on a damaged file.
    except Exception as error:
        raise _incomplete(weights.name, f"no tokenizer: {first_line(error)}") from error
    if not tokenizer.chat_template:
        raise SetupError(
            f"the model {weights.name} has no chat template, so it cannot follow a conversation",
            "Take its variant that is tuned for instructions (often named -Instruct or -it).",
        )
    return tokenizer


def _model(weights: Weights, config: Any, holding: Holding, device: str) -> Any:
    import torch  # noqa: PLC0415
    from transformers import AutoModelForCausalLM  # noqa: PLC0415

    try:
        model, report = AutoModelForCausalLM.from_pretrained(
            **weights.source,
            **({} if weights.file else {"config": config}),
            dtype=holding.number_type,
            device_map=None if device == "cpu" else device,
            quantization_config=holding.quantization,
            output_loading_info=True,
        )
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise SetupError(
            f"memory ran out while the model {weights.name} was loaded: {first_line(error)}",
            "Close other programs that use it, or take a smaller model.",
        ) from error
    except ImportError as error:
        raise SetupError(
            f"the model {weights.name} needs a package that is not installed: {first_line(error)}",
            "Install it beside Greenroom.",
        ) from error
    # A library of many authors: what it raises on damaged files or absent parts has no pattern.
    except Exception as error:
        raise _incomplete(weights.name, first_line(error)) from error
    if missing := sorted(report["missing_keys"]):
        # The library fills such gaps with random numbers.
        raise _incomplete(weights.name, f"weights are missing, {missing[0]} for one")
    quantizer = getattr(model, "hf_quantizer", None)
    unpacks = getattr(getattr(quantizer, "quantization_config", None), "dequantize", False)
    if method_of(config) == "mxfp4" and unpacks and holding.name == "mxfp4":
        asked = config.quantization_config
        if not (asked if isinstance(asked, dict) else asked.to_dict()).get("dequantize"):
            raise unpacked(weights.name)
    return model.eval()
