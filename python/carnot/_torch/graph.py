"""Questions to the autograd graph of one pass: what lies inside a skip."""

from __future__ import annotations

import heapq
from typing import Any

#: Nodes looked at for one addition; a skip over more is not one of a block.
_LIMIT = 20_000


def order(node: Any) -> int:
    """When a node was made: later nodes have larger numbers."""
    return int(node._sequence_nr())


def _is_leaf(node: Any) -> bool:
    return type(node).__name__ == "AccumulateGrad"


def joined(left: Any, right: Any) -> int | None:
    """When the latest node was made from which both come; ``None`` when they have nothing in common.

    Nodes are opened from the latest to the earliest, so the first one that both reach is the place where the two ways
    part: for ``x + f(x)`` it is the node that made x.
    """
    heap: list[tuple[int, int]] = []
    colours: dict[Any, int] = {}
    numbers: dict[int, Any] = {}

    def reach(node: Any, colour: int) -> None:
        if node is None or _is_leaf(node):
            return
        if node not in colours:
            number = order(node)
            heapq.heappush(heap, (-number, id(node)))
            numbers[id(node)] = node
            colours[node] = 0
        colours[node] |= colour

    reach(left, 1)
    reach(right, 2)
    for _ in range(_LIMIT):
        if not heap:
            return None
        number, key = heapq.heappop(heap)
        node = numbers[key]
        if colours[node] == 3:
            return -number
        for following, _ in node.next_functions:
            reach(following, colours[node])
    return None


def nearest(node: Any, made: set[int]) -> int | None:
    """The latest node before and including ``node`` that is in ``made``: the call that feeds a layer."""
    if node is None:
        return None
    heap = [(-order(node), id(node))]
    numbers = {id(node): node}
    for _ in range(_LIMIT):
        if not heap:
            return None
        number, key = heapq.heappop(heap)
        if -number in made:
            return -number
        for following, _ in numbers[key].next_functions:
            if following is not None and not _is_leaf(following) and id(following) not in numbers:
                numbers[id(following)] = following
                heapq.heappush(heap, (-order(following), id(following)))
    return None
