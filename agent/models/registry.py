"""Names of models and the backends behind them.

A backend is imported when one of its models is opened, never before: torch and httpx are heavy.
"""

import difflib
import os
import re
from collections.abc import Mapping

from agent.models.base import Model, ModelError
from agent.models.servers import PROFILES, parse_endpoint, usual_address
from agent.models.settings import ModelSettings
from sandbox.errors import UsageError

#: Short names of weights, and where the Hugging Face hub has them.
WEIGHTS: Mapping[str, str] = {
    "gpt-oss-20b": "openai/gpt-oss-20b",
    "gpt-oss-120b": "openai/gpt-oss-120b",
}
#: What the name of a model begins with that vLLM runs in this process.
ENGINE = "vllm-engine:"
#: What a name may look like, for messages and help.
FORMS = (
    *(f"{name}:NAME" for name in PROFILES),
    "hf:PATH_OR_NAME",
    "vllm-engine:PATH_OR_NAME",
    *WEIGHTS,
    "embedded",
    "script:FILE",
)
#: What stands behind the colon in Ollama's own names, as in `qwen3:8b`.
_TAG = re.compile(r"latest|(?:\d+x)?\d+(?:\.\d+)?[bm]\b.*", re.IGNORECASE)
_PREFIXES = (*PROFILES, "hf", "vllm-engine", "script")


def open_model(
    name: str, settings: ModelSettings, environment: Mapping[str, str] = os.environ
) -> Model:
    """The model called `name` (see `FORMS`), not yet prepared.

    `environment` gives keys and addresses. Raises UsageError, shown to the user, for a name that
    means nothing or an address that is none, and ModelError for a key that cannot be one.
    """
    if name == "embedded":
        from agent.models.embedded import open_embedded  # noqa: PLC0415

        return open_embedded(settings)
    if name in WEIGHTS:
        return _open_local(WEIGHTS[name], settings)
    prefix, colon, rest = name.partition(":")
    if name not in _PREFIXES and (not colon or prefix not in _PREFIXES):
        raise _unknown(name, prefix, rest)
    if not rest.strip():
        what = "FILE" if prefix == "script" else "NAME"
        raise UsageError(
            f"no model named in {name!r}",
            f"Write {prefix}:{what}; `greenroom models` shows what is here.",
        )
    if prefix == "script":
        from agent.models.scripted import open_script  # noqa: PLC0415

        return open_script(rest)
    if prefix == "vllm-engine":
        from agent.models.engine import open_engine  # noqa: PLC0415

        return open_engine(rest, settings)
    return (
        _open_local(rest, settings)
        if prefix == "hf"
        else _open_server(prefix, rest, settings, environment)
    )


def is_model_name(text: str) -> bool:
    """Whether a text can only be meant as the name of a model."""
    prefix, colon, rest = text.partition(":")
    named = bool(colon and rest) and prefix in _PREFIXES
    return len(text.split()) == 1 and (named or text in WEIGHTS or text == "embedded")


def is_weights(name: str) -> bool:
    """Whether a name means weights that are run in this process, the embedded ones aside."""
    return name in WEIGHTS or name.startswith(("hf:", ENGINE))


def _open_local(name: str, settings: ModelSettings) -> Model:
    from agent.models.local import open_local  # noqa: PLC0415

    return open_local(name, settings)


def _open_server(
    prefix: str, name: str, settings: ModelSettings, environment: Mapping[str, str]
) -> Model:
    from agent.models.openai import OpenAIModel  # noqa: PLC0415
    from agent.models.secret import Secret  # noqa: PLC0415
    from agent.models.served import ServedModel  # noqa: PLC0415

    profile = PROFILES[prefix]
    endpoint = parse_endpoint(settings.base_url or usual_address(profile, environment))
    # A key of OpenAI's is nobody else's business: other servers get one only if told which.
    variable = settings.key_variable or ("OPENAI_API_KEY" if prefix == "openai" else "")
    secret = Secret(variable, environment, endpoint.secrets)
    if not secret and endpoint.base == profile.address and not endpoint.loopback:
        raise ModelError(
            f"{profile.title} wants a key, and {secret.variable} is not set",
            f"Put the key into {secret.variable}, or give another server with --base-url.",
        )
    chat = OpenAIModel(profile, name, endpoint, secret, settings)
    return chat if settings.protocol == "chat" else ServedModel(chat, settings)


def _unknown(name: str, prefix: str, rest: str) -> UsageError:
    """The error for a name that no backend claims, with the nearest one that makes sense."""
    whole = difflib.get_close_matches(name, [*WEIGHTS, "embedded"], n=1, cutoff=0.6)
    near = difflib.get_close_matches(prefix.lower(), _PREFIXES, n=1, cutoff=0.5)
    if _TAG.fullmatch(rest):
        meant = f"ollama:{name}"
    elif rest and near:
        meant = f"{near[0]}:{rest}"
    elif whole:
        meant = whole[0]
    elif "/" in name and not rest:
        meant = f"hf:{name}"
    else:
        meant = f"openai:{name}" if not rest else ""
    return UsageError(
        f"unknown model {name!r}" + (f"; did you mean {meant!r}?" if meant else ""),
        f"A model is one of {', '.join(FORMS)}.",
    )
