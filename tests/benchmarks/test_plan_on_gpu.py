import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "plan_on_gpu.py"

pytest.importorskip("transformers")


@pytest.mark.parametrize(
    "model", ["gpt-oss-20b", pytest.param("deepseek-coder-v2-lite", marks=pytest.mark.nightly)]
)
def test_a_small_model_takes_what_was_predicted(model: str) -> None:
    asked = ("--model", model, "--shrink", "32", "--lengths", "60", "200", "--json")
    done = subprocess.run(
        [sys.executable, SCRIPT, *asked], capture_output=True, text=True, check=True, timeout=300
    )
    rows = json.loads(done.stdout)["rows"]
    assert len(rows) == 3
    for what, predicted, measured in rows:
        assert predicted == pytest.approx(measured, rel=0.03), what
