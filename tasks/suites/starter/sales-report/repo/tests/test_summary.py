from decimal import Decimal

from reports.summary import best_region, by_region, total_revenue
from reports.table import render


def test_all_sales_add_up(march):
    assert total_revenue(march) == Decimal("624.00")


def test_regions_are_sorted_by_name(march):
    assert [total.region for total in by_region(march)] == ["East", "North", "South"]


def test_sales_and_units_are_counted(march):
    assert [(total.sales, total.units) for total in by_region(march)] == [(1, 1), (2, 5), (2, 7)]


def test_each_region_has_its_own_revenue(march):
    revenues = {total.region: total.revenue for total in by_region(march)}
    assert revenues == {
        "East": Decimal("180.00"),
        "North": Decimal("151.00"),
        "South": Decimal("293.00"),
    }


def test_the_best_region_sold_the_most(march):
    assert best_region(march) == "South"


def test_without_sales_there_is_no_best_region():
    assert best_region([]) is None


def test_the_table_ends_with_the_sum(march):
    assert render(by_region(march)).splitlines()[-1].split() == ["Total", "5", "13", "624.00"]


def test_an_empty_table_has_headings_and_a_sum():
    assert len(render([]).splitlines()) == 2
