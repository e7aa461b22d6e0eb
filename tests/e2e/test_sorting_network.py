"""A case with a known answer and no model: sorting eight wires takes 19 comparators, proven, and bubble sort takes 28."""

from __future__ import annotations

from support.project import Project

BUBBLE = "".join(f"{wire} {wire + 1}\n" for end in range(7, 0, -1) for wire in range(end))

# Every input of zeros and ones at once: bit x of a wire is what it carries for input x.
SORTS = """
def sorts(network, wires=8):
    carried = [sum(1 << x for x in range(1 << wires) if x >> wire & 1) for wire in range(wires)]
    for low, high in network:
        carried[low], carried[high] = carried[low] & carried[high], carried[low] | carried[high]
    return all(carried[wire] & ~carried[wire + 1] == 0 for wire in range(wires - 1))

def read():
    return [tuple(map(int, line.split())) for line in open("network.txt")]
"""

BENCHMARK = f"""{SORTS}
network = read()
assert all(0 <= low < high < 8 for low, high in network), "a comparator goes from a lower to a higher wire"
assert sorts(network), "it doesn't sort"
print(f"METRIC comparators={{len(network)}}")
"""

# Mutate, keep what still sorts, leave out what isn't needed. One attempt makes only so many tries.
SEARCH = f"""{SORTS}
import os, random

chance = random.Random(3400 + int(os.environ["ORCH_ATTEMPT"]))
network = read()
for _ in range(1000):
    new = list(network)
    for _ in range(chance.randint(1, 4)):
        pair = tuple(sorted(chance.sample(range(8), 2)))
        if chance.random() < 0.5:
            new.insert(chance.randrange(len(new) + 1), pair)
        else:
            new[chance.randrange(len(new))] = pair
    if sorts(new):
        for pair in chance.sample(new, len(new)):
            less = list(new)
            less.remove(pair)
            if sorts(less):
                new = less
        if len(new) <= len(network):
            network = new
    if len(network) <= 19:
        break
open("network.txt", "w").writelines(f"{{low}} {{high}}\\n" for low, high in network)
"""


def test_a_scripted_search_takes_a_sorting_network_from_28_comparators_to_the_proven_19(project: Project) -> None:
    project.commit({"network.txt": BUBBLE})
    (project.top / "search.py").write_text(SEARCH)
    project.agent(f"python3 {project.top}/search.py")
    front = "metric: {name: comparators, direction: lower, target: 19}\nscope: [network.txt]\nmax_failures: 10"
    folder = project.drop("sort-eight", front=front, files={"benchmark.py": BENCHMARK})
    (folder / "benchmark.sh").unlink()

    project.run(code=0)

    task = project.task("sort-eight")
    assert task["state"] == "converged"
    assert (task["metrics"][0]["baseline"], task["metrics"][0]["value"]) == (28, 19)
    assert task["attempts"] > 1
    assert len(project.git("show", "main:network.txt").splitlines()) == 19
    told = project.events("sort-eight")
    merged = [event for event in told if event["event"] == "measured" and event["where"] == "merged"]
    kept = [event["values"]["comparators"] for event in told if event["event"] == "measured" and event["where"] == "attempt"]
    assert kept == sorted(set(kept), reverse=True)  # each attempt began where the one before it ended, and gained
    assert kept[-1] == 19
    assert all(event["values"] == {"comparators": 19} for event in merged)
