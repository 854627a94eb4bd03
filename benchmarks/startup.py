"""How long `greenroom` takes to answer: its help, and a task's way to the first model token.

    python benchmarks/startup.py [--runs 5] [-m MODEL]

The first token is measured with a server on 127.0.0.1 that answers at once (or with MODEL), on the
starter task `search-pages`, the image being there. From the wall-clock time until the first token
the baseline test run and the loading of the model are taken off, which are not Greenroom's.
"""

import argparse
import http.server
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path

GREENROOM = str(Path(sys.executable).with_name("greenroom"))
TASK = "starter/search-pages"


class ZeroLatency(http.server.BaseHTTPRequestHandler):
    """An OpenAI-compatible server that says one word at once."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing on standard error."""

    def do_GET(self) -> None:
        self._answer("application/json", json.dumps({"data": [{"id": "zero"}]}).encode())

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        delta = {"choices": [{"index": 0, "delta": {"content": "no"}, "finish_reason": None}]}
        end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in (delta, end)]
        self._answer("text/event-stream", "".join([*lines, "data: [DONE]\n\n"]).encode())

    def _answer(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def timed(*command: str) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return 1000 * (time.perf_counter() - start)


def first_token(model: str, environment: Mapping[str, str]) -> tuple[float, int]:
    """Seconds from the start of `solve` to the first token, less the baseline run and the loading
    of the model; and the prompt's tokens."""
    command = [GREENROOM, "solve", "--task", TASK, "-m", model, "--events", "--turn-limit", "1"]
    start = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    )
    others, prompt = 0.0, 0
    for line in process.stdout or ():
        event = json.loads(line)
        if event["type"] == "run.started":
            others += event["ready"]["model"]
        elif event["type"] == "tests" and event["purpose"] == "baseline":
            others += event["report"]["seconds"]
        elif event["type"] == "epoch":
            prompt = sum(len(message["text"]) for message in event["messages"]) // 4
        elif event["type"] in {"delta", "turn", "candidate"}:
            seconds = time.perf_counter() - start - others
            process.terminate()
            process.wait()
            return seconds, prompt
    raise SystemExit(f"no token came: {' '.join(command)} exited with {process.wait()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("-m", "--model", help="instead of the server that answers at once")
    options = parser.parse_args()
    runs = range(options.runs)

    bare = statistics.median(timed(sys.executable, "-I", "-c", "pass") for _ in runs)
    shown = statistics.median(timed(GREENROOM, "--help") for _ in runs)
    print(f"greenroom --help       {shown:7.0f} ms   a bare python takes {bare:.0f} ms")

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), ZeroLatency)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as state:
        environment = {**os.environ, "XDG_STATE_HOME": state}
        if not options.model:
            environment["OPENAI_BASE_URL"] = f"http://127.0.0.1:{server.server_port}/v1"
        model = options.model or "openai:zero"
        found = [first_token(model, environment) for _ in runs]
    seconds = statistics.median(each for each, _ in found)
    print(f"solve to first token   {seconds:7.2f} s    {model}, prompt of {found[0][1]} tokens")


if __name__ == "__main__":
    main()
