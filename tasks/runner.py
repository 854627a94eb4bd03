"""Running a task's tests in a sandbox, so that each test reports for itself."""

import json
import re
import shlex
from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files

from sandbox.container import Sandbox
from sandbox.results import CommandResult, FileProblem
from tasks.results import REPORTING, TestRun, report_of
from tasks.tally import Tally, TestProgress, watched
from tasks.task import Checks, TestReport

SUPPORT_FOLDER = "/run/greenroom"
EVENTS_LIMIT = 32 << 20
OUTPUT_LIMIT = 8 << 20  # the text is where the results are, for frameworks without a plugin
ENVIRONMENT_CHUNK = 100_000  # one variable may have 128 KiB
ONLY_LIMIT = 1_000_000  # bytes of ids; a larger selection runs everything
STARTED = "/tmp/.greenroom-tests-started"  # noqa: S108 - the sandbox's own /tmp
REPORT_FILES = 200
REPORT_BYTES = 8 << 20

_PLUGINS = (
    "greenroom_events.py",
    "greenroom_pytest.py",
    "greenroom_trace.py",
    "greenroom_unittest.py",
)
_JUNIT_NAMES = ("TEST-*.xml", "junit*.xml", "*-junit.xml", "test-results.xml")
_NOT_LOADED = re.compile(
    r"Error importing plugin \"greenroom_pytest\"|No module named '?greenroom_(pytest|unittest)"
)


@cache
def support_files() -> dict[str, bytes]:
    """The modules that a sandbox needs for `run_tests`, for `Sandbox.open(support=...)`."""
    folder = files("tasks.plugins")
    return {name: (folder / name).read_bytes() for name in _PLUGINS}


async def run_tests(
    box: Sandbox,
    checks: Checks,
    *,
    only: Sequence[str] | None = None,
    quick: bool = False,
    trace: bool = False,
    keep_going: bool = False,
    timeout: float | None = None,
    on_output: Callable[[bytes], None] | None = None,
    on_progress: Callable[[TestProgress], None] | None = None,
) -> TestReport:
    """Run the task's tests in a sandbox that was opened with `support_files()`.

    `only` runs those ids where the framework can be told to, and reports those ids in any case; an
    id without its values in brackets stands for all cases of a test (pytest).
    `quick` prefers the task's quick test command. `trace` records what each test executed (pytest
    and unittest). `keep_going` overrides a configured stop at the first failure, and runs what can
    be collected when some files cannot (pytest). `timeout` in seconds replaces the task's.
    `on_output` sees what the tests print, `on_progress` each second how the run stands.
    Raises InfrastructureError when the sandbox dies; all else is in the report.
    """
    command = (checks.quick_test_command if quick else None) or checks.test_command
    limit = checks.timeout if timeout is None else timeout
    # Ids that are written in another way than the framework's choose nothing in it.
    chosen = None if checks.naming else only
    environment = _environment(chosen, trace, keep_going, checks.per_test_timeout)
    adapted = _adapted(command, checks.framework, chosen)
    reads_files = checks.framework not in REPORTING
    if reads_files:
        await box.run(["touch", STARTED])

    async def run() -> CommandResult:
        tally = Tally()

        def printed(data: bytes) -> None:
            tally.take_output(data)
            if on_output is not None:
                on_output(data)

        async with watched(tally, on_progress):
            return await box.run(
                adapted,
                env=environment,
                timeout=limit,
                output_limit=OUTPUT_LIMIT,
                events_limit=EVENTS_LIMIT,
                on_output=printed,
                on_events=tally.take_events if on_progress else None,
            )

    result = await run()
    if not result.events and _NOT_LOADED.search(result.output.text):
        # The command replaces PYTHONPATH somewhere inside: the user's site folder is the other way.
        await box.run(_ADD_TO_USER_SITE)
        result = await run()
    junit = await _written_reports(box) if reads_files and not result.events else ()
    done = TestRun(command, checks.framework, result, limit, junit, checks.naming)
    return report_of(done, only)


_ADD_TO_USER_SITE = (
    'folder=$(python3 -c "import site; print(site.getusersitepackages())") && '
    f'mkdir -p "$folder" && echo {SUPPORT_FOLDER} > "$folder/greenroom.pth"'
)


def _environment(
    only: Sequence[str] | None, trace: bool, keep_going: bool, per_test_timeout: float | None
) -> dict[str, str]:
    options = " --maxfail=0 --continue-on-collection-errors" if keep_going else ""
    environment = {
        "PYTHONPATH": SUPPORT_FOLDER,
        "PYTEST_ADDOPTS": f"-p greenroom_pytest{options}",
        "GREENROOM_TRACE": "1" if trace else "0",
    }
    if per_test_timeout is not None:
        environment["GREENROOM_TEST_SECONDS"] = f"{per_test_timeout:g}"
    text = json.dumps(list(only)) if only is not None else ""
    if len(text) <= ONLY_LIMIT:
        for number, start in enumerate(range(0, len(text), ENVIRONMENT_CHUNK)):
            part = text[start : start + ENVIRONMENT_CHUNK]
            environment[f"GREENROOM_ONLY_{number:03}"] = part
    return environment


def _adapted(command: str, framework: str, only: Sequence[str] | None) -> str:
    """The command with what makes its tests report one by one; else it is run as it stands."""
    command = re.sub(r"\bPYTHONPATH=", f"PYTHONPATH={SUPPORT_FOLDER}:", command)
    if framework == "unittest":
        command = re.sub(r"(\s-m\s+)unittest\b(?![.\w])", r"\1greenroom_unittest", command)
    if framework == "go" and " -json" not in command:
        chosen = f" -run {shlex.quote(_go_pattern(only))}" if only and "-run" not in command else ""
        command = re.sub(r"\bgo\s+test\b", lambda _: f"go test -json{chosen}", command, count=1)
    if framework == "cargo" and "--no-fail-fast" not in command:
        command = re.sub(r"\bcargo\s+test\b", "cargo test --no-fail-fast", command, count=1)
    return command


def _go_pattern(only: Sequence[str]) -> str:
    names = {id.rpartition("::")[2].partition("/")[0] for id in only}
    return "^(" + "|".join(sorted(re.escape(name) for name in names)) + ")$"


async def _written_reports(box: Sandbox) -> tuple[bytes, ...]:
    """JUnit files that the command wrote, wherever it put them."""
    names = " -o ".join(f"-name {shlex.quote(name)}" for name in _JUNIT_NAMES)
    found = await box.run(
        f"find . -name node_modules -prune -o -type f \\( {names} \\) -newer {STARTED} -print0"
    )
    paths = [path for path in found.output.text.split("\0") if path][:REPORT_FILES]
    return tuple([await _report(box, path) for path in sorted(paths)])


async def _report(box: Sandbox, path: str) -> bytes:
    try:
        return await box.read(path.removeprefix("./"), limit=REPORT_BYTES)
    except (FileProblem, OSError):
        return b""  # too large, or an odd name: no report, which makes the run incomplete
