"""A bounded cache for rendered pages."""

from pagecache.cache import Cache
from pagecache.render import CachedRenderer

__all__ = ["Cache", "CachedRenderer"]
