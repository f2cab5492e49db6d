from carelane.kit.cache import WeighedCache


def cache(*kept: str) -> WeighedCache[str, str]:
    made: WeighedCache[str, str] = WeighedCache(10)
    for key in kept:
        made.put(key, key.upper(), 4)
    return made


def test_what_was_not_asked_for_longest_goes_first():
    made = cache("a", "b")
    made.get("a")
    made.put("c", "C", 4)
    assert ("A", None, "C", 8) == (made.get("a"), made.get("b"), made.get("c"), made.weight)


def test_what_is_heavier_than_everything_may_be_is_not_kept_and_pushes_nobody_out():
    made = cache("a", "b")
    made.put("huge", "HUGE", 11)
    assert (2, False, 8) == (len(made), "huge" in made, made.weight)


def test_a_key_put_again_weighs_what_it_weighs_now():
    made = cache("a", "b")
    made.put("a", "new", 2)
    assert ("new", "B", 6) == (made.get("a"), made.get("b"), made.weight)


def test_whatever_is_not_wanted_any_more_is_let_go():
    made = cache("a", "b")
    made.keep_only({"b", "c"})
    assert (None, "B", 4) == (made.get("a"), made.get("b"), made.weight)
