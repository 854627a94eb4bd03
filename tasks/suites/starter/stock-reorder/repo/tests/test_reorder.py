from stockroom import Item, Order, Stock, packs_to_order, reorder_list

BOLT = Item("B-100", "Bolt", reorder_level=20, target_level=100, pack_size=25)
NUT = Item("N-100", "Nut", reorder_level=20, target_level=60)


def test_packs_are_rounded_up_to_reach_the_target():
    assert packs_to_order(BOLT, 10) == 4


def test_packs_that_fit_exactly_are_not_rounded():
    assert packs_to_order(BOLT, 50) == 2


def test_nothing_is_needed_at_the_target():
    assert packs_to_order(BOLT, 100) == 0


def test_no_items_need_no_orders():
    assert reorder_list([], Stock()) == []


def test_an_item_that_ran_low_is_ordered():
    assert reorder_list([BOLT], Stock({"B-100": 3})) == [Order("B-100", 4, 100)]


def test_an_item_exactly_at_its_level_is_ordered():
    assert reorder_list([NUT], Stock({"N-100": 20})) == [Order("N-100", 40, 40)]


def test_a_well_stocked_item_is_left_out():
    stock = Stock({"B-100": 21, "N-100": 0})
    assert reorder_list([NUT, BOLT], stock) == [Order("N-100", 60, 60)]
