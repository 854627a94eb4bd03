"""Models in one GGUF file, as far as transformers can read them."""

from pathlib import Path

from agent.models.room import GIB, free_memory
from sandbox.errors import SetupError


def check_file(path: Path, device: str, precision: str) -> None:
    """Raises SetupError, shown to the user, where the file is none, holds a model that only
    llama.cpp runs, or would not fit: its weights are unpacked to 16 bits."""
    kind, numbers = _read(path)
    serve = f"llama-server -m {path} --jinja, then -m llamacpp:NAME"
    if kind.replace("_", "-") == "gpt-oss":
        raise SetupError(
            f"{path.name} holds a gpt-oss, and transformers does not run that from GGUF",
            f"Run it with llama.cpp: {serve}. Or take the checkpoint that OpenAI published.",
        )
    if precision not in {"auto", "bf16", "fp16"}:
        raise SetupError(
            f"{path.name} cannot be run at {precision}: in this process a GGUF file is unpacked to"
            " 16 bits",
            f"llama.cpp runs it as it is: {serve}.",
        )
    size, free = 2 * numbers, free_memory(device)
    if size > free:
        raise SetupError(
            f"{path.name} is unpacked to {size / GIB:.1f} GiB in this process, and"
            f" {free / GIB:.1f} GiB of memory are free here",
            f"llama.cpp runs it as it is: {serve}.",
        )


def _read(path: Path) -> tuple[str, int]:
    """The model's kind, and how many numbers its weights are."""
    from gguf import GGUFReader  # noqa: PLC0415

    try:
        reader = GGUFReader(path)
        kind = str(reader.fields["general.architecture"].contents())
    # The reader maps the file and trusts what it finds there.
    except Exception as error:
        raise SetupError(
            f"{path} cannot be read as GGUF: {str(error).strip() or type(error).__name__}",
            "Give a whole .gguf file, or the folder of a model.",
        ) from error
    return kind, sum(int(tensor.n_elements) for tensor in reader.tensors)
