"""What the tokens of a vocabulary stand for."""

from typing import Any


class Vocabulary:
    """The text of each token: None for special tokens and for parts of a character.

    `within_line` and `speakable` are masks over the vocabulary: tokens with text and without a line
    break, and all tokens with text.
    """

    def __init__(self, tokenizer: Any) -> None:
        import torch  # noqa: PLC0415

        special = set(tokenizer.all_special_ids)
        texts = tokenizer.batch_decode([[number] for number in range(len(tokenizer))])
        self.texts: list[str | None] = [
            text if text and "\ufffd" not in text and number not in special else None
            for number, text in enumerate(texts)
        ]
        self.speakable = torch.tensor([text is not None for text in self.texts])
        self.within_line = torch.tensor(
            [text is not None and "\n" not in text for text in self.texts]
        )
        self._tokenizer = tokenizer

    def text(self, token: int) -> str:
        """The text of a token that has one; else nothing."""
        return self.texts[token] or ""

    def breaks_line(self, token: int) -> bool:
        return "\n" in self.text(token)

    def line_break(self, indent: int) -> int | None:
        """The token that ends a line and begins one that is indented by `indent` spaces; its word
        brings the last of them. None where no single token does that."""
        ids = self._tokenizer("\n" + " " * (indent - 1), add_special_tokens=False)["input_ids"]
        return ids[0] if len(ids) == 1 and indent > 0 else None
