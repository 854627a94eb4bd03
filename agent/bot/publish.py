"""The last job: a proposal becomes a pull request, or one comment that says why not.

It holds the token that writes and runs nobody's code. The proposal comes from a job that did, so
nothing of it is taken on trust: the actor's permission, the rules and the configuration of the
default branch are asked anew. Branches are made or moved only from where this job saw them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

from agent.bot import changed, habits, harmless, pulltext, rules, secretscan, state, telling
from agent.bot.config import Config
from agent.bot.forge import Comment, Forge, ForgeError, NewPull, Pull
from agent.bot.owners import owners
from agent.bot.permission import refusal
from agent.bot.proposal import GRADES, Proposal
from agent.bot.trigger import BRANCHES, Place, Trigger
from agent.settingsfile import Reader
from sandbox.errors import GreenroomError, UsageError

_PUSHED = "Somebody pushed meanwhile, so the patch is for a commit that is not the last."
_LATER = "something asked later was taken up meanwhile"


@dataclass(frozen=True)
class Published:
    """What came of it: the pull request's address or none, and a sentence for the job's log."""

    url: str
    told: str


@dataclass(frozen=True)
class _End:
    """How it ended: what the status comment is to say, the sentence for the log, the address, and
    the commit that the bot left its branch at."""

    text: str
    told: str
    url: str = ""
    commit: str = ""


def publish(
    forge: Forge, trigger: Trigger, config: Config, proposal: Proposal, run_url: str
) -> Published:
    """Publishes what the rules let out. Raises UsageError for a proposal of another event, and
    whatever else ends it after the status comment has said it, where the forge still takes one."""
    if proposal.key != trigger.key:
        raise UsageError("the proposal is not of this event", "Fetch the artifact of this run.")
    job = _Job(forge, trigger, config, proposal, run_url)
    if reason := refusal(forge, trigger, config):
        return job.turned_away(reason)
    try:
        end = job.end()
    except Exception as error:  # also for a fault of ours somebody waits for an answer
        known = error if isinstance(error, GreenroomError) else None
        said = known.message if known else f"an error inside of greenroom, {type(error).__name__}"
        try:
            job.tell(_End(telling.failed(said, run_url), ""))
        except ForgeError as second:
            if known is None:
                raise error from second
            known.hint = f"{known.hint} Nor could the comment say so: {second.message}".strip()
        raise
    return job.tell(end)


@dataclass(frozen=True)
class _Job:
    forge: Forge
    trigger: Trigger
    config: Config
    proposal: Proposal
    run_url: str

    def tell(self, end: _End) -> Published:
        """Edits the status comment, or leaves one where there is none. One that speaks of a later
        request is left alone."""
        place = self.trigger.place
        if place is not None:
            me, comments = self.forge.me(), self.forge.my_comments(place)
            kept = state.latest(comments, me)
            known = kept[1] if kept else state.State()
            if known.replaced(self.trigger):
                return Published(end.url, f"{end.told} (not in the comment: {_LATER})")
            body = state.body(known.ended(self.trigger.key, end.commit), end.text)
            if kept:
                self.forge.edit_comment(kept[0], body)
            else:
                self.forge.add_comment(place, body)
            for comment, claim in state.claims(comments, me):
                if claim.knows(self.trigger):  # one that accepting could not delete
                    self.forge.delete_comment(comment)
        return Published(end.url, end.told)

    def turned_away(self, reason: str) -> Published:
        """Says so where the first job let the actor in; whom it did not gets no answer."""
        kept = self._kept()
        if kept is None or not kept[1].knows(self.trigger):
            return Published("", reason)
        return self.tell(_End(f"Nothing was published: {harmless.phrase(reason)}.", reason))

    def end(self) -> _End:
        """Publishes what may be published. Raises ForgeError, with nothing half-made left."""
        proposal, config = self.proposal, self.config
        kept = self._kept()
        if kept and kept[1].replaced(self.trigger):
            return _End("", "nothing was published")
        if kept and kept[1].stops(self.trigger):
            return _End("Stopped, as asked.", "stopped meanwhile")
        if proposal.status != "solved":
            said = f"{proposal.status}: {proposal.reason}"
            return _End(telling.unsolved(proposal, self.run_url), said)
        if GRADES.index(proposal.grade) < GRADES.index(config.require):
            text = telling.weak(proposal, config.require, self.run_url)
            return _End(text, f"{proposal.grade} only")
        if objections := self.objections():
            return _End(telling.refused(objections, self.run_url), "; ".join(objections))
        return self.deliver()

    def objections(self) -> Sequence[str]:
        read = self._reader(self.proposal.commit)
        patch = self.proposal.patch
        if not patch:
            return ["it changes nothing"]
        if reason := self._misplaced():
            return [reason]
        # What is too large is not read further: each file is a request to the forge.
        return rules.violations(patch, read, self.config) or secretscan.found(patch, read)

    def _misplaced(self) -> str:
        """Why the commit that the patch is made for is none that a branch of the bot's may begin
        at: the rules judge the patch alone, not what that commit brings. That of a pull request is
        asked for later."""
        proposal, place = self.proposal, self.trigger.place
        if place and place.pull:
            return ""
        branch = self._base()
        if proposal.branch != branch or not self.forge.contains(branch, proposal.commit):
            return f"It is made for a commit that is not on the branch {branch}."
        return ""

    def _base(self) -> str:
        """The branch that was asked to be mended, where no pull request was."""
        build = self.trigger.build
        return build.branch if build else self._default

    @cached_property
    def _default(self) -> str:
        return self.forge.repository().default_branch

    def deliver(self) -> _End:
        place = self.trigger.place
        pull = self.forge.pull(place.number) if place and place.pull else None
        if pull is None:
            return self._for_branch(self._base())
        if pull.state != "open":
            return _End(f"This is {pull.state} already; nothing was pushed.", pull.state)
        own = pull.branch.startswith(BRANCHES) and pull.author == self.forge.me()
        if own and not pull.fork:
            return self._onto(pull)
        if pull.commit != self.proposal.commit:
            return self._show(_PUSHED)
        if pull.fork:
            return self._show("This comes from a fork, where nothing is pushed. The patch:")
        return self._for_branch(pull.branch)

    def _show(self, why: str) -> _End:
        proof = pulltext.PROOF[self.proposal.grade]
        # Not the text that came with it, which need not be the patch that the rules have judged.
        diff = changed.shown(self.proposal.patch, self._reader(self.proposal.commit))
        return _End(telling.patch(diff, proof, why, self.run_url), why)

    def _onto(self, pull: Pull) -> _End:
        """A further commit on a pull request of the bot's own."""
        if pull.commit != self.proposal.commit and not self._broke_off(pull.branch):
            return self._show(_PUSHED)
        commit = pull.commit
        if commit == self.proposal.commit:
            commit = self.forge.commit(
                pull.branch, commit, self._message, self.proposal.patch, commit
            )
        return self._said(pull, commit, updated=True, notes=())

    def _for_branch(self, base: str) -> _End:
        """A pull request into `base`: a new one, or the one that is open for this place."""
        prefix = pulltext.branch_prefix(self.trigger)
        pulls = [pull for pull in self.forge.open_pulls(prefix) if pull.base_branch == base]
        new = pulltext.pull_request(
            *(self.trigger, self.proposal, self.config, self._default_reader),
            base=base,
            branch=pulls[0].branch if pulls else "",
            run_url=self.run_url,
        )
        if pulls:
            return self._again(pulls[0], new)
        there = self.forge.head_of(new.branch)
        known = there is not None and there == self._last_commit()
        if there is not None and not known and not self._broke_off(new.branch):
            return self._show(f"The branch `{new.branch}` is there and not the bot's. The patch:")
        commit = self._commit(new.branch, there)
        if self.config.pull_request == "link":
            why = "This repository opens its pull requests by hand."
            return self._link(new, commit, why)
        return self._open(new, commit, fresh=not known)

    def _open(self, new: NewPull, commit: str, *, fresh: bool) -> _End:
        try:
            pull = self.forge.open_pull(new)
        except ForgeError as error:
            if error.status == 403:
                return self._link(new, commit, harmless.phrase(f"{error.message} {error.hint}"))
            others = self.forge.open_pulls(new.branch) if error.status in (409, 422) else ()
            if others:
                return self._said(others[0], commit, updated=True, notes=())
            if fresh:
                self.forge.delete_branch(new.branch, commit)
            raise
        return self._said(pull, commit, updated=False, notes=self._dress(pull))

    def _again(self, pull: Pull, new: NewPull) -> _End:
        """The open pull request with the new patch in the old one's place."""
        if pull.commit != self._last_commit() and not self._broke_off(pull.branch):
            why = f"There are commits on {pull.url} that are not the bot's, so it was left alone."
            return self._show(f"{why} The new patch:")
        commit = self._commit(pull.branch, pull.commit)
        updated = self.forge.update_pull(pull.number, new.title, new.body)
        return self._said(updated, commit, updated=True, notes=())

    def _broke_off(self, branch: str) -> bool:
        """Whether an earlier try with this very proposal got as far as its commit: the message
        names the attempt's run."""
        return self.forge.head_message(branch).strip() == self._message.strip()

    def _commit(self, branch: str, there: str | None) -> str:
        message = self._message
        proposal = self.proposal
        return self.forge.commit(branch, proposal.commit, message, proposal.patch, there)

    def _link(self, new: NewPull, commit: str, why: str) -> _End:
        url = self.forge.new_pull_url(new)
        return _End(telling.link(url, why, self.run_url), why, url, commit)

    def _said(self, pull: Pull, commit: str, *, updated: bool, notes: Sequence[str]) -> _End:
        proof = pulltext.PROOF[self.proposal.grade]
        text = telling.published(
            *(pull.url, proof),
            draft=pull.draft,
            updated=updated,
            notes=notes,
            run_url=self.run_url,
        )
        return _End(text, f"{'updated' if updated else 'opened'} {pull.url}", pull.url, commit)

    def _dress(self, pull: Pull) -> Sequence[str]:
        """Labels and reviewers; what the forge refuses of them is told and undoes nothing."""
        notes = []
        try:
            if self.config.labels:
                self.forge.add_labels(Place(pull.number, pull=True), self.config.labels)
        except ForgeError as error:
            notes.append(f"No label was set: {error.message}")
        if self.config.reviewers == "codeowners":
            named = owners(self._default_reader, self.proposal.patch.paths)
            users = [name for name in named if "/" not in name and name != pull.author]
            teams = [name for name in named if "/" in name]
            try:
                if users or teams:
                    self.forge.request_reviews(pull.number, users, teams)
            except ForgeError as error:
                notes.append(f"No review was asked for: {error.message}")
        return notes

    @cached_property
    def _message(self) -> str:
        messages = self.forge.recent_messages(self._default)
        signed = self.forge.identity() if habits.signed_off(messages) else ""
        return pulltext.message(self.trigger, self.proposal, signed_off=signed)

    def _kept(self) -> tuple[Comment, state.State] | None:
        place = self.trigger.place
        if place is None:
            return None
        return state.latest(self.forge.my_comments(place), self.forge.me())

    def _last_commit(self) -> str:
        kept = self._kept()
        return kept[1].commit if kept else ""

    def _reader(self, commit: str) -> Reader:
        """The files of a commit, each asked for once: several rules want the same ones."""
        return cache(lambda path: self.forge.file(path, commit))

    @cached_property
    def _default_reader(self) -> Reader:
        return self._reader(self.forge.base_commit(self._default))
