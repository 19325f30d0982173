"""One function over many items in several processes, results as they come."""

from __future__ import annotations

from typing import Any, Callable, Iterator, Sequence, Tuple, TypeVar

from clip2om.preprocess.pool import open_pool

Item = TypeVar("Item")


def each(function: Callable[[Item], Any], items: Sequence[Item], workers: int) -> Iterator[Tuple[Item, Any]]:
    """Yield (item, function(item)) in the order of completion; with one worker in this process and in item order.

    Raises:
        Exception: whatever ``function`` raises; items that are not done yet are given up.
    """
    with open_pool(max(1, min(workers, len(items)))) as pool:
        waiting = iter(items)
        more = True
        while True:
            while more and not pool.full:
                item = next(waiting, None)
                more = item is not None
                if item is not None:
                    pool.submit(item, function, item)
            done = pool.take()
            if done is None:
                return
            yield done
