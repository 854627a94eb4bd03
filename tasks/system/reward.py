"""What a task's verifier says that the work is worth."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from sandbox.container import Sandbox
from sandbox.results import FileProblem

FOLDER = "/logs/verifier"
_JSON, _TEXT = f"{FOLDER}/reward.json", f"{FOLDER}/reward.txt"
#: The reward that counts where there are several.
MAIN = "reward"
_MOST_BYTES = 1 << 20
SOLVED = 1.0


class NoReward(Exception):
    """There is no reward, or none that can be read; the text says which, as a sentence."""


@dataclass(frozen=True)
class Reward:
    """The rewards by name. `twice`: both files were written and do not agree."""

    values: Mapping[str, float]
    twice: bool = False

    @property
    def value(self) -> float:
        """The one that counts: `reward`, or, without that, the least of all."""
        return self.values.get(MAIN, min(self.values.values()))

    @property
    def solved(self) -> bool:
        return self.value >= SOLVED


async def read_reward(box: Sandbox) -> Reward:
    """The reward in a sandbox whose workspace is all of the file system: that of reward.json, or,
    where there is none, of reward.txt. Raises NoReward."""
    text, line = await _read(box, _JSON), await _read(box, _TEXT)
    if text is None and line is None:
        raise NoReward("The verifier wrote no reward.")
    if text is None:
        return Reward({MAIN: of_line(line or b"")})
    values = of_json(text)
    reward = Reward(values)
    if line is not None:
        try:
            agrees = of_line(line) == reward.value
        except NoReward:
            agrees = False
        reward = Reward(values, twice=not agrees)
    return reward


async def _read(box: Sandbox, path: str) -> bytes | None:
    try:
        return await box.read(path.lstrip("/"), limit=_MOST_BYTES)
    except FileNotFoundError:
        return None
    except (FileProblem, OSError) as problem:
        raise NoReward(f"The reward in {path} cannot be read: {problem}.") from None


def of_line(content: bytes) -> float:
    """The reward in the text of a reward.txt: one finite number. Raises NoReward."""
    text = content.decode("utf-8", "replace").strip()
    try:
        value = float(text)
    except ValueError:
        raise NoReward(f"{_TEXT} holds no number: {text[:80]!r}.") from None
    if not math.isfinite(value):
        raise NoReward(f"{_TEXT} holds no finite number: {text[:80]}.")
    return value


def of_json(content: bytes) -> dict[str, float]:
    """The rewards in the text of a reward.json: finite numbers by name. Raises NoReward."""
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as problem:
        raise NoReward(f"{_JSON} is not JSON: {problem}.") from None
    if not isinstance(data, dict) or not data:
        raise NoReward(f"{_JSON} holds no rewards by name.")
    found = {}
    for name, value in data.items():
        if not isinstance(value, int | float):
            raise NoReward(f"{_JSON}: {name!r} is not a number.")
        try:
            found[name] = float(value)
        except OverflowError:
            found[name] = math.inf
        if not math.isfinite(found[name]):
            raise NoReward(f"{_JSON}: {name!r} is not a finite number.")
    return found
