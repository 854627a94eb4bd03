"""Where an instance's files come from: its image, or a clone; and what its sandbox's image is."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from sandbox.errors import PatchError, UsageError
from sandbox.image import ImageSpec
from sandbox.imagefiles import files_in_image, pull_image
from sandbox.trees import Base, TreeStore
from tasks.revision import base_of_commit, rules_of
from tasks.suites.suite import Unsupported, check_name
from tasks.suites.swebench.rows import Row

#: Where the suite's images have the checkout, and the environment of its tests.
CHECKOUT = "/testbed"
ENVIRONMENT = "/opt/miniconda3/envs/testbed"
_ACTIVATION = "/etc/greenroom-testbed"
# The checkout of the image holds the history, with the solution in it: nothing of it stays. The
# suite's own paths lead to the workspace, and each shell finds the environment of the tests.
_SETUP = (
    f"rm -rf {CHECKOUT} && ln -s /workspace {CHECKOUT}",
    f"if [ -d {ENVIRONMENT} ]; then"
    f" echo 'export PATH={ENVIRONMENT}/bin:$PATH CONDA_DEFAULT_ENV=testbed"
    f" CONDA_PREFIX={ENVIRONMENT}' > {_ACTIVATION};"
    f" mkdir -p /etc/profile.d && cp {_ACTIVATION} /etc/profile.d/zz-testbed.sh;"
    f" else : > {_ACTIVATION}; fi",
)
_LEFT_OUT = (".git", "__pycache__", ".pytest_cache")
_MOST_BYTES, _MOST_FILES = 2 << 30, 200_000


@dataclass(frozen=True)
class Options:
    """The keys of a reference; see the package's own text."""

    split: str = "test"
    image: str = ""
    repos: str = ""
    setup: str = ""
    parser: str = ""

    @classmethod
    def parse(cls, pairs: Sequence[str]) -> "Options":
        """Reads `key=value` pairs. Raises UsageError for a key that is none, and for a folder or a
        file that is not there."""
        given = {}
        for pair in pairs:
            key, equals, value = pair.partition("=")
            check_name(key, [each.name for each in fields(cls)], "key of a swebench suite")
            if not equals or not value:
                raise UsageError(f"{key} of the suite has no value.", f"Write {key}=VALUE.")
            given[key] = value
        for key, there in (("repos", Path.is_dir), ("setup", Path.is_file)):
            if key in given:
                path = Path(given[key]).absolute()
                if not there(path):
                    kind = "folder" if key == "repos" else "file"
                    raise UsageError(f"{key}: there is no {kind} {path}.")
                given[key] = str(path)
        return cls(**given)

    def pairs(self) -> tuple[str, ...]:
        """The keys that were given, as they are written in a reference."""
        values = ((each.name, getattr(self, each.name)) for each in fields(self))
        return tuple(f"{name}={value}" for name, value in values if value and value != _usual(name))


def _usual(name: str) -> str:
    return str(getattr(Options, name))


def image_spec(row: Row, options: Options) -> ImageSpec:
    """The image of an instance's sandboxes, with the suite's own checkout gone from it."""
    own = Path(options.setup).read_text(encoding="utf-8") if options.setup else ""
    return ImageSpec(
        base=options.image or row.image,
        variables=(f"BASH_ENV={_ACTIVATION}",),
        setup=(*((own,) if own.strip() else ()), *_SETUP),
    )


def base_of(row: Row, options: Options, store: TreeStore) -> Base:
    """The files that an instance begins with, put into `store`. Raises Unsupported where there is
    no clone, or nothing of the suite in the image, SetupError for an image that cannot be had."""
    base = (
        _from_clone(row, options.repos, store)
        if options.repos
        else _from_image(row, options, store)
    )
    if not row.defect:
        return base
    try:
        tree = store.apply(base.tree, store.from_diff(base.tree, row.defect))
    except PatchError as problem:
        raise Unsupported(f"{row.id}: its defect does not apply: {problem}") from None
    return Base(store, tree, base.ignore)


def _from_image(row: Row, options: Options, store: TreeStore) -> Base:
    name = options.image or row.image
    try:
        pull_image(name)
        with files_in_image(name, CHECKOUT, exclude=_LEFT_OUT) as files:
            tree = store.add_tree(files)
    except UsageError as problem:
        hint = f"{problem.hint} Or give clones: swebench:FILE,repos=FOLDER.".strip()
        raise Unsupported(f"{row.id}: {problem.message}", hint) from None
    return Base(store, tree, rules_of(store, tree))


def _from_clone(row: Row, folder: str, store: TreeStore) -> Base:
    found = next((path for path in _clones(row, Path(folder)) if path.is_dir()), None)
    if found is None:
        tried = ", ".join(str(path) for path in _clones(row, Path(folder)))
        raise Unsupported(f"{row.id}: there is no clone of {row.repo}; looked for {tried}")
    try:
        revision = base_of_commit(
            found, store, row.base_commit, limit_bytes=_MOST_BYTES, limit_files=_MOST_FILES
        )
    except UsageError as problem:
        raise Unsupported(f"{row.id}: {problem.message}", problem.hint) from None
    return revision.base


def _clones(row: Row, folder: Path) -> Iterator[Path]:
    owner, _, name = row.repo.rpartition("/")
    yield folder / f"{owner}__{name}"
    yield folder / owner / name
    yield folder / name
