"""Put targets in an order in which everything is built before it is needed."""

from buildtool.rules import Rules


class CycleError(ValueError):
    """Targets that need each other; `path` leads from one of them back to itself."""

    def __init__(self, path: list[str]) -> None:
        super().__init__(" -> ".join(path))
        self.path = path


def build_order(rules: Rules, goal: str) -> list[str]:
    """Everything that `goal` needs, directly or not, and then the goal itself."""
    order: list[str] = []
    path: list[str] = []

    def visit(target: str) -> None:
        if target in path:
            raise CycleError([*path[path.index(target) :], target])
        if target in order:
            return
        path.append(target)
        for need in rules.get(target, ()):
            visit(need)
        order.append(target)

    visit(goal)
    return order


def waves(rules: Rules, goal: str) -> list[list[str]]:
    """The same in groups; the targets of a group can be built at the same time."""
    level: dict[str, int] = {}
    for target in build_order(rules, goal):
        level[target] = max((level[need] + 1 for need in rules.get(target, ())), default=0)
    groups: list[list[str]] = [[] for _ in range(max(level.values()) + 1)]
    for target in sorted(level):
        groups[level[target]].append(target)
    return groups
