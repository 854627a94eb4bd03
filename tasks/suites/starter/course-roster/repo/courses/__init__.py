"""Courses, the people in them, and the waiting lists."""

from courses.catalogue import Catalogue
from courses.course import Course, CourseError

__all__ = ["Catalogue", "Course", "CourseError"]
