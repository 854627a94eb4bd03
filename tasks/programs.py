"""Which files of a repository a shell command runs: scripts, not what they are given to work on."""

import posixpath
import re
import shlex
from collections.abc import Container, Iterator

#: Programs that run the first file they are given.
_INTERPRETERS = re.compile(r"(python|pypy)[\d.]*|(ba|da|z|k)?sh|node|deno|bun|perl|ruby|php|lua")
_SHELLS = re.compile(r"(ba|da|z|k)?sh")
#: Programs that run the program they are given.
_WRAPPERS = frozenset({"env", "exec", "command", "time", "nice", "timeout", "xvfb-run", "nohup"})
_MAKE = frozenset({"make", "gmake"})
#: Options of interpreters that the next word belongs to.
_VALUED = frozenset({"-X", "-W", "-r", "--require", "--import", "--loader"})
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_OPERATORS = frozenset("();<>|&\n")
_DEEPEST = 4


def files_run(command: str, existing: Container[str], depth: int = 0) -> Iterator[str]:
    """Paths of `existing` that the command runs as programs or hands to an interpreter."""
    for words in filter(None, map(_unwrapped, _simple_commands(command))):
        yield from _existing(words[0], existing)
        program = posixpath.basename(words[0])
        if _INTERPRETERS.fullmatch(program):
            yield from _handed(program, words[1:], existing, depth)


def runs_make(command: str) -> bool:
    """Whether a command runs `make`."""
    simple = _simple_commands(command)
    return any(_MAKE & {posixpath.basename(word) for word in words} for words in simple)


def _unwrapped(words: list[str]) -> list[str]:
    """A simple command without its assignments and the wrappers before its program."""
    rest = list(words)
    while rest and (_ASSIGNMENT.match(rest[0]) or posixpath.basename(rest[0]) in _WRAPPERS):
        del rest[0]
        while rest and re.match(r"-|\d", rest[0]):  # a wrapper's own
            del rest[0]
    return rest


def _handed(program: str, words: list[str], existing: Container[str], depth: int) -> Iterator[str]:
    valued = False
    for number, word in enumerate(words):
        if valued:
            valued = False
            continue
        valued = word in _VALUED
        if word == "-m":  # a module of Python's
            return
        if re.fullmatch(r"-[a-z]*c", word):
            inner = words[number + 1 : number + 2]
            if inner and _SHELLS.fullmatch(program) and depth < _DEEPEST:
                yield from files_run(inner[0], existing, depth + 1)
            return
        if not word.startswith("-"):
            yield from _existing(word, existing)
            return


def _existing(word: str, existing: Container[str]) -> Iterator[str]:
    path = posixpath.normpath(word)
    if path in existing:
        yield path


def _simple_commands(command: str) -> Iterator[list[str]]:
    """The words of each command in a line of shell."""
    lexer = shlex.shlex(command.replace("\n", " ; "), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    words: list[str] = []
    try:
        for word in lexer:
            if set(word) <= _OPERATORS:
                yield words
                words = []
            else:
                words.append(word)
    except ValueError:  # a quote that is not closed: what came before it counts
        pass
    yield words
