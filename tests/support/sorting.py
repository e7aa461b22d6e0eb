"""A search for small sorting networks, with no model: the agent of a test. Run in a worktree that holds network.txt.

Each line of network.txt is a comparator `i j`. One run takes away a few comparators at most: several attempts are needed.
"""

from __future__ import annotations

import os
import random
from itertools import pairwise
from pathlib import Path

WIRES = 8
STEP = 3  # so many comparators fewer are enough for one attempt
Network = list[tuple[int, int]]


def inputs() -> list[int]:
    """For each wire a number whose bit k is the wire's value in the k-th of all 2^n inputs of zeros and ones."""
    return [sum(1 << case for case in range(2**WIRES) if case >> wire & 1) for wire in range(WIRES)]


def sorts(network: Network, start: list[int]) -> bool:
    """Whether every input comes out sorted (all at once, one bit for each)."""
    wires = start.copy()
    for low, high in network:
        wires[low], wires[high] = wires[low] & wires[high], wires[low] | wires[high]
    return all(not (lower & ~upper) for lower, upper in pairwise(wires))


def prune(network: Network, start: list[int], rng: random.Random) -> Network:
    """Without every comparator that isn't needed, in a random order."""
    for position in sorted(range(len(network)), key=lambda _: rng.random()):
        shorter = [pair for number, pair in enumerate(network) if number != position]
        if sorts(shorter, start):
            return prune(shorter, start, rng)
    return network


def mutate(network: Network, rng: random.Random) -> Network:
    """A few random changes."""
    changed = network.copy()
    for _ in range(rng.randint(1, 4)):
        low, high = sorted(rng.sample(range(WIRES), 2))
        position = rng.randrange(len(changed) + 1)
        if rng.random() < 0.5 or position == len(changed):
            changed.insert(position, (low, high))
        else:
            changed[position] = (low, high)
    return changed


def search(network: Network, rng: random.Random, target: int) -> Network:
    """A network of `target` comparators or fewer."""
    start = inputs()
    while len(network) > target:
        candidate = mutate(network, rng)
        if sorts(candidate, start):
            candidate = prune(candidate, start, rng)
            network = candidate if len(candidate) <= len(network) else network
    return network


def main() -> None:
    path = Path("network.txt")
    network = [(int(low), int(high)) for low, high in (line.split() for line in path.read_text().splitlines())]
    rng = random.Random(int(os.environ["ORCH_ATTEMPT"]))
    found = search(network, rng, max(len(network) - STEP, 19))
    path.write_text("".join(f"{low} {high}\n" for low, high in found))


if __name__ == "__main__":
    main()
