"""One call at a time for each attachment."""

from cnisdk.agent.exclusive import Exclusive


def test_keys_are_independent_of_each_other() -> None:
    exclusive: Exclusive[str] = Exclusive()

    assert exclusive.acquire("a", "first")
    assert exclusive.acquire("b", "second")
    assert len(exclusive) == 2


def test_jobs_of_a_key_are_handed_back_in_their_order() -> None:
    exclusive: Exclusive[str] = Exclusive()

    assert [exclusive.acquire("a", job) for job in ("1", "2", "3")] == [True, False, False]
    assert exclusive.parked == 2
    assert [exclusive.release("a") for _ in range(3)] == ["2", "3", None]


def test_a_key_that_is_released_leaves_nothing_behind() -> None:
    exclusive: Exclusive[str] = Exclusive()
    exclusive.acquire("a", "job")
    exclusive.release("a")

    assert len(exclusive) == 0
    assert exclusive.acquire("a", "again")
