"""One course with a limited number of places."""


class CourseError(Exception):
    """Something that is not possible with this course."""


class Course:
    """People get a place in the order in which they enrol; the others wait."""

    def __init__(self, title, places, tags=()):
        if places < 1:
            raise CourseError(f"{title}: a course has at least one place")
        self.title = title
        self.places = places
        self.tags = frozenset(tags)
        self.enrolled = []
        self.waiting = []

    def enrol(self, name):
        """True for a place, False for the waiting list."""
        if name in self.enrolled or name in self.waiting:
            raise CourseError(f"{name} is already on the list of {self.title}")
        if len(self.enrolled) < self.places:
            self.enrolled.append(name)
            return True
        self.waiting.append(name)
        return False

    def cancel(self, name):
        """Give up a place; whoever gets it is returned, None when nobody waits."""
        if name in self.waiting:
            self.waiting.remove(name)
            return None
        if name not in self.enrolled:
            raise CourseError(f"{name} is not on the list of {self.title}")
        self.enrolled.remove(name)
        if not self.waiting:
            return None
        next_name = self.waiting.pop(0)
        self.enrolled.append(next_name)
        return next_name
