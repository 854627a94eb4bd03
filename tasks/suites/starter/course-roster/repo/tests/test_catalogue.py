import pytest

from courses import Catalogue, Course, CourseError


def test_a_course_is_found_by_its_title():
    catalogue = Catalogue("autumn", [])
    catalogue.add("Pottery", 8)
    assert catalogue.find("Pottery").places == 8


def test_an_unknown_course_is_an_error():
    with pytest.raises(CourseError, match="Juggling"):
        Catalogue("autumn", []).find("Juggling")


def test_two_terms_are_independent():
    spring = Catalogue("spring")
    autumn = Catalogue("autumn")
    spring.add("Pottery", 8)
    assert autumn.courses == []


def test_a_title_can_be_used_again_in_another_term():
    Catalogue("spring").add("Yoga", 10)
    assert Catalogue("autumn").add("Yoga", 12).places == 12


def test_the_list_that_was_given_is_not_changed():
    given = [Course("Pottery", 8)]
    Catalogue("autumn", given).add("Yoga", 10)
    assert [course.title for course in given] == ["Pottery"]


def test_titles_are_unique_in_a_term():
    catalogue = Catalogue("autumn", [Course("Pottery", 8)])
    with pytest.raises(CourseError, match="already"):
        catalogue.add("Pottery", 9)


def test_courses_are_found_by_tag():
    catalogue = Catalogue("autumn", [])
    catalogue.add("Pottery", 8, ["craft"])
    catalogue.add("Yoga", 10, ["sport"])
    assert catalogue.with_tag("craft") == ["Pottery"]


def test_the_next_term_starts_without_people():
    autumn = Catalogue("autumn", [Course("Pottery", 8)])
    autumn.find("Pottery").enrol("ann")
    assert autumn.next_term("spring").find("Pottery").enrolled == []
