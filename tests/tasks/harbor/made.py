"""Small tasks in the exact layout that Harbor's own `init` makes, on an image that is here: the
template's FROM and its downloads cannot be had everywhere."""

from pathlib import Path

INSTRUCTION = "Write the word hello, and nothing else, to /app/hello.txt.\n"
#: As `harbor task init` writes it, but for the verifier's mode.
CONFIG = """\
schema_version = "1.4"
artifacts = {artifacts}

[task]
name = "demo/hello"
version = "1.0.0"
description = ""
authors = []
keywords = []

[metadata]

[verifier]
timeout_sec = 60.0
environment_mode = "{mode}"

[verifier.env]
EXPECTED = "hello"

[agent]
timeout_sec = 60.0

[environment]
network_mode = "no-network"
build_timeout_sec = 600.0
memory_mb = 512
cpus = 1

[environment.env]
GREETING = "${{NOWHERE:-hello}}"
"""
TEST_SCRIPT = """\
#!/bin/bash

# Install test dependencies in tests/Dockerfile.
# This script runs from the working directory and writes the reward.

if pytest /tests/test_outputs.py -rA -p no:cacheprovider; then
  echo 1 > /logs/verifier/reward.txt
else
  echo 0 > /logs/verifier/reward.txt
fi
"""
TESTS = """\
import os
from pathlib import Path


def test_outputs():
    assert Path("/app/hello.txt").read_text().strip() == os.environ["EXPECTED"]
"""
SOLUTION = '#!/bin/bash\n\necho "$GREETING" > hello.txt\n'
BARE = '#!/bin/bash\n[ "$(cat hello.txt)" = hello ] && echo 1 > /logs/verifier/reward.txt\n'
# What the distribution has as pytest-3 the template calls pytest.
ENVIRONMENT = """\
FROM {image}
RUN [ -e /usr/bin/pytest ] || ln -s pytest-3 /usr/bin/pytest
COPY note.txt /srv/
WORKDIR /app
"""
VERIFIER = """\
FROM {image}
RUN [ -e /usr/bin/pytest ] || ln -s pytest-3 /usr/bin/pytest
WORKDIR /app
COPY . /tests/
"""


def task(
    folder: Path,
    image: str,
    *,
    separate: bool = False,
    tests: str = TESTS,
    script: str = TEST_SCRIPT,
    config: str = "",
) -> Path:
    """A task in `folder`, its images built on `image`; `config` is put after its task.toml."""
    text = CONFIG.format(
        mode="separate" if separate else "shared",
        artifacts='["/app/hello.txt"]' if separate else "[]",
    )
    files = {
        "instruction.md": INSTRUCTION,
        "task.toml": text + config,
        "environment/Dockerfile": ENVIRONMENT.format(image=image),
        "environment/note.txt": "a file of the context\n",
        "tests/test.sh": script,
        "tests/test_outputs.py": tests,
        "solution/solve.sh": SOLUTION,
    }
    if separate:
        files["tests/Dockerfile"] = VERIFIER.format(image=image)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder
