from records.contacts import Contact, dump, load


def test_contacts_survive():
    contacts = [Contact("Ann", "Main Street 1\nSpringfield"), Contact("Bob", "", "left\\right")]
    assert load(dump(contacts)) == contacts


def test_contacts_with_separators_survive():
    contacts = [Contact("Ann | Bob", "Main Street 1|2", "either\\por")]
    assert load(dump(contacts)) == contacts


def test_no_contacts_are_no_text():
    assert dump([]) == ""
    assert load("") == []
