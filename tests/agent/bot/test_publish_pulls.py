"""What is published where a pull request asks: a fork's, a colleague's, the bot's own."""

from agent.bot.trigger import Place
from sandbox.patch import FILE, Change, Patch
from tests.agent.bot.test_publish import Desk, accepted, proposed, published, pulls, told

TOPIC = {"src/app.py": "print('topic')\n"}


def opened(here: Desk, author: str, branch: str, head: str = "") -> Place:
    """A pull request of a branch with one commit."""
    with here.store.lock:
        project = here.store.fork(here.project.name, head) if head else here.project
        project.git.run("branch", branch, "main")
        project.git.commit(branch, TOPIC, "Topic")
        made = here.store.pull(here.project, author, "Mine", "", branch, head=head)
    return Place(made.number, pull=True)


def test_a_pull_request_of_a_fork_gets_a_comment_with_a_patch_and_no_push(here: Desk) -> None:
    place = opened(here, "eve", "topic", head="eve/app")
    before = here.project.git.branches()
    trigger = accepted(here, place)
    head = here.forge().pull(place.number).commit
    published(here, trigger, proposed(here, trigger, branch="topic", commit=head))
    assert here.project.git.branches() == before
    assert here.store.projects["eve/app"].git.head("topic") == head
    assert pulls(here) == []
    assert "comes from a fork" in told(here, place)
    assert "+print('yes')" in told(here, place)


def test_a_pull_request_of_a_colleague_gets_one_onto_its_branch(here: Desk) -> None:
    place = opened(here, "dev", "topic")
    trigger = accepted(here, place)
    head = here.forge().pull(place.number).commit
    published(here, trigger, proposed(here, trigger, branch="topic", commit=head))
    [made] = pulls(here)
    assert made.base_branch == "topic"
    assert here.head("topic") == head
    assert "Closes" not in made.body


def test_the_bots_own_pull_request_gets_a_further_commit(here: Desk) -> None:
    issue = here.issue()
    first = accepted(here, issue)
    published(here, first, proposed(here, first))
    [pull] = pulls(here)
    review = accepted(here, Place(pull.number, pull=True))
    patch = Patch((Change("src/app.py", FILE, b"print('yes, please')\n"),))
    found = proposed(here, review, branch=pull.branch, commit=pull.commit, patch=patch)
    done = published(here, review, found)
    [again] = pulls(here)
    assert done.url == again.url == pull.url
    assert here.project.git.text("rev-parse", f"{again.commit}^") == pull.commit
    assert here.project.git.file("src/app.py", again.commit) == b"print('yes, please')\n"


def test_what_was_pushed_meanwhile_is_not_built_over(here: Desk) -> None:
    place = opened(here, "dev", "topic")
    trigger = accepted(here, place)
    head = here.forge().pull(place.number).commit
    later = here.project.git.commit("topic", {"src/app.py": "print('later')\n"}, "Later")
    published(here, trigger, proposed(here, trigger, branch="topic", commit=head))
    assert pulls(here) == []
    assert here.head("topic") == later
    assert "Somebody pushed meanwhile" in told(here, place)
