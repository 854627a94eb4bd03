import pytest

from courses import Course, CourseError


@pytest.fixture
def pottery():
    course = Course("Pottery", places=2)
    for name in ["ann", "bob", "cat"]:
        course.enrol(name)
    return course


def test_the_first_ones_get_a_place(pottery):
    assert pottery.enrolled == ["ann", "bob"]


def test_the_others_wait(pottery):
    assert pottery.waiting == ["cat"]
    assert pottery.enrol("dan") is False


def test_a_free_place_goes_to_the_first_who_waits(pottery):
    assert pottery.cancel("ann") == "cat"
    assert pottery.enrolled == ["bob", "cat"]


def test_one_can_stop_waiting(pottery):
    assert pottery.cancel("cat") is None
    assert pottery.waiting == []


def test_nobody_enrols_twice(pottery):
    with pytest.raises(CourseError, match="already"):
        pottery.enrol("cat")


def test_a_stranger_cannot_cancel(pottery):
    with pytest.raises(CourseError, match="not on the list"):
        pottery.cancel("eve")


def test_a_course_without_places_is_refused():
    with pytest.raises(CourseError):
        Course("Pottery", places=0)
