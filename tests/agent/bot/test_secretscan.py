import builtins
import socket
from typing import Any

import pytest

from agent.bot import secretscan
from sandbox.errors import SetupError
from sandbox.patch import FILE, Change, Patch

# Put together here, so that nobody's scanner takes them for secrets of this repository.
SECRETS = {
    "GitHub Token": "ghp_" + "a1B2c3" * 6,
    "GitHub Token, fine": "github_pat_" + "11AAAAAAA0" + "b2C3d4" * 8,
    "GitLab Token": "glpat-" + "x7Yz" * 5,
    "AWS Access Key": "AKIA" + "Q7WX2Z9K" * 2,
    "Slack Token": "xoxb-" + "123456789012-" * 2 + "aB3dE5" * 4,
    "Private Key": "-----BEGIN OPENSSH " + "PRIVATE KEY-----",
    "Private Key, locked": "-----BEGIN ENCRYPTED " + "PRIVATE KEY-----",
    "JSON Web Token": "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0NTY3ODkwIn0" + ".c2lnbmF0dXJl",
    "Hugging Face Token": "hf_" + "aB3dE5gH" * 4,
    "Anthropic Key": "sk-ant-" + "api03-" + "aB3dE5gH" * 5,
    "OpenAI Key": "sk-proj-" + "aB3dE5gH" * 5,
    "Google API Key": "AIza" + "aB3dE5g" * 5,
    "Basic Auth Credentials": "https://bob:" + "tr0ub4dor@corp.internal/x",
    "Secret Keyword": 'password = "' + 'tr0ub4dor9"',
    "Base64 High Entropy String": 'x = "' + 'Zm9vYmFyQUJDREVGMTIzNDU2Nzg5MHh5enF3ZXJ0"',
}
INNOCENT = [
    "def test_the_score_weighs_the_readings_the_bridge_and_the_suspicion() -> None:",
    'EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"',
    'sha = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"',
    'run_id = "123e4567-e89b-12d3-a456-426614174000"',
    'password = os.environ["DATABASE_PASSWORD"]',
    'password = "a secret"',
    'if secret_type == "dependabot2":',
    'token = "${TOKEN_OF_CI_2}"',
    'proxy = "http://user:s3cret@127.0.0.1:8080"',
    'url = "https://bob:hunter2@index.example/simple"',
    "secret = get_secret(1)",
    'alphabet = "abcdefghijklmnopqrstuvwxyz0123456789"',
    "-----BEGIN PUBLIC KEY-----",
]


def scanned(content: bytes, before: bytes | None = None, path: str = "src/a.py") -> tuple[str, ...]:
    return secretscan.found(Patch((Change(path, FILE, content),)), lambda name: before)


@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_is_found_and_not_told(kind: str) -> None:
    found = scanned(f"import os\n\n# {SECRETS[kind]}\n".encode())
    assert f"src/a.py, line 3, adds what looks like a secret ({kind.partition(',')[0]})." in found
    assert SECRETS[kind] not in "".join(found)


@pytest.mark.parametrize("line", INNOCENT)
def test_what_is_no_secret(line: str) -> None:
    assert scanned(line.encode()) == ()


@pytest.mark.parametrize(
    "comment", ["# pragma: allowlist secret", "// pragma: allowlist nextline secret", "# nosec"]
)
def test_no_comment_switches_it_off(comment: str) -> None:
    content = f"{comment}\nx = '{SECRETS['GitHub Token']}'  {comment}\n"
    assert len(scanned(content.encode())) == 1


def test_only_what_a_patch_adds_is_looked_at() -> None:
    line = f"key = '{SECRETS['GitHub Token']}'\n".encode()
    assert scanned(b"a\n" + line + b"b\n", line) == ()
    assert scanned(line + b"a\n" * 50, b"a\n" * 50 + line) == ()
    assert secretscan.found(Patch((Change("a", None, None),)), lambda name: line) == ()


def test_a_long_line_is_looked_at_whole() -> None:
    for filler in (3_900, 3_990, 50_000):
        content = b" " * filler + SECRETS["GitHub Token"].encode() + b" " * 10_000
        assert len(scanned(content)) == 1


def test_what_is_no_text_is_looked_at_too() -> None:
    (found,) = scanned(b"\0\xff\n\0" + SECRETS["Private Key"].encode(), path="key.bin")
    assert found.startswith("key.bin, line 2, ")


def test_many_are_counted() -> None:
    found = scanned(f"x = '{SECRETS['GitHub Token']}'\n".encode() * 30)
    assert len(found) == 21
    assert found[-1] == "There are 10 more like these."


def test_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    scanned("\n".join(SECRETS.values()).encode())


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    there = builtins.__import__

    def missing(name: str, *rest: Any) -> Any:
        if name.startswith("detect_secrets"):
            raise ImportError(name)
        return there(name, *rest)

    secretscan._detectors.cache_clear()
    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(SetupError, match="detect-secrets") as refused:
        scanned(b"x")
    assert "greenroom[ci]" in refused.value.hint
