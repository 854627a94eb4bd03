"""Which dialect the model in a folder speaks."""

from typing import Any

from agent.models.dialect import Dialect
from agent.models.folder_checks import check_generation
from agent.models.harmony import HarmonyDialect
from agent.models.harmony_turn import CHANNEL
from agent.models.templates import TemplateDialect
from sandbox.errors import SetupError


def dialect_of(name: str, config: Any, generation: Any, tokenizer: Any) -> Dialect:
    """Harmony for gpt-oss and what was made of it, else the tokenizer's template.

    `config`, `generation` and `tokenizer` are those of transformers; without a tokenizer it is a
    gpt-oss. Raises SetupError where a harmony model has too small a vocabulary or the generation
    configuration makes no sense, ModelError where the template is of no use.
    """
    check_generation(name, generation)
    if tokenizer is not None and not _is_harmony(tokenizer):
        return TemplateDialect(tokenizer, _stop_ids(generation))
    dialect = HarmonyDialect()
    size = config.get_text_config(decoder=True).vocab_size
    if size <= max(dialect.stop_ids):
        raise SetupError(
            f"the model {name} calls itself a gpt-oss, but its vocabulary has only {size} tokens",
            "Take the weights as OpenAI published them, or a copy that kept the vocabulary.",
        )
    return dialect


def _is_harmony(tokenizer: Any) -> bool:
    return (
        "<|channel|>" in str(tokenizer.chat_template)
        and tokenizer.convert_tokens_to_ids("<|channel|>") == CHANNEL
    )


def _stop_ids(generation: Any) -> frozenset[int]:
    found = generation.eos_token_id
    if found is None:
        return frozenset()
    return frozenset(found if isinstance(found, list) else [found])
