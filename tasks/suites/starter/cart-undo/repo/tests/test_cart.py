import pytest

from shop.cart import Cart
from shop.history import NothingToUndo
from shop.products import Product, Products, UnknownProduct

TEA = Product("T1", "Tea", 450)
CUP = Product("C1", "Cup", 900)


@pytest.fixture
def cart():
    return Cart(Products(TEA, CUP))


def test_a_new_cart_is_empty(cart):
    assert cart.total() == 0


def test_the_total_adds_up(cart):
    cart.add("T1", 2)
    cart.add("C1")
    assert cart.total() == 1800


def test_the_same_product_can_be_added_again(cart):
    cart.add("T1")
    cart.add("T1", 3)
    assert cart.pieces("T1") == 4


def test_unknown_products_are_refused(cart):
    with pytest.raises(UnknownProduct):
        cart.add("X9")


def test_removing_takes_all_pieces(cart):
    cart.add("T1", 5)
    cart.remove("T1")
    assert cart.pieces("T1") == 0


def test_adding_can_be_undone(cart):
    cart.add("T1", 2)
    cart.add("T1", 3)
    cart.undo()
    assert cart.pieces("T1") == 2


def test_removing_can_be_undone(cart):
    cart.add("T1", 2)
    cart.remove("T1")
    cart.undo()
    assert cart.pieces("T1") == 2


def test_emptying_can_be_undone(cart):
    cart.add("C1")
    cart.empty()
    cart.undo()
    assert cart.total() == 900


def test_several_steps_can_be_undone(cart):
    cart.add("T1")
    cart.add("C1")
    cart.empty()
    for _ in range(3):
        cart.undo()
    assert cart.total() == 0


def test_an_untouched_cart_has_nothing_to_undo(cart):
    with pytest.raises(NothingToUndo):
        cart.undo()


def test_a_refused_change_is_not_remembered(cart):
    with pytest.raises(ValueError):
        cart.add("T1", 0)
    with pytest.raises(NothingToUndo):
        cart.undo()
