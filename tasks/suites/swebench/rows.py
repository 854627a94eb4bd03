"""Rows of SWE-bench and its relatives: read from a file or a dataset, and checked.

Fields as in the package `swebench` 5 (types.py, harness/utils.py); SWE-smith's and SWE-rebench's
own fields from their dataset cards.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sandbox.errors import SetupError, UsageError
from tasks.jsonfiles import json_lines, parsed, read_text

#: Names that stand for datasets.
DATASETS = {
    "full": "SWE-bench/SWE-bench",
    "lite": "SWE-bench/SWE-bench_Lite",
    "verified": "SWE-bench/SWE-bench_Verified",
    "multilingual": "SWE-bench/SWE-bench_Multilingual",
    "smith": "SWE-bench/SWE-smith",
    "rebench": "nebius/SWE-rebench",
}
_INSTALL = "Install it into Greenroom's environment: uv tool install 'greenroom[swebench]'."
_REQUIRED = ("instance_id", "repo", "patch", "problem_statement")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

Variant = Literal["swe-bench", "swe-smith", "swe-rebench"]


@dataclass(frozen=True)
class Row:
    """One instance.

    `gold` is the diff that solves it; `defect`, of SWE-smith, the one that has to be applied to the
    image's files to have the task. `eval_script` is the row's own, `test_command` what a row of
    another kind has in its place. `fail_only`: graded by failures alone.
    """

    id: str
    variant: Variant
    repo: str
    base_commit: str
    instruction: str
    gold: bytes
    test_patch: bytes
    fail_to_pass: tuple[str, ...]
    pass_to_pass: tuple[str, ...]
    image: str
    defect: bytes = b""
    eval_script: str = ""
    test_command: str = ""
    parser: str = ""
    fail_only: bool = False
    assets: bool = False
    raw: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)


def read_rows(place: str, split: str = "test") -> list[Row]:
    """The rows of a JSON, JSONL or parquet file, or of a dataset by its name.

    Raises UsageError, naming the file and the line, for what is no instance; SetupError for what
    takes a package that is not there or a network that cannot be reached.
    """
    path = Path(place)
    if path.is_file():
        raw = _from_file(path)
    elif path.suffix in {".json", ".jsonl", ".parquet"}:
        raise UsageError(f"There is no file {place}.", "Give the path of the dataset's file.")
    else:
        raw = _from_dataset(DATASETS.get(place.lower(), place), split)
    rows = [_row(fields, where) for where, fields in raw]
    seen: set[str] = set()
    for row in rows:
        if row.id in seen:
            raise UsageError(f"{place}: the instance {row.id} is there twice.", "Remove one.")
        seen.add(row.id)
    if not rows:
        raise UsageError(f"{place} holds no instance.", "Is it the dataset's file?")
    return rows


def _from_file(path: Path) -> list[tuple[str, Any]]:
    if path.suffix == ".parquet":
        return _from_parquet(path)
    if path.suffix == ".jsonl":
        return list(json_lines(path))
    rows = parsed(read_text(path), str(path))
    if isinstance(rows, dict):
        rows = list(rows.values())
    if not isinstance(rows, list):
        raise UsageError(f"{path}: a list of instances is expected.")
    return [(f"{path}, instance {n}", row) for n, row in enumerate(rows, 1)]


def _from_parquet(path: Path) -> list[tuple[str, Any]]:
    try:
        from pyarrow import ArrowException, parquet  # noqa: PLC0415
    except ImportError:
        raise SetupError(f"Reading {path.name} takes the package pyarrow.", _INSTALL) from None
    try:
        rows = parquet.read_table(path).to_pylist()
    except (ArrowException, OSError) as problem:
        raise UsageError(f"{path} cannot be read as parquet: {problem}") from None
    return [(f"{path}, row {n}", row) for n, row in enumerate(rows, 1)]


def _from_dataset(name: str, split: str) -> list[tuple[str, Any]]:
    try:
        from datasets import load_dataset  # noqa: PLC0415
    except ImportError:
        raise SetupError(
            f"There is no file {name}, and a dataset takes the package datasets.", _INSTALL
        ) from None
    try:
        rows: Iterable[Any] = load_dataset(name, split=split)
        return [(f"{name}, row {n}", dict(row)) for n, row in enumerate(rows, 1)]
    except Exception as problem:  # the library raises errors of many kinds for one cause
        said = " ".join(str(problem).split())[:300]
        raise SetupError(
            f"The dataset {name} could not be loaded: {said}",
            "Is the network there? Else give the path of a file that was downloaded before.",
        ) from problem


def _row(fields: Any, where: str) -> Row:
    if not isinstance(fields, dict):
        raise UsageError(f"{where}: an object is expected, not {type(fields).__name__}.")
    missing = [name for name in _REQUIRED if not isinstance(fields.get(name), str)]
    if missing:
        raise UsageError(f"{where}: no text in {', '.join(missing)}: this is no instance.")
    id = fields["instance_id"]
    if not _NAME.fullmatch(id):
        raise UsageError(f"{where}: {id!r} cannot be the id of an instance.")
    variant = _variant(fields)
    config = fields.get("install_config")
    config = config if isinstance(config, dict) else {}
    patch = fields["patch"].encode()
    smith = variant == "swe-smith"
    return Row(
        id=id,
        variant=variant,
        repo=fields["repo"],
        base_commit=_text(fields, "base_commit"),
        instruction=fields["problem_statement"],
        gold=b"" if smith else patch,
        defect=patch if smith else b"",
        test_patch=_text(fields, "test_patch").encode(),
        fail_to_pass=_ids(fields, "FAIL_TO_PASS", where),
        pass_to_pass=_ids(fields, "PASS_TO_PASS", where),
        image=_image(fields),
        eval_script=_text(fields, "eval_script"),
        test_command=_test_command(config),
        parser=_text(fields, "log_parser") or str(config.get("log_parser") or ""),
        fail_only=fields.get("eval_type") == "fail_only",
        assets=_has_assets(fields.get("image_assets")),
        raw=fields,
    )


def _variant(fields: Mapping[str, Any]) -> Variant:
    if fields["repo"].startswith("swesmith/") or (
        "image_name" in fields and "test_patch" not in fields
    ):
        return "swe-smith"
    return "swe-rebench" if "install_config" in fields else "swe-bench"


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def _ids(fields: Mapping[str, Any], name: str, where: str) -> tuple[str, ...]:
    value = fields.get(name, [])
    if isinstance(value, str):
        value = parsed(value, f"{where}, {name}") if value.strip() else []
    if value is None:
        value = []
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise UsageError(f"{where}: {name} has to be a list of test ids.")
    return tuple(value)


def _image(fields: Mapping[str, Any]) -> str:
    for name in ("image", "docker_image", "image_name"):
        if given := _text(fields, name):
            return given
    # The registry allows no double underscore in a name; so the suite's own images are called.
    name = fields["instance_id"].replace("__", "_1776_").lower()
    return f"swebench/sweb.eval.x86_64.{name}:latest"


def _test_command(config: Mapping[str, Any]) -> str:
    command = config.get("test_cmd")
    if isinstance(command, list):
        return "\n".join(map(str, command))
    return str(command or "")


def _has_assets(value: Any) -> bool:
    """Whether a row needs binary files that its diff does not carry."""
    if isinstance(value, str):
        value = parsed(value, "image_assets") if value.strip() else None
    return isinstance(value, dict) and any(value.values())
