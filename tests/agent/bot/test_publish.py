from dataclasses import replace
from datetime import UTC, datetime

import pytest

from agent.bot.accept import accept
from agent.bot.config import Config
from agent.bot.forge import ForgeError, Pull
from agent.bot.proposal import Proposal
from agent.bot.proposal import Tests as Ran
from agent.bot.publish import Published, publish
from agent.bot.trigger import Place, Trigger
from sandbox.errors import UsageError
from sandbox.patch import FILE, Change, Patch
from tests.agent.bot.githubs import Desk as GitHubDesk
from tests.agent.bot.gitlabs import Desk as GitLabDesk
from tests.fakes.forge.faults import Fault

NOW = datetime.now(UTC)
Desk = GitHubDesk | GitLabDesk
RUN = "https://runs.test/1"
MENDED = Patch((Change("src/app.py", FILE, b"print('yes')\n"),))


def accepted(here: Desk, place: Place, minutes: int = 0, action: str = "fix") -> Trigger:
    with here.store.lock:
        note = here.store.comment(here.project, place.number, place.pull, "dev", "/greenroom fix")
    trigger = Trigger(
        key=f"comment:{note.id}",
        action=action,  # type: ignore[arg-type]
        source="comment",
        actor=here.actor("dev"),
        at=NOW.replace(microsecond=minutes).isoformat(),
        place=place,
        title="The app says @no: fixes #1",
        target="comment",
        target_id=note.id,
    )
    assert accept(here.forge(), trigger, Config(), NOW, RUN).go
    return trigger


def proposed(here: Desk, trigger: Trigger, **changes: object) -> Proposal:
    found = Proposal(
        key=trigger.key,
        status="solved",
        reason="all is well",
        branch="main",
        commit=here.head("main") or "",
        patch=MENDED,
        diff="--- a/src/app.py\n+++ b/src/app.py\n",
        grade="proved",
        before=Ran(("test_app",), 3),
        after=Ran((), 4),
        repaired=("test_app",),
        summary="It said no. Now it says yes, ping @dev, closes #1",
        model="gpt-oss-20b",
        run="r1",
        version="0.1.0",
    )
    return replace(found, **changes)  # type: ignore[arg-type]


def published(
    here: Desk, trigger: Trigger, proposal: Proposal, config: Config | None = None
) -> Published:
    return publish(here.forge(), trigger, config or Config(), proposal, RUN)


def told(here: Desk, place: Place) -> str:
    """The body of the bot's one comment."""
    me = here.forge().me()
    with here.store.lock:
        notes = [n for n in here.project.comments.values() if n.author == me and not n.system]
        [note] = [n for n in notes if (n.number, n.pull) == (place.number, place.pull)]
        return note.body


def pulls(here: Desk) -> list[Pull]:
    return list(here.forge().open_pulls("greenroom/"))


def test_a_solved_issue_becomes_one_draft_that_says_how_it_was_proved(here: Desk) -> None:
    place = here.issue()
    trigger = accepted(here, place)
    done = published(here, trigger, proposed(here, trigger))
    [pull] = pulls(here)
    assert done.url == pull.url
    assert pull.draft
    assert pull.branch.startswith(f"greenroom/{place.number}-")
    assert pull.base_branch == "main"
    assert f"Closes #{place.number}." in pull.body
    assert "**Proved.**" in pull.body
    assert "| before | 3 | 1 |" in pull.body
    assert "| after | 4 | 0 |" in pull.body
    assert f"whether the tests that failed are what #{place.number} is about" in pull.body
    assert "Made by Greenroom 0.1.0 with gpt-oss-20b: " in pull.body
    assert RUN in pull.body
    assert f"Opened {pull.url}, a draft" in told(here, place)
    assert "**Proved.**" in told(here, place)
    content = here.project.git.file("src/app.py", pull.commit)
    assert content == b"print('yes')\n"


def test_words_of_others_mention_and_close_nothing(here: Desk) -> None:
    trigger = accepted(here, here.issue())
    published(here, trigger, proposed(here, trigger))
    [pull] = pulls(here)
    assert "@dev" not in pull.body
    assert "@no" not in pull.title
    assert "closes #1" not in pull.body.replace("Closes #1.", "")
    message = here.forge().recent_messages(pull.branch)[0]
    assert "@no" not in message
    assert "fixes #1" not in message


def test_the_commit_names_model_and_run(here: Desk) -> None:
    trigger = accepted(here, here.issue())
    published(here, trigger, proposed(here, trigger))
    message = here.forge().recent_messages(pulls(here)[0].branch)[0]
    assert "Greenroom-Model: gpt-oss-20b\nGreenroom-Run: r1" in message


def test_a_second_run_updates_the_pull_request(here: Desk) -> None:
    place = here.issue()
    first = accepted(here, place)
    one = published(here, first, proposed(here, first))
    second = accepted(here, place, 1, "retry")
    again = Patch((Change("src/app.py", FILE, b"print('yes, yes')\n"),))
    two = published(here, second, proposed(here, second, patch=again))
    assert one.url == two.url
    [pull] = pulls(here)
    assert here.project.git.file("src/app.py", pull.commit) == b"print('yes, yes')\n"
    assert "Updated" in told(here, place)


def test_commits_of_others_on_the_branch_are_left_alone(here: Desk) -> None:
    place = here.issue()
    first = accepted(here, place)
    published(here, first, proposed(here, first))
    [pull] = pulls(here)
    theirs = here.project.git.commit(pull.branch, {"src/app.py": "print('mine')\n"}, "Mine")
    second = accepted(here, place, 1, "retry")
    published(here, second, proposed(here, second))
    assert here.head(pull.branch) == theirs
    assert "not the bot's" in told(here, place)
    assert "+++ b/src/app.py" in told(here, place)


def test_a_failed_attempt_leaves_one_comment_that_says_why(here: Desk) -> None:
    place = here.issue()
    trigger = accepted(here, place)
    proposal = proposed(
        here, trigger, status="not solved", reason="out of turns", after=Ran(("test_app",), 3)
    )
    published(here, trigger, proposal)
    assert pulls(here) == []
    assert "out of turns" in told(here, place)
    assert "`test_app`" in told(here, place)


@pytest.mark.parametrize("path", [".github/workflows/ci.yml", ".gitlab-ci.yml", "greenroom.toml"])
def test_the_rules_hold_whatever_was_proved(here: Desk, path: str) -> None:
    place = here.issue()
    trigger = accepted(here, place)
    patch = MENDED.merge(Patch((Change(path, FILE, b"x\n"),)))
    published(here, trigger, proposed(here, trigger, patch=patch))
    assert pulls(here) == []
    assert path.rpartition("/")[2].replace("_", "") in told(here, place).replace("\\", "")


def test_a_weaker_verdict_than_configured_is_told_and_not_published(here: Desk) -> None:
    place = here.issue()
    trigger = accepted(here, place)
    proposal = proposed(here, trigger, grade="regression-only")
    published(here, trigger, proposal, Config(require="reproduced"))
    assert pulls(here) == []
    assert "*reproduced*" in told(here, place)


def test_what_nothing_shows_does_not_close_the_issue(here: Desk) -> None:
    place = here.issue()
    trigger = accepted(here, place)
    published(here, trigger, proposed(here, trigger, grade="regression-only"))
    [pull] = pulls(here)
    assert "Closes" not in pull.body
    assert f"For #{place.number}." in pull.body
    assert "**Not shown.**" in pull.body


def test_a_stop_before_publishing_holds(here: Desk) -> None:
    place = here.issue()
    trigger = accepted(here, place)
    stop = replace(trigger, key="comment:0", action="stop", target=None)
    accept(here.forge(), stop, Config(), NOW, RUN)
    published(here, trigger, proposed(here, trigger))
    assert pulls(here) == []
    assert "Stopped" in told(here, place)


def test_a_file_that_the_patch_changes_is_read_once(here: Desk) -> None:
    trigger = accepted(here, here.issue())
    published(here, trigger, proposed(here, trigger))
    reads = [call for call in here.fake.calls if call.startswith("GET") and "app.py" in call]
    assert len(reads) == 1


def test_who_lost_the_right_meanwhile_publishes_nothing(here: Desk) -> None:
    trigger = accepted(here, here.issue())
    here.project.roles["dev"] = "triage"
    published(here, trigger, proposed(here, trigger))
    assert pulls(here) == []
    assert trigger.place
    assert "Nothing was published" in told(here, trigger.place)


def test_a_proposal_of_another_event_is_refused(here: Desk) -> None:
    trigger = accepted(here, here.issue())
    with pytest.raises(UsageError, match="not of this event"):
        published(here, trigger, proposed(here, trigger, key="comment:1"))


def test_a_commit_of_elsewhere_brings_nothing_in(here: Desk) -> None:
    place = here.issue()
    trigger = accepted(here, place)
    evil = {".github/workflows/x.yml": "on: push\n", ".gitlab-ci.yml": "x:\n"}
    # As a fork's commit is: the forge knows it, and no branch of the repository has it.
    commit = here.project.git.commit("main", evil, "Steal")
    here.project.git.set_ref("refs/heads/main", here.project.git.text("rev-parse", f"{commit}^"))
    published(here, trigger, proposed(here, trigger, commit=commit))
    assert pulls(here) == []
    assert not [name for name in here.project.git.branches() if "greenroom" in name]
    assert "not on the branch main" in told(here, place)


def test_a_branch_that_nobody_asked_for_gets_no_pull_request(here: Desk) -> None:
    here.project.git.set_ref("refs/heads/release", here.head("main") or "")
    trigger = accepted(here, here.issue())
    published(here, trigger, proposed(here, trigger, branch="release"))
    assert pulls(here) == []


def test_commits_that_came_meanwhile_are_no_hindrance(here: Desk) -> None:
    trigger = accepted(here, here.issue())
    proposal = proposed(here, trigger)
    here.project.git.commit("main", {"other.py": "1\n"}, "Go on")
    published(here, trigger, proposal)
    assert len(pulls(here)) == 1


@pytest.mark.parametrize("status", ["solved", "not solved", "broken"])
def test_an_old_run_does_not_speak_over_a_later_one(here: Desk, status: str) -> None:
    place = here.issue()
    old = accepted(here, place)
    stop = replace(old, key="comment:0", action="stop", target=None)
    accept(here.forge(), stop, Config(), NOW, RUN)
    accepted(here, place, 1, "retry")
    before = told(here, place)
    done = published(here, old, proposed(here, old, status=status))
    assert "something asked later" in done.told
    assert told(here, place) == before
    assert "Working on it" in before
    assert pulls(here) == []


def test_the_patch_that_is_shown_is_the_one_that_was_judged(here: Desk) -> None:
    place = here.issue()
    first = accepted(here, place)
    published(here, first, proposed(here, first))
    here.project.git.commit(pulls(here)[0].branch, {"src/app.py": "print('mine')\n"}, "Mine")
    second = accepted(here, place, 1, "retry")
    lie = "--- a/src/app.py\n+++ b/src/app.py\n+import evil\n"
    published(here, second, proposed(here, second, diff=lie))
    assert "import evil" not in told(here, place)
    assert "+print('yes')" in told(here, place)


def test_a_fault_of_ours_is_told_too(here: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    place = here.issue()
    trigger = accepted(here, place)

    def fails(*_: object) -> None:
        raise ZeroDivisionError("secret words")

    monkeypatch.setattr("agent.bot.publish.rules.violations", fails)
    with pytest.raises(ZeroDivisionError):
        published(here, trigger, proposed(here, trigger))
    assert "ZeroDivisionError" in told(here, place)
    assert "secret words" not in told(here, place)
    assert "Working on it" not in told(here, place)


WORST = "<" * 20_000


@pytest.mark.parametrize("status", ["solved", "not solved"])
def test_the_longest_words_fit_into_what_a_forge_takes(here: Desk, status: str) -> None:
    here.project.git.commit("main", {"PULL_REQUEST_TEMPLATE.md": "x" * 20_000}, "Ask much")
    place = here.issue()
    trigger = accepted(here, place)
    ids = tuple("@" * 300 + str(number) for number in range(30))
    notes = tuple(WORST for _ in range(30))
    ran = Ran(ids, 1)
    words = {"summary": WORST, "reason": WORST, "notes": notes, "repaired": ids}
    more = {**words, "before": ran, "after": ran, "added_tests": ids}
    published(here, trigger, proposed(here, trigger, status=status, **more))
    assert ("Opened" if status == "solved" else "No patch") in told(here, place)
    assert all(len(pull.body) <= 65_536 for pull in pulls(here))
    assert len(told(here, place)) <= 65_536


def test_a_patch_that_quoting_makes_too_long_is_not_shown(here: Desk) -> None:
    place = here.issue()
    first = accepted(here, place)
    published(here, first, proposed(here, first))
    here.project.git.commit(pulls(here)[0].branch, {"src/app.py": "print('mine')\n"}, "Mine")
    second = accepted(here, place, 1, "retry")
    long = Patch((Change("long.txt", FILE, b"x\n" * 15_000),))
    published(here, second, proposed(here, second, patch=long), Config(max_lines=20_000))
    assert "too long for a comment" in told(here, place)


def test_a_patch_of_too_many_files_is_not_asked_for_file_by_file(here: Desk) -> None:
    place = here.issue()
    trigger = accepted(here, place)
    many = Patch(tuple(Change(f"file{number}", FILE, b"x") for number in range(300)))
    published(here, trigger, proposed(here, trigger, patch=many))
    assert "300 files" in told(here, place)
    assert len([call for call in here.fake.calls if "file12" in call]) == 0


def test_a_link_is_given_where_pull_requests_are_opened_by_hand(here: Desk) -> None:
    place = here.issue()
    trigger = accepted(here, place)
    done = published(here, trigger, proposed(here, trigger), Config(pull_request="link"))
    assert pulls(here) == []
    assert done.url in told(here, place)
    assert here.head(f"greenroom/{place.number}-the-app-says-no-fixes-1")


def test_the_same_proposal_published_again_changes_nothing(here: Desk) -> None:
    trigger = accepted(here, here.issue())
    proposal = proposed(here, trigger)
    one, two = published(here, trigger, proposal), published(here, trigger, proposal)
    assert one.url == two.url
    assert len(pulls(here)) == 1


def test_labels_and_owners_are_asked_for_and_their_refusal_undoes_nothing(here: Desk) -> None:
    here.project.git.commit("main", {"CODEOWNERS": "* @dev @nobody\n"}, "Own it")
    here.project.roles["dev"] = "maintain"
    trigger = accepted(here, here.issue())
    config = Config(labels=("bot",), reviewers="codeowners")
    dressing = r"/labels$|/requested_reviewers$|PUT .*/merge_requests/\d+$"
    here.fake.faults.add(Fault(dressing, status=403, times=9))
    published(here, trigger, proposed(here, trigger), config)
    [pull] = pulls(here)
    assert pull.state == "open"


def test_a_pull_request_that_cannot_be_opened_leaves_no_branch(here: Desk) -> None:
    place = here.issue()
    trigger = accepted(here, place)
    here.fake.faults.add(Fault("POST .*/(merge_requests|pulls)$", status=404, times=9))
    with pytest.raises(ForgeError):
        published(here, trigger, proposed(here, trigger))
    assert [name for name in here.project.git.branches() if "greenroom" in name] == []
    assert "publishing it failed" in told(here, place)


def test_a_token_that_may_not_open_pull_requests_leaves_a_link(here: Desk) -> None:
    place = here.issue()
    trigger = accepted(here, place)
    here.fake.faults.add(Fault("POST .*/(merge_requests|pulls)$", status=403, times=9))
    done = published(here, trigger, proposed(here, trigger))
    assert done.url
    assert done.url in told(here, place)


def test_where_not_even_the_comment_can_say_so_the_error_says_both(here: Desk) -> None:
    trigger = accepted(here, here.issue())
    here.fake.faults.add(Fault("POST .*/(merge_requests|pulls)$", status=404, times=9))
    here.fake.faults.add(Fault("(PUT|PATCH) .*/(notes|comments)/", status=403, times=9))
    with pytest.raises(ForgeError) as raised:
        published(here, trigger, proposed(here, trigger))
    assert raised.value.status == 404
    assert "Nor could the comment say so" in raised.value.hint


def test_a_comment_that_cannot_be_edited_takes_no_pull_request_back(here: Desk) -> None:
    trigger = accepted(here, here.issue())
    here.fake.faults.add(Fault("(PUT|PATCH) .*/(notes|comments)/", status=403, times=9))
    with pytest.raises(ForgeError):
        published(here, trigger, proposed(here, trigger))
    assert len(pulls(here)) == 1
