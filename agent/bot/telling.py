"""What the status comment says at the end: where the pull request is, or plainly why there is
none."""

from collections.abc import Sequence

from agent.bot import harmless
from agent.bot.proposal import Proposal

#: Forges take comments of 65,536 characters; a patch has to leave room for the words around it.
_MOST_PATCH = 50_000
#: Characters of words that are quoted; one may become four in Markdown.
_REASON, _SUMMARY = 3_000, 6_000
_LISTED = 10
_HEADS = {
    "not solved": "No patch: no attempt passed the clean room.",
    "nothing to do": "Nothing to do: no test fails, and nothing was asked for in words.",
    "not reproduced": "Not reproduced: the tests that failed there pass in the sandbox, so there "
    "is nothing here to prove a repair with.",
    "stopped": "Stopped, as asked.",
    "broken": "The attempt broke off, and not through the model's fault.",
}


def unsolved(proposal: Proposal, run_url: str) -> str:
    """For a proposal without a patch that counts."""
    lines = [_HEADS[proposal.status]]
    if proposal.reason:
        lines.append(harmless.quoted(proposal.reason, _REASON))
    if proposal.after.failing:
        lines.append("Still failing:\n" + harmless.names(proposal.after.failing, _LISTED))
    if proposal.summary:
        lines.append(f"In the model's words:\n\n{harmless.quoted(proposal.summary, _SUMMARY)}")
    return _joined(lines, run_url, again=True)


def refused(objections: Sequence[str], run_url: str) -> str:
    """For a proved patch that the rules do not let out."""
    listed = "\n".join(f"- {harmless.phrase(each)}" for each in objections[:_LISTED])
    more = len(objections) - _LISTED
    return _joined(
        [
            "There is a patch that passed the clean room, and the rules of this repository do not "
            "let it out:",
            listed + (f"\n- and {more} more" if more > 0 else ""),
            "`[ci] allow` in `greenroom.toml` on the default branch names files that a patch may "
            "change all the same.",
        ],
        run_url,
        again=True,
    )


def weak(proposal: Proposal, required: str, run_url: str) -> str:
    """For a patch whose verdict is weaker than the configuration wants."""
    said = f"There is a patch, and its verdict is only *{proposal.grade}*; this repository wants "
    return _joined([f"{said}*{required}*."], run_url, again=True)


def published(
    url: str, proof: str, *, draft: bool, updated: bool, notes: Sequence[str], run_url: str
) -> str:
    """For a pull request that is there now; `proof` says what its patch's verdict means."""
    head = f"{'Updated' if updated else 'Opened'} {url}{', a draft' if draft else ''}"
    return _joined([head, proof, *(harmless.phrase(note) for note in notes)], run_url)


def link(url: str, why: str, run_url: str) -> str:
    """For a branch from which a person opens the pull request."""
    return _joined([f"The branch is there. [Open the pull request]({url})", why], run_url)


def patch(diff: str, proof: str, why: str, run_url: str) -> str:
    """For a patch that can only be shown: of a fork, or where others have pushed meanwhile."""
    shown = harmless.patch(diff) if len(diff) <= _MOST_PATCH else ""
    if not shown or len(shown) > _MOST_PATCH:
        shown = "The patch is too long for a comment; it is in the run's report."
    return _joined([why, proof, shown], run_url)


def failed(reason: str, run_url: str) -> str:
    """For a forge that refused something on the way out."""
    head = "There is a proved patch, and publishing it failed:"
    return _joined([head, harmless.quoted(reason, _REASON)], run_url, again=True)


def _joined(lines: Sequence[str], run_url: str, *, again: bool = False) -> str:
    end = [f"[The run and its report]({run_url})."] if run_url else []
    if again:
        end.append("`/greenroom retry` with words of guidance tries again.")
    return "\n\n".join(filter(None, [*lines, " ".join(end)]))
