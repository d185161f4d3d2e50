#!/usr/bin/env python3
"""Rebuilds quality.toml, the prior quality of models.

    build_quality.py --models-dev tree.tar.gz --models-date YYYY-MM-DD \
                     --zeroeval DIRECTORY --mmlu-pro DIRECTORY [--out quality.toml]

The directories hold `quality_zeroeval_models.csv` and `_outcomes.csv.gz`
(columns m, model / m, correct), and the same for mmlupro. docs/prices.md
explains the mapping. The same inputs give the same bytes.
Python 3.11 or later, standard library only.
"""

import argparse
import csv
import gzip
import re
import tarfile
import tomllib
from pathlib import Path

HERE = Path(__file__).parent

# Quality at a score of 0 and at a full score, by benchmark and metric. Chosen so
# that a model of middling use stands near 0.5 on each and the best of mid 2026
# near 0.9: a hard benchmark's low score is worth more than an old one's high.
SCALES = {
    ("Aider Polyglot", "percent correct"): (0.35, 0.85),
    ("Artificial Analysis Coding Agent Index", "average pass@1"): (0.35, 1.15),
    ("Artificial Analysis Coding Index", "index"): (0.40, 1.60),
    ("SciCode", "percent correct"): (0.30, 1.50),
    ("SWE-Bench Verified", "resolved"): (0.20, 1.05),
    ("SWE-Bench Verified", "percent resolved"): (0.20, 1.05),
    ("SWE-Bench Pro", "resolve rate"): (0.50, 1.05),
    ("Terminal-Bench", "pass@1"): (0.10, 1.00),
    ("Terminal-Bench Hard", "success rate"): (0.50, 1.50),
}
ZEROEVAL = (0.15, 0.70)
MMLU_PRO = (0.15, 0.70)

# One benchmark's word is not quite enough: each model starts with a quarter of a result of 0.5.
PRIOR, PRIOR_WEIGHT = 0.5, 0.25

# Names under which the sources list the same model.
SAME = {
    "claude-3-5-haiku": ["claude-3-5-haiku-20241022"],
    "claude-3-5-sonnet": ["claude-3-5-sonnet-20241022"],
    "gpt-3.5-turbo": ["gpt-3.5-turbo-0125"],
    "gpt-4o-mini": ["gpt-4o-mini-2024-07-18"],
    "gpt-4o": ["gpt-4o-2024-08-06"],
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--models-dev", "--models-date", "--zeroeval", "--mmlu-pro"):
        parser.add_argument(name, required=True)
    parser.add_argument("--out", default=HERE / "quality.toml", type=Path)
    args = parser.parse_args()

    results = {}  # model -> [(quality, source)]
    names = {}  # model -> names it is asked by
    for key, quality in models_dev(args.models_dev):
        model = canonical(key.rpartition("/")[2])
        results.setdefault(model, []).append((quality, f"models.dev {args.models_date}"))
        names.setdefault(model, set()).update({key, key.rpartition("/")[2]})
    for directory, stem, scale, source in (
        (args.zeroeval, "zeroeval", ZEROEVAL, "ZeroEval 8c1485ed"),
        (args.mmlu_pro, "mmlupro", MMLU_PRO, "MMLU-Pro f418b116"),
    ):
        for name, share in accuracy(Path(directory), stem):
            results.setdefault(canonical(name), []).append((on(scale, share), source))
            names.setdefault(canonical(name), set()).add(name)
    lines = ["# Prior quality of models, 0..1. Written by build_quality.py; docs/prices.md explains it."]
    for model in sorted(results):
        every = results[model]
        quality = (sum(q for q, _ in every) + PRIOR * PRIOR_WEIGHT) / (len(every) + PRIOR_WEIGHT)
        sources = ", ".join(sorted({source for _, source in every}))
        known = sorted(names[model] | {model} | set(SAME.get(model, [])))
        lines += ["", "[[models]]", f"names = [{', '.join(quoted(name) for name in known)}]"]
        lines += [f"quality = {quality:.2f}", f"source = {quoted(f'{sources}; {len(every)} results')}"]
    args.out.write_text("\n".join(lines) + "\n")


def canonical(name):
    return next((model for model, others in SAME.items() if name in others), name)


def on(scale, share):
    low, high = scale
    return min(max(low + (high - low) * share, 0.0), 1.0)


def quoted(text):
    if re.search(r'["\\\n]', text):
        raise ValueError(f"a name that would need escaping: {text!r}")
    return f'"{text}"'


def models_dev(path):
    """The mean quality of each benchmark a model was measured by."""
    with tarfile.open(path) as tar:
        for member in sorted(tar, key=lambda member: member.name):
            found = re.search(r"(?:^|/)models/([^/]+/[^/]+)\.toml$", member.name)
            if not found or "providers/" in member.name or not member.isfile():
                continue
            scores = {}
            for result in tomllib.loads(tar.extractfile(member).read().decode()).get("benchmarks", []):
                scale = SCALES.get((result["name"], result.get("metric")))
                if scale and isinstance(result["score"], (int, float)):
                    scores.setdefault(result["name"], []).append(on(scale, result["score"] / 100))
            for _, several in sorted(scores.items()):
                yield found[1], sum(several) / len(several)


def accuracy(directory, stem):
    with open(directory / f"quality_{stem}_models.csv", newline="") as file:
        models = {row["m"]: row["model"].partition("@")[0] for row in csv.DictReader(file)}
    right, asked = dict.fromkeys(models, 0.0), dict.fromkeys(models, 0)
    with gzip.open(directory / f"quality_{stem}_outcomes.csv.gz", "rt", newline="") as file:
        for row in csv.DictReader(file):
            right[row["m"]] += float(row["correct"])
            asked[row["m"]] += 1
    return [(name, right[m] / asked[m]) for m, name in models.items() if asked[m]]


if __name__ == "__main__":
    main()
