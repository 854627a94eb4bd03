"""What a model in this process needs and finds here, without loading it."""

from collections.abc import Iterator, Sequence

from agent.models.doctor.findings import Examination, Finding, window_of
from agent.models.extra import HOW_TO_INSTALL, HOW_TO_INSTALL_VLLM, VLLM, missing_packages
from agent.models.registry import ENGINE, WEIGHTS
from agent.models.settings import USEFUL_WINDOW, ModelSettings
from agent.models.weights import FETCH_HINT, NAME, QUANTISATION, find_embedded, quiet_libraries
from agent.planning.find import Model, find
from agent.planning.fit import Wish
from agent.planning.machine import here
from agent.planning.plan import make_plan
from agent.planning.quantities import gb, gib, tokens
from sandbox.errors import SetupError, UsageError


def examine_embedded() -> Examination:
    file = find_embedded()
    if file is None:
        weights = Finding("weights", "bad", f"{NAME} is not here", "", FETCH_HINT)
    else:
        weights = Finding("weights", "good", f"{NAME} ({QUANTISATION}) in {file}")
    size = Finding(
        "model",
        "note",
        "135 million parameters: it ranks small edits, and writes none",
        "only one-line defects are within its reach",
        "Use it for a first look.",
    )
    findings = (_packages(), weights, size)
    return Examination("embedded", "", "this process", "", None, findings)


def examine_weights(name: str, settings: ModelSettings) -> Examination:
    """The weights called `name` (a folder, a name on the hub, a short name), still on the disk."""
    engine = name.startswith(ENGINE)
    whole = WEIGHTS.get(name, name.removeprefix("hf:").removeprefix(ENGINE))
    found = [_packages(VLLM, HOW_TO_INSTALL_VLLM) if engine else _packages()]
    here_is = _on_disk(whole)
    found.append(here_is)
    window = None
    if not engine and here_is.state == "good":
        found.append(_held(whole, settings))
    try:
        model = find(whole)
    except UsageError as problem:
        found.append(Finding("memory", "untold", problem.message, "", problem.hint))
    else:
        window = min(settings.context_window or model.shape.context, model.shape.context)
        found.append(window_of(window, model.shape.context, "Give a larger --context-window."))
        found += [each for each in _memory(model) if each.name not in {f.name for f in found}]
    return Examination(whole, "", "this process", "", window, tuple(found))


def _packages(wanted: Sequence[str] = (), how: str = HOW_TO_INSTALL) -> Finding:
    missing = missing_packages(wanted)
    if not missing:
        return Finding("packages", "good", "all that is needed is installed")
    lacking = f"missing: {', '.join(missing)}"
    return Finding("packages", "bad", lacking, "no weights can be run", how)


def _on_disk(name: str) -> Finding:
    if missing_packages():
        return Finding("weights", "untold", "what would find them is not installed")
    from agent.models import loading  # noqa: PLC0415 - needs those packages

    quiet_libraries()
    try:
        weights = loading.find(name)
        loading.check_whole(weights)
        if not weights.file and loading.read_config(weights).model_type != "gpt_oss":
            loading.read_tokenizer(weights)
        return Finding("weights", "good", f"in {weights.folder}")
    except SetupError as problem:
        return Finding("weights", "bad", problem.message, "", problem.hint)


def _held(name: str, settings: ModelSettings) -> Finding:
    """How the weights would be held, as their loading decides it."""
    import torch  # noqa: PLC0415

    from agent.models.loading import find as find_weights  # noqa: PLC0415
    from agent.models.loading import read_config  # noqa: PLC0415
    from agent.models.precisions import choose  # noqa: PLC0415

    weights, device = find_weights(name), settings.device_map
    if weights.file:
        return Finding("precision", "good", "a GGUF file, unpacked to 16 bits")
    if device == "auto" and not torch.accelerator.is_available():
        device = "cpu"
    try:
        made = choose(name, weights.folder, read_config(weights), settings.precision, device)
    except SetupError as problem:
        return Finding("precision", "bad", problem.message, "", problem.hint)
    held = made.name or str(made.number_type).removeprefix("torch.")
    return Finding("precision", "good", f"{held}, {gb(made.size)} of weights")


def _memory(model: Model) -> Iterator[Finding]:
    """Precision, and whether a conversation fits, as `greenroom plan` counts it."""
    shape, cards = model.shape, here()
    wish = Wish(min(USEFUL_WINDOW, shape.context))
    plan = make_plan(model, cards, wish)
    held = f"{model.native.name} as shipped"
    if plan.chosen is None:
        hint = plan.ways[0].text if plan.ways else f"`greenroom plan {model.name}` says what would."
        yield Finding("memory", "bad", f"it does not fit {cards}: {plan.why}", "", hint)
        return
    if model.native.name == "mxfp4" and cards.kind != "cuda":
        yield Finding(
            "precision",
            "bad",
            "MXFP4 as shipped, which needs a CUDA card; it would be unpacked to 16 bits",
            "three times the memory",
            "Run its GGUF with a server: ollama, llama.cpp (`greenroom plan` has the command).",
        )
        return
    need, room = gib(plan.chosen.each_needed), gib(plan.chosen.each_usable)
    same = plan.chosen.precision.name == model.native.name
    yield Finding(
        "precision",
        "good" if same else "note",
        held if same else f"{held}; on {cards} it is held as {plan.chosen.precision.name}",
        "" if same else f"{gb(plan.chosen.weights.total)} of weights",
    )
    yield Finding(
        "memory", "good", f"{need} of {room} on {cards}, with {tokens(wish.context)} of context"
    )
    if cards.kind == "cpu":
        yield Finding(
            "speed",
            "note",
            "there is no GPU",
            "some tokens a second at best, and minutes for a long prompt",
            "Take a model server on a machine with one, with --base-url.",
        )
