"""An API key that shows itself to nobody but the server it belongs to."""

import re
from collections.abc import Iterable, Mapping

from agent.models.base import ModelError

#: Keys as common services write them, so that somebody else's key in an answer is hidden too.
_KEY_SHAPES = re.compile(r"\b(?:sk|gsk|xai|hf|pk)[-_][A-Za-z0-9_\-*]{8,}")

#: Shorter values are placeholders ("none", "EMPTY", "lm-studio"), and common words besides.
_SHORTEST = 12


class Secret:
    """The key in the environment variable `variable`, empty when there is none; no variable is
    named for a server that gets no key.

    Its text is in no `repr`, `str`, pickle or error; `headers` is the only way out.
    """

    __slots__ = ("_hidden", "_value", "variable")

    def __init__(
        self, variable: str, environment: Mapping[str, str], also: Iterable[str] = ()
    ) -> None:
        """`also` are secrets of the address, to be hidden in what is said as well.

        Raises ModelError, shown to the user, when the variable holds what cannot be a key.
        """
        value = environment.get(variable, "").strip()
        if not all(" " < character <= "~" for character in value):
            raise ModelError(
                f"{variable} holds characters that no key has (blanks or non-ASCII letters)",
                "Set it again, without quotes or line breaks.",
            )
        self.variable = variable
        self._value = value
        self._hidden = tuple(text for text in (value, *also) if len(text) >= _SHORTEST)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return f"Secret({self.variable}, {'set' if self else 'not set'})"

    def __reduce__(self) -> str:
        raise TypeError("a key is never written out")

    def headers(self) -> dict[str, str]:
        """The request header that carries the key; none without a key."""
        return {"Authorization": f"Bearer {self._value}"} if self else {}

    def redact(self, text: str) -> str:
        """`text` without the key, for what a server says."""
        for hidden in self._hidden:
            text = text.replace(hidden, "[key]")
        return text

    def redactor(self) -> "Redactor":
        """A way to redact a text that comes in pieces."""
        return Redactor(self._value if len(self._value) >= _SHORTEST else "")

    def redact_error(self, text: str) -> str:
        """Like `redact`, and without anything that looks like a key: parts of one, another's."""
        return _KEY_SHAPES.sub("[key]", self.redact(text))


class Redactor:
    """Keeps a key out of a text that comes in pieces: what may be its beginning is held back until
    the next piece tells."""

    def __init__(self, value: str) -> None:
        self._value = value
        self._held = ""

    def feed(self, text: str) -> str:
        """What can be shown now."""
        if not self._value:
            return text
        whole = (self._held + text).replace(self._value, "[key]")
        longest = min(len(self._value) - 1, len(whole))
        kept = next((n for n in range(longest, 0, -1) if self._value.startswith(whole[-n:])), 0)
        self._held = whole[len(whole) - kept :]
        return whole[: len(whole) - kept]

    def rest(self) -> str:
        """What was held back, at the end of the text."""
        held, self._held = self._held, ""
        return held
