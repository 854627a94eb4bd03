"""Render a page once and serve it from the cache afterwards."""

from collections.abc import Callable

from pagecache.cache import Cache


class CachedRenderer:
    def __init__(self, render: Callable[[str], str], cache: Cache) -> None:
        self._render = render
        self._cache = cache

    def page(self, path: str) -> str:
        text = self._cache.get(path)
        if text is None:
            text = self._render(path)
            self._cache.put(path, text)
        return text
