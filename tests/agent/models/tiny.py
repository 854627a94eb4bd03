"""Models with random weights, made in moments: all is real but what they say."""

import json
from pathlib import Path
from typing import Any

#: In the manner of Qwen's: tools in the system message, calls in tags, results as user messages.
TEMPLATE = """\
{%- if tools %}<|im_start|>system
{% if messages[0].role == 'system' %}{{ messages[0].content }}{% endif %}
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}<|im_end|>
{% elif messages[0].role == 'system' %}<|im_start|>system
{{ messages[0].content }}<|im_end|>
{% endif %}
{%- for message in messages %}
{%- if message.role == 'user' %}<|im_start|>user
{{ message.content }}<|im_end|>
{% elif message.role == 'assistant' %}<|im_start|>assistant
{% if message.reasoning_content %}<think>{{ message.reasoning_content }}</think>{% endif %}
{{- message.content }}
{%- for call in message.tool_calls %}<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>{% endfor %}<|im_end|>
{% elif message.role == 'tool' %}<|im_start|>user
<tool_response>{{ message.content }}</tool_response><|im_end|>
{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


def tokenizer(template: str = TEMPLATE) -> Any:
    """A vocabulary of bytes and three marks."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({letter: place for place, letter in enumerate(letters)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=made,
        eos_token="<|im_end|>",
        bos_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>"],
    )
    fast.chat_template = template or None
    return fast


def llama(**more: Any) -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(1)
    sizes = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 4096}
    # Wide weights: with the usual ones every token is as likely as any other.
    other = {"vocab_size": 259, "initializer_range": 0.5, "bos_token_id": None}
    config = LlamaConfig(**{**sizes, **heads, **other, "eos_token_id": None, **more})
    return LlamaForCausalLM(config).eval()


def gpt_oss(**more: Any) -> Any:
    """With the real vocabulary and a window so small that each prompt leaves it."""
    import torch
    from transformers import GptOssConfig, GptOssForCausalLM

    torch.manual_seed(1)
    sizes = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2, "head_dim": 16}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "sliding_window": 8}
    experts = {"num_local_experts": 4, "num_experts_per_tok": 2}
    config = GptOssConfig(**{**sizes, **heads, **experts, "vocab_size": 201_088, **more})
    return GptOssForCausalLM(config).eval()


def save(folder: Path, template: str = TEMPLATE, **more: Any) -> Path:
    """A folder with a tiny Llama as the hub has them."""
    llama(**more).save_pretrained(folder)
    tokenizer(template).save_pretrained(folder)
    return folder


def edit_config(folder: Path, **values: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **values}), "utf-8")
