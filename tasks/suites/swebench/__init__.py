"""SWE-bench and its relatives: `swebench:FILE_OR_NAME[,key=value...]`.

A row becomes a task: the base are the files of its image's checkout (or of a clone at the base
commit), without any history; its problem statement is the instruction; the tests of its test patch
are hidden and put in place in the clean room only. FAIL_TO_PASS has to pass, PASS_TO_PASS to go on
passing. Keys of the reference: `split` of a dataset, `image` in the place of the rows' own,
`repos`, a folder of clones that the bases are taken from, `setup`, a file of shell commands, run as
root when the image is built, and `parser`, a log parser for rows that name none.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.errors import PatchError, UsageError
from sandbox.trees import TreeStore
from tasks.suites.suite import Outline, Unsupported, check_name
from tasks.suites.swebench.place import Options, base_of, image_spec
from tasks.suites.swebench.reverse import reversed_diff
from tasks.suites.swebench.rows import Row, read_rows
from tasks.suites.swebench.scripted import checks_of, policy_for, rebuild_of, script_of
from tasks.task import Task


@dataclass(frozen=True)
class SweBench:
    """The instances of one file or dataset, as a `tasks.suites.suite.Suite`."""

    reference: str
    rows: Mapping[str, Row]
    options: Options = field(default_factory=Options)

    @property
    def version(self) -> str:
        digests = (_digest(self.rows[name]) for name in self.names())
        return f"sha256:{hashlib.sha256(' '.join(digests).encode()).hexdigest()}"

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self.rows))

    def outline(self, name: str) -> Outline:
        """What is known of an instance before its image is here. Its limits are those of a small
        repository; a large one's are wider."""
        row = self.row(name)
        _refuse(row)
        return Outline(_digest(row), image_spec(row, self.options), policy_for(None))

    def load(self, name: str, store: TreeStore) -> Task:
        """The task of an instance; its image is pulled where it is not here yet."""
        row = self.row(name)
        _refuse(row)
        script = script_of(row)
        base = base_of(row, self.options, store)
        try:
            hidden = store.from_diff(base.tree, row.test_patch) if row.test_patch else None
        except PatchError as problem:
            raise Unsupported(
                f"{name}: its test patch does not apply to its base: {problem}",
                "Is the image, or the clone, the one that the row means?",
            ) from None
        return Task(
            id=f"{self.reference}/{name}",
            instruction=row.instruction,
            base=base,
            image=image_spec(row, self.options),
            checks=checks_of(row, script, hidden, self.options.parser),
            policy=policy_for(base),
            rebuild=rebuild_of(script, base),
        )

    def gold(self, name: str) -> bytes | None:
        row = self.row(name)
        return reversed_diff(row.defect) if row.defect else row.gold or None

    def row(self, name: str) -> Row:
        """The instance of that name. Raises UsageError, naming the nearest, when there is none."""
        check_name(name, self.names(), f"instance in {self.reference} called")
        return self.rows[name]


def open_suite(place: str) -> SweBench:
    """The suite of a file's or a dataset's rows. Raises as `read_rows` does."""
    name, *pairs = place.split(",")
    if not name:
        raise UsageError(
            "swebench needs a file or a dataset.",
            "Write swebench:FILE.jsonl, or swebench:verified where the network is there.",
        )
    options = Options.parse(pairs)
    path = Path(name)
    where = str(path.absolute()) if path.exists() else name
    rows = read_rows(where, options.split)
    reference = ",".join([f"swebench:{where}", *options.pairs()])
    return SweBench(reference, {row.id: row for row in rows}, options)


def _digest(row: Row) -> str:
    text = json.dumps(row.raw, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _refuse(row: Row) -> None:
    """Raises Unsupported for what cannot be graded here truly."""
    if row.fail_only:
        raise Unsupported(
            f"{row.id} is graded by failures alone: a test that never ran would count as passed.",
            "Such rows (eval_type fail_only) are not run.",
        )
    if row.assets:
        raise Unsupported(
            f"{row.id} needs binary files (image_assets) that its test patch does not carry."
        )
    if not row.fail_to_pass:
        raise Unsupported(f"{row.id} names no test that has to pass (FAIL_TO_PASS).")
