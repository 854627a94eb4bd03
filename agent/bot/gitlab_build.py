"""The failed jobs of a pipeline and the ends of their logs."""

import re
from collections.abc import Sequence
from typing import Any

from agent.bot.forge import FailedJob
from agent.bot.gitlab_api import Api
from agent.bot.trigger import Build

#: Bytes of a job's log that are kept, from its end.
LOG_BYTES = 1 << 16
_SECTION = re.compile(r"section_(?:start|end):\d+:[^\r\n]*\r?")
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def failures(api: Api, project: str, build: Build) -> Sequence[dict[str, Any]]:
    """The jobs that made the pipeline fail, as GitLab tells them, in order; a job that may fail
    did not."""
    at = f"{project}/pipelines/{build.id}/jobs"
    jobs = api.list(f"read the jobs of pipeline {build.id}", at, {"scope[]": "failed"})
    failed = [job for job in jobs if not job.get("allow_failure")]
    return sorted(failed, key=lambda job: int(job["id"]))


def failed_jobs(api: Api, project: str, build: Build) -> Sequence[FailedJob]:
    """The jobs that made the pipeline fail, and the ends of their logs."""
    return [
        FailedJob(job["name"], job["web_url"], _log(api, project, job))
        for job in failures(api, project, build)
    ]


def _log(api: Api, project: str, job: dict[str, Any]) -> str:
    at = f"{project}/jobs/{job['id']}/trace"
    return as_text(api.tail(f"read the log of {job['name']}", at, LOG_BYTES))


def as_text(trace: bytes) -> str:
    """A trace without colours and without GitLab's marks of sections."""
    text = trace.decode("utf-8", "replace")
    return _SECTION.sub("", _ESCAPE.sub("", text)).replace("\r\n", "\n")
