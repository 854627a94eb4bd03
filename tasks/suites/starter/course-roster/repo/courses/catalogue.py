"""All courses of a term."""

from courses.course import Course, CourseError


class Catalogue:
    def __init__(self, term, courses=[]):
        self.term = term
        self.courses = courses

    def add(self, title, places, tags=()):
        if any(course.title == title for course in self.courses):
            raise CourseError(f"there is already a course called {title}")
        course = Course(title, places, tags)
        self.courses.append(course)
        return course

    def find(self, title):
        for course in self.courses:
            if course.title == title:
                return course
        raise CourseError(f"there is no course called {title}")

    def with_tag(self, tag):
        return [course.title for course in self.courses if tag in course.tags]

    def next_term(self, term):
        """A catalogue with the same courses and no people in them."""
        courses = [Course(each.title, each.places, each.tags) for each in self.courses]
        return Catalogue(term, courses)
