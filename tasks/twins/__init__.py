"""Wrong-expectation twins: the tests again, expecting what is wrong, so that each has to fail."""
