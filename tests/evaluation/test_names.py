from ovdet_cli.evaluation.names import find_names, join_names, name_key


def test_spellings_of_one_name():
    assert name_key("Hot_dog") == name_key(" hot  dog") == "hot dog"


def test_the_same_spelling_wins():
    known = ["turkey", "Turkey", "hot dog"]
    assert find_names(["Turkey", "turkey", "TURKEY", "hot_dog", "cat"], known) == [1, 0, 0, 2, None]
    assert find_names(["a"], ["a", "b", "a"]) == [0]


def test_lists_join_in_order():
    assert join_names(["hot_dog", "cat"], ["Cat", "dog"], ["hot dog"]) == ("hot_dog", "cat", "dog")
