from decimal import Decimal

import pytest

from reports.reader import ReportError, Sale, read_sales


def test_every_line_is_a_sale(march):
    assert len(march) == 5
    assert march[2] == Sale("North", "Chair", 2, Decimal("45.50"))


def test_revenue_is_units_times_price(march):
    assert march[2].revenue == Decimal("91.00")


def test_spaces_around_names_are_dropped():
    assert read_sales(["region,product,units,price", " West , Lamp,1,20"])[0].region == "West"


def test_a_missing_column_is_named():
    with pytest.raises(ReportError, match="price"):
        read_sales(["region,product,units", "West,Lamp,1"])


def test_a_bad_number_names_its_line():
    with pytest.raises(ReportError, match="line 2"):
        read_sales(["region,product,units,price", "West,Lamp,one,20"])


def test_a_file_with_a_header_only_has_no_sales():
    assert read_sales(["region,product,units,price"]) == []
