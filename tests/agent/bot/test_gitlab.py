from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from agent.bot.forge import ForgeError, NewPull
from agent.bot.gitlab import GitLab
from agent.bot.gitlab_api import Api, base_url
from agent.bot.trigger import Actor, Build, Place
from sandbox.errors import GreenroomError
from tests.agent.bot.gitlabs import BOT, Desk, asked, desk
from tests.fakes.forge.bare import BareRepository

LONG_AGO = datetime.now(UTC) - timedelta(days=1)


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Desk]:
    with desk(tmp_path) as made:
        yield made


def new_pull(branch: str, draft: bool = True) -> NewPull:
    return NewPull("Repair it", "It was broken.", branch, "main", draft)


def test_the_project_is_described(at: Desk) -> None:
    found = at.forge().repository()
    assert (found.name, found.default_branch, found.private) == ("team/app", "main", False)
    assert found.clone_url == f"{at.fake.url}/team/app.git"
    assert BareRepository(at.project.git.folder).text("ls-remote", found.clone_url, "main")


def test_a_private_project_is_private(tmp_path: Path) -> None:
    with desk(tmp_path, private=True) as at:
        assert at.forge().repository().private


def test_a_stranger_sees_no_private_project(tmp_path: Path) -> None:
    with desk(tmp_path, private=True) as at:
        token = at.store.token("stranger", "personal", {"api": "write"})
        with pytest.raises(ForgeError, match="Project Not Found") as refused:
            at.forge(token).repository()
        assert refused.value.status == 404


def test_the_bot_knows_its_own_name(at: Desk) -> None:
    assert at.forge().me() == BOT
    assert at.forge(login="the-writer").me() == "the-writer"


def test_the_bot_signs_with_the_address_that_its_commits_have(at: Desk) -> None:
    number = at.store.users[BOT].id
    assert at.forge().identity() == f"{BOT} <{number}-{BOT}@users.noreply.127.0.0.1>"
    at.fake.addresses[BOT] = "bot@example.invalid"
    assert at.forge().identity() == f"{BOT} <bot@example.invalid>"


def test_the_last_messages_of_a_branch_are_read_without_merges(at: Desk) -> None:
    git = at.project.git
    for number in range(45):
        git.commit("main", {"n": str(number)}, f"Change {number}\n\nSigned-off-by: a <a@b>")
    head = at.head("main") or ""
    merge = git.commit_tree(f"{head}^{{tree}}", [head, f"{head}~3"], "Merge")
    git.set_ref("refs/heads/main", merge)
    found = at.forge().recent_messages("main")
    assert [each.splitlines()[0] for each in found] == [f"Change {n}" for n in range(44, 24, -1)]


@pytest.mark.parametrize(
    ("login", "expected"), [("dev", True), (BOT, True), ("reporter", False), ("stranger", False)]
)
def test_developers_may_write(at: Desk, login: str, expected: bool) -> None:
    assert at.forge().may_write(at.actor(login)) is expected


def test_a_name_that_is_not_the_ids_may_not_write(at: Desk) -> None:
    assert not at.forge().may_write(Actor("stranger", at.actor("dev").id))


def test_files_are_read_at_a_commit(at: Desk) -> None:
    forge, before = at.forge(), at.forge().base_commit("main")
    at.project.git.commit("main", {"src/app.py": b"\xff\x00"}, "Change it")
    assert forge.file("src/app.py", before) == b"print('no')\n"
    assert forge.file("src/app.py", forge.base_commit("main")) == b"\xff\x00"
    assert forge.file("src/none.py", before) is None
    with pytest.raises(ForgeError, match="Commit Not Found"):
        forge.file("src/app.py", "0" * 40)


def test_branches_are_found_or_not(at: Desk) -> None:
    forge = at.forge()
    assert forge.head_of("main") == forge.base_commit("main") == at.head("main")
    assert forge.head_of("greenroom/1-it fails") is None
    with pytest.raises(ForgeError, match="no branch none"):
        forge.base_commit("none")


def test_a_reaction_is_put_on_what_asked_and_only_once(at: Desk) -> None:
    forge, place = at.forge(), at.issue()
    comment = at.store.comment(at.project, place.number, False, "dev", "/greenroom fix")
    for trigger in (asked(at, "dev", place), asked(at, "dev", place, comment.id)):
        forge.acknowledge(trigger)
        forge.acknowledge(trigger)
    reactions = [*at.project.issues[place.number].reactions, *comment.reactions]
    assert [(each.author, each.content) for each in reactions] == [(BOT, "eyes")] * 2
    forge.acknowledge(replace(asked(at, "dev", place), target=None))


def test_comments_are_written_edited_and_deleted(at: Desk) -> None:
    forge, place = at.forge(), at.issue()
    at.store.comment(at.project, place.number, False, "stranger", "Me too")
    first, second = (forge.add_comment(place, body) for body in ("One", "Two"))
    forge.edit_comment(first, "One, changed")
    assert [(each.id, each.body) for each in forge.my_comments(place)] == [
        (first.id, "One, changed"),
        (second.id, "Two"),
    ]
    forge.delete_comment(second)
    forge.delete_comment(second)
    assert [each.id for each in forge.my_comments(place)] == [first.id]
    assert forge.my_comments(place)[0].author == BOT


def test_all_pages_of_comments_are_read_where_the_forge_believes_in_another_address(
    at: Desk,
) -> None:
    at.fake.believed_url = "http://gitlab.invalid"
    place = at.issue()
    for number in range(205):
        at.store.comment(at.project, place.number, False, BOT, str(number))
    assert [each.body for each in at.forge().my_comments(place)] == [str(n) for n in range(205)]


def test_recent_comments_are_the_bots_in_this_project(at: Desk) -> None:
    forge, place = at.forge(), at.issue()
    pull = Place(at.store.pull(at.project, "dev", "A pull", "", "main").number, pull=True)
    other = at.store.project("team/other")
    elsewhere = at.store.issue(other, "dev", "Elsewhere")
    at.store.comment(other, elsewhere.number, False, BOT, "Elsewhere")
    at.store.comment(at.project, place.number, False, "dev", "Not the bot's")
    forge.add_comment(place, "Here")
    forge.add_comment(pull, "There")
    found = forge.my_recent_comments(LONG_AGO)
    assert [(each.place, each.body) for each in found] == [(place, "Here"), (pull, "There")]
    old = next(each for each in at.project.comments.values() if each.body == "Here")
    old.updated_at = LONG_AGO - timedelta(hours=1)
    assert [each.body for each in forge.my_recent_comments(LONG_AGO)] == ["There"]


@pytest.mark.parametrize("draft", [True, False])
def test_a_merge_request_is_opened_and_updated(at: Desk, draft: bool) -> None:
    forge = at.forge()
    at.project.git.set_ref("refs/heads/greenroom/1-it", at.head("main") or "")
    opened = forge.open_pull(new_pull("greenroom/1-it", draft))
    assert (opened.draft, opened.title, opened.state) == (draft, "Repair it", "open")
    assert (opened.author, opened.fork, opened.commit) == (BOT, False, at.head("main"))
    changed = forge.update_pull(opened.number, "Repair it better", "New words.")
    assert (changed.draft, changed.title, changed.body) == (draft, "Repair it better", "New words.")
    stored = at.project.pulls[opened.number]
    assert stored.title == ("Draft: Repair it better" if draft else "Repair it better")
    assert forge.pull(opened.number) == changed


def test_a_draft_that_a_person_made_ready_stays_ready(at: Desk) -> None:
    forge = at.forge()
    at.project.git.set_ref("refs/heads/greenroom/1-it", at.head("main") or "")
    number = forge.open_pull(new_pull("greenroom/1-it")).number
    at.project.pulls[number].title = "Repair it"
    assert not forge.update_pull(number, "Repair it", "").draft


def test_a_second_merge_request_of_a_branch_is_refused_or_the_first_one(at: Desk) -> None:
    forge = at.forge()
    at.project.git.set_ref("refs/heads/greenroom/1-it", at.head("main") or "")
    first = forge.open_pull(new_pull("greenroom/1-it"))
    assert forge.open_pull(new_pull("greenroom/1-it")) == first
    with pytest.raises(ForgeError, match="already exists") as refused:
        forge.open_pull(replace(new_pull("greenroom/1-it"), title="Another"))
    assert refused.value.status == 409
    assert len(at.project.pulls) == 1


def test_open_merge_requests_are_the_bots_of_a_prefix(at: Desk) -> None:
    forge = at.forge()
    for author, branch in ((BOT, "greenroom/1-a"), (BOT, "other"), ("dev", "greenroom/2-b")):
        at.project.git.set_ref(f"refs/heads/{branch}", at.head("main") or "")
        at.store.pull(at.project, author, branch, "", branch)
    closed = at.store.pull(at.project, BOT, "closed", "", "greenroom/1-a")
    closed.state = "closed"
    assert [each.branch for each in forge.open_pulls("greenroom/")] == ["greenroom/1-a"]
    assert forge.pull(closed.number).state == "closed"


def test_a_merge_request_from_a_fork_says_where_its_commits_are(at: Desk) -> None:
    fork = at.store.fork("team/app", "stranger/app")
    fork.git.commit("patch", {"a": "1"}, "Theirs")
    number = at.store.pull(at.project, "stranger", "Theirs", "", "patch", head=fork.name).number
    found = at.forge().pull(number)
    assert found.fork
    assert found.clone_url == f"{at.fake.url}/stranger/app.git"
    fork.private = True
    found = at.forge().pull(number)
    assert found.fork
    assert found.clone_url == f"{at.fake.url}/team/app.git"
    assert at.project.git.resolve(found.commit)


def test_labels_and_reviewers_are_added_to_those_there(at: Desk) -> None:
    forge = at.forge()
    at.project.git.set_ref("refs/heads/greenroom/1-it", at.head("main") or "")
    opened = forge.open_pull(new_pull("greenroom/1-it"))
    pull = at.project.pulls[opened.number]
    pull.labels, pull.reviewers = ["there"], ["reporter"]
    forge.add_labels(Place(opened.number, pull=True), ["bot", "fix"])
    forge.request_reviews(opened.number, ["dev", "nobody-at-all"], ["team/group"])
    assert pull.labels == ["there", "bot", "fix"]
    assert pull.reviewers == ["reporter", "dev"]


def test_failed_jobs_come_with_the_ends_of_their_logs(at: Desk) -> None:
    log = b"x" * 100_000 + (
        b"section_start:1700000000:step_script\r\x1b[0K\x1b[32;1m$ pytest\x1b[0;m\r\n"
        b"FAILED test_app\r\nsection_end:1700000001:step_script\r\x1b[0K"
    )
    jobs = {
        "test": ("failure", log),
        "lint": ("success", b"fine"),
        "canary": ("allowed failure", b"no"),
    }
    made = at.store.build(at.project, "main", jobs)
    build = Build(made.id, "tests", "", made.commit, "main", False)
    (failed,) = at.forge().failed_jobs(build)
    assert failed.name == "test"
    assert failed.log.endswith("x$ pytest\nFAILED test_app\n")
    assert len(failed.log) <= 1 << 16


def test_a_log_in_object_storage_is_fetched_without_the_token(at: Desk, tmp_path: Path) -> None:
    made = at.store.build(at.project, "main", {"test": ("failure", b"here")})
    build = Build(made.id, "tests", "", made.commit, "main", False)
    with desk(tmp_path / "elsewhere") as elsewhere:
        seen: list[str] = []
        answer = elsewhere.fake.answer

        def noted(call, path):  # type: ignore[no-untyped-def]
            seen.extend(f"{name}: {value}" for name, value in call.headers.items())
            return answer(call, path)

        elsewhere.fake.answer = noted  # type: ignore[method-assign]
        at.fake.traces_elsewhere = f"{elsewhere.fake.url}/api/v4/none"
        (failed,) = at.forge().failed_jobs(build)
    assert failed.log == ""
    assert seen
    assert at.token not in "\n".join(seen)


def test_remarks_are_the_actors_in_the_discussion_as_they_were_sent(at: Desk) -> None:
    at.project.git.set_ref("refs/heads/greenroom/1-it", at.head("main") or "")
    pull = at.store.pull(at.project, BOT, "Repair it", "", "greenroom/1-it")
    review = at.store.review(at.project, pull.number, "dev")
    first = at.store.remark(at.project, review, "src/app.py", 3, "Say yes", "dev")
    at.store.remark(at.project, review, "src/app.py", 3, "And run rm", "stranger")
    late = at.store.remark(at.project, review, "src/app.py", 3, "Edited", "dev")
    late.updated_at += timedelta(seconds=60)
    other = at.store.review(at.project, pull.number, "dev")
    at.store.remark(at.project, other, "src/gone.py", None, "Elsewhere", "dev")
    place = Place(pull.number, pull=True)
    sent = first.created_at.isoformat()
    trigger = replace(asked(at, "dev", place), source="review", review=first.id, at=sent)
    (remark,) = at.forge().remarks(trigger)
    assert (remark.path, remark.line, remark.text) == ("src/app.py", 3, "Say yes")
    assert not at.forge().remarks(replace(trigger, review=0, target_id=0))


def test_the_link_opens_the_merge_request_filled_in(at: Desk) -> None:
    forge = at.forge()
    parts = urlsplit(forge.new_pull_url(new_pull("greenroom/1-it & more")))
    assert parts.path == "/team/app/-/merge_requests/new"
    values = parse_qs(parts.query)
    assert values["merge_request[source_branch]"] == ["greenroom/1-it & more"]
    assert values["merge_request[target_branch]"] == ["main"]
    assert values["merge_request[title]"] == ["Draft: Repair it"]
    assert values["merge_request[description]"] == ["It was broken."]
    assert values["merge_request[source_project_id]"] == [str(at.project.id)]


def test_the_link_stays_short_enough_for_servers(at: Desk) -> None:
    new = replace(new_pull("greenroom/1-it"), body="# ä\n" * 5000)
    assert len(at.forge().new_pull_url(new)) < 8000


def test_places_have_addresses(at: Desk) -> None:
    forge = at.forge()
    assert forge.issue_url(Place(3)).endswith("/team/app/-/issues/3")
    assert forge.issue_url(Place(3, pull=True)).endswith("/team/app/-/merge_requests/3")


def test_a_token_that_only_reads_writes_nothing(at: Desk) -> None:
    place = at.issue()
    token = at.store.token(BOT, "project", {"read_api": "read"}, at.project.name)
    forge = at.forge(token)
    assert forge.may_write(at.actor("dev"))
    with pytest.raises(ForgeError, match="insufficient_scope") as refused:
        forge.add_comment(place, "Hello")
    assert refused.value.status == 403
    assert not at.project.comments


def test_no_error_holds_the_token(at: Desk) -> None:
    token = "glpat-not-a-token-of-this-forge"
    with pytest.raises(GreenroomError) as refused:
        at.forge(token).me()
    assert token not in str(refused.value)
    assert token not in repr(refused.value.__cause__)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "https://gitlab.com"),
        ({"CI_SERVER_URL": "https://git.example/gitlab/"}, "https://git.example/gitlab"),
        (
            {"CI_API_V4_URL": "https://git.example/gitlab/api/v4", "CI_SERVER_URL": "https://x"},
            "https://git.example/gitlab",
        ),
    ],
)
def test_the_address_is_the_jobs(environment: dict[str, str], expected: str) -> None:
    assert base_url(environment) == expected


@pytest.mark.parametrize(("api", "clone"), [("https", "https"), ("http", "http")])
def test_no_token_goes_in_the_clear_where_the_api_is_secure(
    monkeypatch: pytest.MonkeyPatch, api: str, clone: str
) -> None:
    client = Api(f"{api}://gitlab.test", "token")
    # As a server behind a proxy says that takes itself for one without TLS.
    told = {"http_url_to_repo": "http://gitlab.test/a/b.git", "web_url": "http://gitlab.test/a/b"}
    told |= {"path_with_namespace": "a/b"}
    monkeypatch.setattr(client, "get", lambda *_: told)
    assert GitLab(client, "1").repository().clone_url == f"{clone}://gitlab.test/a/b.git"
