"""Links for the foot of a result list."""

from urllib.parse import urlencode

from paging.page import Page


def _link(path: str, query: dict[str, str], number: int) -> str:
    return f"{path}?{urlencode({**query, 'page': number})}"


def page_links(page: Page, path: str, query: dict[str, str] | None = None) -> dict[str, str]:
    """Links by relation: first and last always, prev and next where such a page exists."""
    query = query or {}
    links = {"first": _link(path, query, 1), "last": _link(path, query, page.count)}
    if page.has_previous:
        links["prev"] = _link(path, query, page.number - 1)
    if page.has_next:
        links["next"] = _link(path, query, page.number + 1)
    return links


def caption(page: Page) -> str:
    """For instance '11-20 of 42'."""
    if not page.items:
        return "no results"
    return f"{page.first_index}-{page.last_index} of {page.total}"
