"""The bounded dictionary drops the item that was used least recently."""

from orchestration_server.cache.lru import LruDict


def test_one_item_too_many_drops_the_least_recently_used() -> None:
    found: LruDict[str, int] = LruDict(2)
    found["a"] = 1
    found["b"] = 2
    assert found.touch("a") == 1
    found["c"] = 3
    assert list(found) == ["a", "c"]


def test_setting_an_item_again_counts_as_use() -> None:
    found: LruDict[str, int] = LruDict(2)
    found.update({"a": 1, "b": 2})
    found["a"] = 0
    found["c"] = 3
    assert dict(found) == {"a": 0, "c": 3}


def test_touching_an_absent_key_returns_none_and_adds_nothing() -> None:
    found: LruDict[str, int] = LruDict(2)
    assert found.touch("a") is None
    assert not found
