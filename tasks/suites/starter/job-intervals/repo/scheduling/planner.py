"""Which job runs when; times are seconds since some start."""

from dataclasses import dataclass

from scheduling.interval import parse_interval


@dataclass
class Job:
    name: str
    interval: int
    next_run: int


class Planner:
    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}

    def every(self, interval: str, name: str, start: int = 0) -> Job:
        """Add a job that runs at `start` for the first time."""
        if name in self._jobs:
            raise ValueError(f"there is already a job {name!r}")
        job = Job(name, parse_interval(interval), start)
        self._jobs[name] = job
        return job

    def run_due(self, now: int) -> list[str]:
        """The jobs that are due, the longest overdue first; each is planned anew.

        A job that missed several runs is run once, and then on its old rhythm.
        """
        due = sorted(
            (job for job in self._jobs.values() if job.next_run <= now),
            key=lambda job: (job.next_run, job.name),
        )
        names = [job.name for job in due]
        for job in due:
            missed = (now - job.next_run) // job.interval
            job.next_run += (missed + 1) * job.interval
        return names

    def next_wakeup(self) -> int | None:
        """When the next job is due; None without jobs."""
        return min((job.next_run for job in self._jobs.values()), default=None)
