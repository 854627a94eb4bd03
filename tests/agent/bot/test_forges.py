"""What each forge has to answer alike."""

from tests.agent.bot.githubs import Desk as GitHubDesk
from tests.agent.bot.gitlabs import Desk as GitLabDesk

Desk = GitHubDesk | GitLabDesk


def test_a_branch_contains_its_own_commits_only(here: Desk) -> None:
    forge, git = here.forge(), here.project.git
    first = here.head("main")
    second = git.commit("main", {"new.py": "1\n"}, "Go on")
    # Known to the forge, as a fork's commits are, or of another branch.
    aside = git.commit("aside", {"evil.py": "1\n"}, "Steal")
    on_top = git.commit_tree(git.text("rev-parse", f"{second}^{{tree}}"), [second], "Later", "A")
    assert forge.contains("main", second)
    assert first
    assert forge.contains("main", first)
    for commit in (aside, on_top, "a1" * 20):
        assert not forge.contains("main", commit)
