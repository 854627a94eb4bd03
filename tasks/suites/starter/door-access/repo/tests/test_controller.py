import datetime
import unittest

from doors.badge import Badge
from doors.controller import Controller
from doors.door import Door, Hours

OFFICE_HOURS = Hours(datetime.time(8), datetime.time(18))


def at(hour, minute=0):
    return datetime.datetime(2024, 5, 6, hour, minute)


class ControllerTest(unittest.TestCase):
    def setUp(self):
        self.controller = Controller()
        self.lab = Door("lab", frozenset({"research"}), OFFICE_HOURS)
        self.entrance = Door("entrance", frozenset({"research", "sales"}))
        self.ann = Badge("ann", frozenset({"research"}))
        self.guard = Badge("gus", frozenset({"security"}))

    def test_a_member_may_pass_during_the_hours(self):
        self.assertTrue(self.controller.may_pass(self.ann, self.lab, at(8)))
        self.assertTrue(self.controller.may_pass(self.ann, self.lab, at(17, 59)))

    def test_a_stranger_may_not_pass(self):
        bob = Badge("bob", frozenset({"sales"}))
        self.assertFalse(self.controller.may_pass(bob, self.lab, at(10)))

    def test_nobody_passes_before_the_door_opens(self):
        self.assertFalse(self.controller.may_pass(self.ann, self.lab, at(7, 59)))

    def test_nobody_passes_after_the_door_closed(self):
        self.assertFalse(self.controller.may_pass(self.ann, self.lab, at(18)))
        self.assertFalse(self.controller.may_pass(self.ann, self.lab, at(23)))

    def test_security_may_always_pass(self):
        self.assertTrue(self.controller.may_pass(self.guard, self.lab, at(3)))

    def test_a_door_without_hours_is_open_all_day(self):
        self.assertTrue(self.controller.may_pass(self.ann, self.entrance, at(3)))

    def test_requests_are_logged(self):
        self.controller.request(self.ann, self.lab, at(9, 5))
        self.assertEqual(self.controller.log, ["2024-05-06 09:05 lab opened for ann"])

    def test_refusals_are_logged(self):
        blocked = Badge("bob", frozenset({"research"}), blocked=True)
        self.assertFalse(self.controller.request(blocked, self.lab, at(9)))
        self.assertEqual(self.controller.log, ["2024-05-06 09:00 lab refused for bob"])


if __name__ == "__main__":
    unittest.main()
