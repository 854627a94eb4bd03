from ratelimit.bucket import Bucket
from ratelimit.limiter import Limiter, TooManyRequests

__all__ = ["Bucket", "Limiter", "TooManyRequests"]
