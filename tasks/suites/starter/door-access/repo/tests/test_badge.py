import datetime
import unittest

from doors.badge import Badge

TODAY = datetime.date(2024, 5, 6)


class BadgeTest(unittest.TestCase):
    def test_a_badge_without_end_is_valid(self):
        self.assertTrue(Badge("ann").is_valid(TODAY))

    def test_a_badge_is_valid_on_its_last_day(self):
        self.assertTrue(Badge("ann", valid_until=TODAY).is_valid(TODAY))

    def test_a_badge_ends_after_its_last_day(self):
        badge = Badge("ann", valid_until=TODAY)
        self.assertFalse(badge.is_valid(TODAY + datetime.timedelta(days=1)))

    def test_a_blocked_badge_is_never_valid(self):
        self.assertFalse(Badge("ann", blocked=True).is_valid(TODAY))


if __name__ == "__main__":
    unittest.main()
