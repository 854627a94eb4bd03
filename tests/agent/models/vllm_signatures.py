"""What a released vLLM takes and gives, read from its wheel without importing it:

python -m tests.agent.models.vllm_signatures vllm-0.33.0-...whl > tests/agent/models/vllm.json
"""

import ast
import json
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

RECORDED = Path(__file__).with_name("vllm.json")

#: The names that a call may give, and the attributes that an object has, by where they are written.
_CALLS = {
    "AsyncLLM.generate": "vllm/v1/engine/async_llm.py",
    "AsyncLLM.from_engine_args": "vllm/v1/engine/async_llm.py",
    "AsyncLLM.shutdown": "vllm/v1/engine/async_llm.py",
    "ModelConfig.get_diff_sampling_param": "vllm/config/model.py",
    "RequestOutput.__init__": "vllm/outputs.py",
    "tokens_input": "vllm/inputs/engine.py",
}
_FIELDS = {
    "EngineArgs": "vllm/engine/arg_utils.py",
    "AsyncEngineArgs": "vllm/engine/arg_utils.py",
    "SamplingParams": "vllm/sampling_params.py",
    "RequestOutputKind": "vllm/sampling_params.py",
    "CompletionOutput": "vllm/outputs.py",
    "ModelConfig": "vllm/config/model.py",
}


def read(wheel: Path) -> dict[str, list[str]]:
    """By name: the parameters of functions, the fields of classes."""
    with zipfile.ZipFile(wheel) as packed:
        trees = {
            path: ast.parse(packed.read(path)) for path in {*_CALLS.values(), *_FIELDS.values()}
        }
    found = {name: list(_parameters(_find(trees[path], name))) for name, path in _CALLS.items()}
    return found | {name: list(_fields(_find(trees[path], name))) for name, path in _FIELDS.items()}


def recorded() -> Mapping[str, list[str]]:
    kept: dict[str, list[str]] = json.loads(RECORDED.read_text("utf-8"))
    return kept


def _find(tree: ast.AST, name: str) -> ast.AST:
    first, _, rest = name.partition(".")
    for node in ast.iter_child_nodes(tree):
        if getattr(node, "name", None) == first:
            return _find(node, rest) if rest else node
    raise LookupError(name)


def _parameters(function: ast.AST) -> Iterator[str]:
    given = function.args  # type: ignore[attr-defined]
    for each in (*given.posonlyargs, *given.args, *given.kwonlyargs):
        if each.arg not in ("self", "cls"):
            yield each.arg


def _fields(owner: ast.AST) -> Iterator[str]:
    for node in ast.iter_child_nodes(owner):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id


if __name__ == "__main__":
    print(json.dumps(read(Path(sys.argv[1])), indent=1))
