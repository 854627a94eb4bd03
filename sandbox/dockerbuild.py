"""`docker build`, for Dockerfile.sandbox and for a Dockerfile of a checkout that the user trusts.

The engine's own builder runs the steps, so what this machine lends them goes in by lines added to
each stage. A build argument stays in the image's history: so nothing with a login is lent, but to
the proxies, which the builder itself keeps out of it. A Dockerfile can still put them there: so the
result is looked at before it is used.
"""

import json
import re
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from sandbox.buildjob import BuildSettings, Job, check_stream, failure
from sandbox.dockerfile import Stage, arguments, with_lines
from sandbox.errors import SetupError, UsageError
from sandbox.lending import (
    FOLDER,
    lent_archive,
    mirror_command,
    network_variables,
    proxies_of,
)
from sandbox.naming import IMAGE_LABEL
from sandbox.redaction import has_login, redact

_STEP = re.compile(r"Step (\d+)/(\d+) ?: (.*)", re.IGNORECASE)
_APT = re.compile(r"\bapt(-get)? ")
_NEEDS_BUILDKIT = re.compile(r"BuildKit|heredoc|unknown flag", re.IGNORECASE)


@contextmanager
def lent(job: Job, text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """A Dockerfile's text with lines that let its steps have what this machine lends, and the
    build arguments for it. Raises UsageError where it would keep a proxy's login.
    """
    proxies = proxies_of(job.settings)
    _check_proxies(proxies, text)
    others = {n: v for n, v in job.settings.environment.items() if n not in proxies}
    hidden = sorted(n for n, v in others.items() if redact(v, job.settings.secrets) != v)
    if hidden:
        job.say(f"not lent to a Dockerfile, whose history would keep a login: {', '.join(hidden)}")
    plain = replace(job.settings, environment={n: v for n, v in others.items() if n not in hidden})
    variables = network_variables(plain)
    with _lent_files(job, plain) as image:

        def added(stage: Stage) -> list[str]:
            lines = [f"LABEL {IMAGE_LABEL}=1"]
            lines += [f"COPY --from={image} / {FOLDER}/"] if image else []
            lines += [f"ARG {name}" for name in variables]
            runs = [each.rest for each in stage.instructions if each.word == "RUN"]
            if job.settings.apt_mirror and any(map(_APT.search, runs)):
                lines.append(f"RUN {mirror_command(job.settings.apt_mirror)}")
            return lines

        yield with_lines(text, added), {**variables, **proxies}


def _check_proxies(proxies: Mapping[str, str], text: str) -> None:
    """The builder keeps a proxy's address out of the history, unless the Dockerfile asks for it."""
    for name in sorted(arguments(text) & proxies.keys()):
        if has_login(proxies[name]):
            raise UsageError(
                f"The Dockerfile declares ARG {name}, so the login of this machine's proxy would "
                "stay in the image's history.",
                "Leave that line out: steps are given the proxies without it.",
            )


@contextmanager
def _lent_files(job: Job, settings: BuildSettings) -> Iterator[str | None]:
    """An image of the lent files, for steps to copy from; None where there are none."""
    archive = lent_archive(settings)
    if archive is None:
        yield None
        return
    name = f"greenroom/lent:{uuid.uuid4().hex}"
    repository, _, tag = name.partition(":")
    label = [f"LABEL {IMAGE_LABEL}=1"]
    answer = job.api.import_image_from_data(archive, repository, tag, changes=label)
    check_stream(job, answer.splitlines(), "Lending the certificates failed")
    try:
        yield name
    finally:
        job.api.remove_image(name)


def run_build(
    job: Job, archive: Iterable[bytes], *, what: str, tag: str, **options: object
) -> None:
    """Has the engine build the context in `archive`; `options` are docker-py's.

    Raises SetupError, beginning with `what`, that names the failing step and its last lines, and
    UsageError for an image that tells what this machine lent in secret.
    """
    from docker.errors import APIError  # noqa: PLC0415

    job.begin(what)
    step, started = "", time.monotonic()
    with job.limited(job.settings.time_limit):
        try:
            answers = job.api.build(
                fileobj=iter(archive),
                custom_context=True,
                tag=tag,
                network_mode=job.settings.network,
                rm=True,
                forcerm=True,
                decode=True,
                **options,
            )
            for answer in answers:
                job.check()
                begun = _STEP.match(answer.get("stream", ""))
                if begun:
                    _told(job, step, started)
                    step, started = begun[3].strip(), time.monotonic()
                    job.begin(f"step {begun[1]} of {begun[2]}: {step}")
                elif "error" in answer:
                    job.output(answer["error"])
                    raise _failure(job, what, step)
                else:
                    job.output(answer.get("stream") or answer.get("status", ""))
        except APIError as error:
            job.output(str(error.explanation or error))
            raise _failure(job, what, step) from error
    _told(job, step, started)
    _check_result(job, what, tag)


def _check_result(job: Job, what: str, tag: str) -> None:
    """What an image tells of itself, its variables above all, every sandbox of it can read."""
    config, history = job.api.inspect_image(tag)["Config"], job.api.history(tag)
    told = json.dumps([config, [each["CreatedBy"] for each in history]])
    if redact(told, (json.dumps(secret)[1:-1] for secret in job.secrets)) == told:
        return
    job.api.remove_image(tag)
    raise UsageError(
        f"{what} made an image that shows the login of this machine's proxy, in a variable, a "
        "label or its history; it was removed.",
        "Do not use the proxy's variables (http_proxy and its kin) in ENV, LABEL or ARG: steps are "
        "given them without that.",
    )


def _told(job: Job, step: str, started: float) -> None:
    """Says how long a step took, where it took any time."""
    if step and time.monotonic() - started >= 1:
        job.say(f"{step}: done ({time.monotonic() - started:.0f} s)")


def _failure(job: Job, what: str, step: str) -> SetupError:
    error = failure(job, f"{what} failed{f' at `{step}`' if step else ''}")
    text = "\n".join(job.tail)
    if _NEEDS_BUILDKIT.search(text):
        error.hint = (
            "It needs BuildKit, which only docker itself speaks: build it with `docker build -t "
            "NAME .`, and name the result: --image NAME."
        )
    elif step.upper().startswith("FROM "):
        error.hint = (
            "The image that it builds on is not here and could not be pulled: load it with "
            "`docker load -i FILE`, or see that the registry can be reached."
        )
    return error
