"""A dictionary of limited size."""

from bot.bounded import BoundedDict


def test_a_full_dictionary_drops_the_oldest_entry() -> None:
    kept = BoundedDict[str, int](2)
    kept["a"] = 1
    kept["b"] = 2
    kept["c"] = 3
    assert dict(kept) == {"b": 2, "c": 3}


def test_setting_a_key_again_makes_it_newest() -> None:
    kept = BoundedDict[str, int](2)
    kept["a"] = 1
    kept["b"] = 2
    kept["a"] = 3
    kept["c"] = 4
    assert list(kept.items()) == [("a", 3), ("c", 4)]


def test_reading_a_key_does_not_make_it_newer() -> None:
    kept = BoundedDict[str, int](2)
    kept["a"] = 1
    kept["b"] = 2
    assert kept["a"] == 1
    assert kept.get("a") == 1
    kept["c"] = 3
    assert "a" not in kept
