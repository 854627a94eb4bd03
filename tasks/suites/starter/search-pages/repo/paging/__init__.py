"""Results in pages, with links from one to the next."""

from paging.links import page_links
from paging.page import Page, PageError, paginate

__all__ = ["Page", "PageError", "page_links", "paginate"]
