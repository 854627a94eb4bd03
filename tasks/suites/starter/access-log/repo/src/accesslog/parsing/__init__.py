from accesslog.parsing.fields import LogError
from accesslog.parsing.lines import Entry, parse_line, parse_log

__all__ = ["Entry", "LogError", "parse_line", "parse_log"]
