"""The failed jobs of a workflow run, with the ends of their logs."""

import re
from collections.abc import Sequence

from agent.bot.forge import FailedJob
from agent.bot.github_api import Api
from agent.bot.trigger import Build

#: How many jobs are told of, and how many bytes of the end of a log.
MOST_JOBS = 10
MOST_LOG = 256 << 10
_FAILED = ("failure", "timed_out")
_TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z ", re.MULTILINE)


def failed_jobs(api: Api, at: str, build: Build) -> Sequence[FailedJob]:
    """Those of the latest attempt of the run. Raises ForgeError."""
    what, query = f"read the jobs of {build.name}", {"filter": "latest"}
    jobs = api.list(what, f"{at}/actions/runs/{build.id}/jobs", query, key="jobs")
    failed = [job for job in jobs if job["conclusion"] in _FAILED][:MOST_JOBS]
    return [
        FailedJob(job["name"], job.get("html_url") or build.url, _log(api, at, job["id"]))
        for job in failed
    ]


def _log(api: Api, at: str, job: int) -> str:
    raw = api.log("read the log of a job", f"{at}/actions/jobs/{job}/logs", MOST_LOG)
    text = raw.decode("utf-8", "replace")
    return _TIME.sub("", text.removeprefix("\ufeff"))
