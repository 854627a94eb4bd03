"""Which model a command uses: the one that was named, else one that is here already."""

from typing import Protocol

from agent.models.base import Model, ModelInfo, Price
from agent.models.discovery import Found, discover
from agent.models.registry import open_model
from agent.models.settings import LEAST_WINDOW, ModelSettings
from agent.settings import Settings
from sandbox.errors import UsageError


class Say(Protocol):
    """Tells the user something on the way; `always` even when asked to be quiet."""

    def __call__(self, text: str, *, always: bool = False) -> None: ...


async def choose_model(found: Settings, say: Say) -> Model:
    """Opens the model of the settings, or a local server's or cached one, and says which.

    Nothing is downloaded and nothing paid is used without being named. Raises UsageError with the
    choices when none is named and none is here, or ModelError.
    """
    wanted = model_settings(found)
    name = found["model"]
    if name is None:
        name = _at_hand(await discover(settings=wanted))
        say(f"no model was named; using {name}, which is here")
    return open_model(name, wanted)


def announce(info: ModelInfo, say: Say) -> None:
    """Says where code goes, before any goes there."""
    if info.address and not info.local:
        open_line = " (unencrypted: what is sent can be read on the way)"
        how = open_line if info.address.startswith("http:") else ""
        say(f"the model is not on this machine: {info.name} at {info.address}{how}", always=True)


def warn_of_window(info: ModelInfo, say: Say) -> None:
    """Says of a prepared model that its context is too small, before time goes into an attempt."""
    if info.real and info.context_window is not None and info.context_window < LEAST_WINDOW:
        say(
            f"{info.name} has a context of {info.context_window:,} tokens, with which hardly a task"
            " can be done; `greenroom doctor --model` says how it gets more"
        )


def model_settings(found: Settings, *, retries: int = ModelSettings.retries) -> ModelSettings:
    """What the settings say about a model. Raises UsageError for half a price."""
    prices = found["price_input"], found["price_output"]
    if (prices[0] is None) != (prices[1] is None):
        raise UsageError(
            "a price has two parts, and one is missing", "Give --price-input and --price-output."
        )
    return ModelSettings(
        base_url=found["base_url"],
        key_variable=found["api_key_variable"],
        protocol=found["protocol"],
        vllm_args=found["vllm_args"],
        context_window=found["context_window"],
        first_token_timeout=found["model_timeout"],
        precision=found["precision"],
        device_map=found["device_map"],
        cache_limit=found["cache_limit"],
        grammar=found["grammar"],
        retries=retries,
        written_tools=found["tool_calls"] == "text",
        price=None if prices[0] is None else Price(*prices),
    )


def _at_hand(here: Found) -> str:
    chosen = here.choice()
    if chosen is not None:
        return chosen
    fetch = "" if here.embedded else " (first: greenroom models fetch embedded)"
    key = f" ({here.key_variable} is set)" if here.key_variable else ""
    raise UsageError(
        "no model was named, and none was found on this machine",
        "Choose one:\n"
        f"    -m openai:NAME      a server with a key, or your own with --base-url{key}\n"
        "    -m ollama:NAME      a local server (or vllm:, sglang:, llamacpp:, lmstudio:, mlx:)\n"
        f"    -m embedded         a tiny model on this CPU, for a first look{fetch}",
    )
