"""mutants.py N SEED RULES OUT FILE... - which changes to try

Lets universalmutator list every change that RULES make in each FILE, puts them into
an order drawn from SEED, and writes them to OUT/candidates/FILE: a line number, a tab
and the changed line each.  OUT/quotas has how many of N each file is to have, in
proportion to its lines that can be changed; the first so many that compile and make
other code are taken.
"""

import contextlib
import random
import sys

from universalmutator import mutator


def candidates(path, rules, seed):
    with open(path) as file:
        source = file.readlines()
    with contextlib.redirect_stdout(sys.stderr):
        found = mutator.mutants_regexp(source, ruleFiles=[rules], ignorePatterns=[])
    lines = sorted({(mutant[0], mutant[1].rstrip("\n")) for mutant in found})
    random.Random(f"{seed} {path}").shuffle(lines)
    return len({number for number, _ in lines}), lines


def quotas(n, sizes):
    total = sum(sizes.values())
    shares = {name: n * size / total for name, size in sizes.items()}
    result = {name: int(share) for name, share in shares.items()}
    by_rest = sorted(shares, key=lambda name: (result[name] - shares[name], name))
    for name in by_rest[: n - sum(result.values())]:
        result[name] += 1
    return result


def main():
    n, seed, rules, out = int(sys.argv[1]), *sys.argv[2:5]
    sizes = {}
    for path in sys.argv[5:]:
        sizes[path], lines = candidates(path, rules, seed)
        with open(f"{out}/candidates/{path}", "w") as file:
            file.writelines(f"{number}\t{text}\n" for number, text in lines)
    if not any(sizes.values()):
        sys.exit("nothing to change")
    with open(f"{out}/quotas", "w") as file:
        for name, quota in quotas(n, sizes).items():
            file.write(f"{name} {quota}\n")


main()
