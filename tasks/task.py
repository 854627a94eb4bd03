"""What is to be solved, what its tests said, and when it counts as solved: plain frozen data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:  # the annotations' types only: reading a task must not import the engine
    from sandbox.errors import Cause
    from sandbox.image import ImageSpec
    from sandbox.patch import Patch
    from sandbox.policy import Policy
    from sandbox.rebuild import Rebuild
    from sandbox.trees import Base

Status = Literal["passed", "failed", "error", "skipped", "xfailed", "xpassed"]
VerdictStatus = Literal[
    "solved", "failed", "invalid patch", "tampered", "suspect", "infrastructure failed"
]
Grade = Literal["proved", "reproduced", "regression-only"]

FAILING: frozenset[Status] = frozenset({"failed", "error"})
# A test that ran to its end and held. Not "xfailed" or "skipped": code under test can call
# pytest.skip() or pytest.xfail() itself.
PASSING: frozenset[Status] = frozenset({"passed", "xpassed"})
# Between a file's name and why its tests could not be loaded, in a report's errors.
NOT_COLLECTED = " could not be collected: "


@dataclass(frozen=True)
class Frame:
    """One frame of a traceback, in a file of the workspace (`path` is relative to it)."""

    path: str
    line: int
    function: str
    code: str


@dataclass(frozen=True)
class Executed:
    """The lines of one function that a traced test ran.

    `first_line` and `last_line` bound the function's definition; `lines` is sorted. Code at a
    file's top level has the function name `<module>`.
    """

    path: str
    function: str
    first_line: int
    last_line: int
    lines: tuple[int, ...]


@dataclass(frozen=True)
class TestResult:
    """One test's outcome, all of its phases folded into one status.

    `message` is short (the assertion with its values, or the exception line); `detail` is the
    whole failure text, bounded; `frames` go from the outermost to the innermost, those in the
    workspace only; `file` is the test's file relative to the workspace, None where unknown.
    """

    __test__: ClassVar[bool] = False  # keeps pytest from collecting this class

    id: str
    status: Status
    seconds: float = 0.0
    message: str = ""
    detail: str = ""
    frames: tuple[Frame, ...] = ()
    file: str | None = None


@dataclass(frozen=True)
class TestReport:
    """What one run of a test command said.

    `complete` is true only when the test session ended and its exit code agrees with the results;
    otherwise `reason` says in a sentence what went wrong. `errors` are collection errors and other
    things that kept tests from running, readable as they are. `output` is the command's bounded
    text. `executed` maps a test id to what it ran, for a traced run.
    """

    __test__: ClassVar[bool] = False

    results: Mapping[str, TestResult]
    complete: bool
    command: str
    framework: str
    errors: tuple[str, ...] = ()
    exit_code: int | None = None
    reason: str = ""
    output: str = ""
    seconds: float = 0.0
    max_rss_bytes: int = 0
    executed: Mapping[str, tuple[Executed, ...]] = field(
        default_factory=lambda: MappingProxyType({})
    )

    @property
    def passed(self) -> tuple[str, ...]:
        """Ids of the tests that ran to their end and held."""
        return tuple(id for id, result in self.results.items() if result.status in PASSING)

    @property
    def failing(self) -> tuple[str, ...]:
        """Ids of the tests that failed or could not run."""
        return tuple(id for id, result in self.results.items() if result.status in FAILING)

    @property
    def ran(self) -> bool:
        """Whether there is anything to go by: a test, or a file of tests that could not be loaded.

        A shell exits with 126 or 127 when it could not start the command at all.
        """
        started = self.exit_code not in (126, 127) or bool(self.passed)
        return started and bool(self.results or self.errors)

    @property
    def green(self) -> bool:
        """Complete, at least one test passed, none failing, nothing kept from running."""
        return self.complete and bool(self.passed) and not self.failing and not self.errors


@dataclass(frozen=True)
class Checks:
    """How a task is tested, and what decides.

    `framework` is one of pytest, unittest, node, go, cargo, maven, gradle, make, unknown.
    `timeout` bounds one run of `test_command`, in seconds; `per_test_timeout` bounds each test's
    call, in seconds of processor time (pytest only). `expected` are the ids that must pass
    (empty: only regressions decide). `protected` and `forbidden_additions` are gitignore
    patterns: existing files that a patch may not change, and files that it may not add.
    `hidden` holds tests that only the clean room adds. Where the tests are not `visible`, the model
    is neither shown nor told what they say before it hands its patch in. `kept` are the ids that
    have to pass as well, or to be skipped as they are without the patch. `naming` says how ids are
    written where not as the framework does (`tasks.formats.swebench`). `tries` is how many
    patches may be handed in, each refused one with its reasons given back (None: as many as the
    budget allows).
    """

    test_command: str
    framework: str
    quick_test_command: str | None = None
    lint_command: str | None = None
    timeout: float = 600.0
    per_test_timeout: float | None = None
    expected: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()
    forbidden_additions: tuple[str, ...] = ()
    hidden: Patch | None = None
    kept: tuple[str, ...] = ()
    naming: str = ""
    visible: bool = True
    tries: int | None = None


@dataclass(frozen=True)
class Verifier:
    """How a task is judged whose outcome is a whole file system: by a program of its own.

    `work` is the folder of the task's image that is worked in ("": the one that the image names),
    `variables` are what every command finds there. The verifier is `command`, run in the same
    folder of a fresh container under `policy`, with `tests` (a tree of the base's store) in /tests
    and `own_variables` besides; after `timeout` seconds it is ended. Its container is what the work
    has left, or one of `image`, made with the files of the tree `image_files`, which is given no
    more of the work than its `artifacts`: absolute paths, each with patterns of what is left out.
    With `bundled` that image has the tests in itself.
    """

    tests: str
    policy: Policy
    command: str = "/tests/test.sh"
    timeout: float = 600.0
    work: str = ""
    variables: tuple[tuple[str, str], ...] = ()
    own_variables: tuple[tuple[str, str], ...] = ()
    image: ImageSpec | None = None
    image_files: str = ""
    bundled: bool = False
    artifacts: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True)
class Task:
    """One thing to solve: words, workspace, image, how to rebuild and test, under which limits.

    `advice` is the project's own guidance for agents (AGENTS.md); `notes` are things to tell the
    user before the work starts; `time_limit` (seconds) is what the task itself gives an attempt.
    With a `verifier` the outcome is a whole file system: no patch, `checks` decide nothing, and the
    base is only what its image is built from.
    """

    id: str
    instruction: str
    base: Base
    image: ImageSpec
    checks: Checks
    policy: Policy
    rebuild: Rebuild | None = None
    advice: str = ""
    notes: tuple[str, ...] = ()
    verifier: Verifier | None = None
    time_limit: float | None = None


@dataclass(frozen=True)
class Twins:
    """What came of the run with wrong expectations, in which every test has to fail.

    `tests` were asked, all of which pass on the patch; `perturbed` of them failed where another
    value, exception or condition was expected; `passed` are the ids of those that passed and ought
    not to have. `seed` makes the same twins of the same tests again.
    """

    seed: str
    tests: int
    perturbed: int
    passed: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class Verdict:
    """What a clean room found out about a patch, or about a whole file system.

    `reasons` are whole sentences for a person or a model. `report` is the run on base + patch,
    `baseline` the run on the base; each None where it was not reached. `flaky` tests were named
    and did not decide; what the patch does to the protected files in `left_out` was not judged.
    `grade` is given with "solved" only, and `evidence` are the tests that it rests on; `cause`
    (what took the room away) is given with "infrastructure failed". `twins` is None where no twins
    were run: the patch failed before, or none of its tests was there before it. `rewards` are what
    a task's own verifier gave, by name.
    """

    status: VerdictStatus
    reasons: tuple[str, ...]
    grade: Grade | None = None
    report: TestReport | None = None
    baseline: TestReport | None = None
    flaky: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    newly_passing: tuple[str, ...] = ()
    newly_failing: tuple[str, ...] = ()
    seconds: float = 0.0
    cause: Cause = ""
    twins: Twins | None = None
    rewards: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    evidence: tuple[str, ...] = ()

    @property
    def solved(self) -> bool:
        return self.status == "solved"
