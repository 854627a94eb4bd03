"""Whether a text goes in circles: exact cycles, sentences said again, the same runs of words.

Each watch takes a text in blocks of `BLOCK` bytes, costs the same for each and keeps a bounded
tail. What repeats by its nature is not meant: a list that counts up, a table, code, a log. So short
lines count for nothing, numbers are part of what is compared, and most of what was said lately has
to be a repetition.
"""

import re
from collections import Counter, deque
from typing import Any

#: Bytes that are looked at together.
BLOCK = 64
#: An exact cycle is one when it fills so many bytes, and so many times its own length; more where
#: it is no prose: a board of zeros, rows of a table and padding are sound.
_CYCLE, _DATA_CYCLE = 900, 3600
_TURNS = 2.25
#: The bytes that are kept to find it, those by which it is found, and how many places are tried.
_TAIL = 16_384
_NEEDLE, _PLACES = 48, 32
#: Prose has letters and marks for so much of it, and a gap for so many characters.
_TALK, _WORD_LENGTH = 0.8, 15

#: A sentence counts with so many words, so much of it prose.
_WORDS = 6
_PROSE = 0.85
#: A sentence is a repetition when it was said twice among the last ones; so many of the latest have
#: to be one. Whoever goes through an algorithm step by step says few sentences in turns, too.
_SENTENCES = 60
_LATEST_SENTENCES, _REPEATED_SENTENCES = 24, 20

#: A run of words, so many of them no numbers, is a repetition when it was said three times within
#: the last ones; so much of the latest words has to be one.
_RUN, _NAMES = 8, 4
_RECENT_WORDS = 800
_LATEST_WORDS, _REPEATED_SHARE = 240, 0.85
#: The longest text without an end or a gap that is waited for.
_LONGEST = 2000

_END = re.compile(r"[.!?](?=\s)|\n")
_WORD = re.compile(r"\w+")
_GAP = re.compile(r"\W(?=\w*\Z)")


class Cycles:
    """The same bytes again and again. `start` is where the first repetition begins."""

    def __init__(self) -> None:
        self._tail = b""
        self._read = 0
        self.start = 0

    def feed(self, block: bytes) -> str:
        """What is wrong, in words; empty while nothing is."""
        self._tail = (self._tail + block)[-_TAIL:]
        self._read += len(block)
        size = len(self._tail)
        needle = self._tail[-_NEEDLE:]
        place = size - _NEEDLE
        for _ in range(_PLACES if size >= _CYCLE else 0):
            place = self._tail.rfind(needle, 0, place + _NEEDLE - 1)
            period = size - _NEEDLE - place
            length = max(_CYCLE, int(_TURNS * period))
            if place < 0 or length > size:
                return ""
            if self._repeats(length, period):
                talk = _is_talk(self._tail[size - length :])
                going = talk or self._repeats(_DATA_CYCLE, period)
                return self._found(size - length, period) if going else ""
        return ""

    def _repeats(self, length: int, period: int) -> bool:
        """Whether the last `length` bytes are a cycle."""
        begin = len(self._tail) - length
        return begin >= 0 and self._tail[begin + period :] == self._tail[begin:-period]

    def _found(self, begin: int, period: int) -> str:
        while begin and self._tail[begin - 1] == self._tail[begin - 1 + period]:
            begin -= 1
        self.start = self._read - len(self._tail) + begin + period
        return f"the same {max(1, period // 4)} tokens again and again"


class Sentences:
    """The same sentences in any order. `start` as above."""

    def __init__(self) -> None:
        self._open = ""
        self._read = 0
        self._last: deque[str] = deque()
        self._count: Counter[str] = Counter()
        self._latest: deque[tuple[int, bool]] = deque(maxlen=_LATEST_SENTENCES)
        self.start = 0

    def feed(self, text: str) -> str:
        """As for `Cycles`, in whole characters."""
        self._open += text
        begin = 0
        for end in _END.finditer(self._open):
            self._add(self._open[begin : end.end()])
            begin = end.end()
        self._open = self._open[begin:]
        if len(self._open) > _LONGEST:
            self._read += size(self._open)
            self._open = ""
        again = [place for place, repeated in self._latest if repeated]
        if len(again) < _REPEATED_SENTENCES:
            return ""
        self.start = again[0]
        return "the same sentences again and again"

    def _add(self, sentence: str) -> None:
        place = self._read
        self._read += size(sentence)
        words = _WORD.findall(sentence.lower())
        if sentence.endswith("\n") or len(words) < _WORDS or not _is_prose(sentence):
            # What is no sentence cannot repeat, and has its share of what was said.
            if words:
                self._latest.append((place, False))
            return
        known = " ".join(words)
        self._latest.append((place, self._count[known] >= 2))
        self._last.append(known)
        self._count[known] += 1
        if len(self._last) > _SENTENCES:
            _forget(self._count, self._last.popleft())


class Runs:
    """The same runs of words, whatever stands between them. `start` as above."""

    def __init__(self) -> None:
        self._open = ""
        self._read = 0
        self._words: deque[str] = deque(maxlen=_RUN)
        self._last: deque[int] = deque()
        self._count: Counter[int] = Counter()
        self._latest: deque[tuple[int, bool]] = deque()
        self._repeated = 0
        self.start = 0

    def feed(self, text: str) -> str:
        """As for `Cycles`, in whole characters."""
        self._open += text
        gap = _GAP.search(self._open)
        if gap is None and len(self._open) < _LONGEST:
            return ""
        whole = self._open[: gap.end()] if gap else self._open
        self._open = self._open[len(whole) :]
        place = self._read
        self._read += size(whole)
        for word in _WORD.findall(whole.lower()):
            self._add(word, place)
        share = self._repeated / _LATEST_WORDS
        if len(self._latest) < _LATEST_WORDS or share < _REPEATED_SHARE:
            return ""
        self.start = next(place for place, repeated in self._latest if repeated)
        return "the same words in the same order again and again"

    def _add(self, word: str, place: int) -> None:
        self._words.append(word)
        if len(self._words) < _RUN:
            return
        run = hash(tuple(self._words))
        names = sum(not word.isdigit() for word in self._words)
        again = names >= _NAMES and self._count[run] >= 3
        self._latest.append((place, again))
        self._repeated += again
        if len(self._latest) > _LATEST_WORDS:
            self._repeated -= self._latest.popleft()[1]
        self._last.append(run)
        self._count[run] += 1
        if len(self._last) > _RECENT_WORDS:
            _forget(self._count, self._last.popleft())


def size(text: str) -> int:
    """Bytes of a text that may hold half surrogates."""
    return len(text.encode("utf-8", "replace"))


def _is_talk(cycle: bytes) -> bool:
    """Whether somebody speaks, rather than that rows or signs are written."""
    text = cycle.decode("utf-8", "ignore")
    plain = sum(letter.isalpha() or letter in " ,.;:!?'\u2019\uff0c\u3002" for letter in text)
    gaps = sum(letter == " " or letter > "\u2e80" for letter in text)
    return "|" not in text and plain >= _TALK * len(text) and gaps * _WORD_LENGTH >= len(text)


def _is_prose(sentence: str) -> bool:
    plain = sum(letter.isalpha() or letter in " ,'\u2019" for letter in sentence)
    return plain >= _PROSE * len(sentence)


def _forget(count: Counter[Any], oldest: object) -> None:
    count[oldest] -= 1
    if not count[oldest]:
        del count[oldest]
