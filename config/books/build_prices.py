#!/usr/bin/env python3
"""Rebuilds prices.jsonl.gz, the price lists that are compiled into the binary.

    build_prices.py --genai-prices data.json[.gz]   --genai-version V   --genai-date YYYY-MM-DD \
                    --models-dev tree.tar.gz        --models-version V  --models-date YYYY-MM-DD \
                    --litellm prices.json[.gz]      --litellm-version V --litellm-date YYYY-MM-DD \
                    [--out prices.jsonl.gz]

It translates and selects, it does not judge: what the lists say is kept side
by side, and bounds, agreement and precedence are the gateway's (docs/prices.md
has the format). The same inputs give the same bytes.
Python 3.11 or later, standard library only.
"""

import argparse
import gzip
import json
import posixpath
import re
import sys
import tarfile
import tomllib
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path

HERE = Path(__file__).parent
GENAI, MODELS_DEV, LITELLM = range(3)  # indices into the header's `lists`, in order of precedence
CHAT_MODES = {"chat", "completion", "responses"}

GENAI_PRICES = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cached_input",
    "cache_write_mtok": "cache_write_5m",
    "cache_write_1h_mtok": "cache_write_1h",
    "output_reasoning_mtok": "reasoning",
    "input_audio_mtok": "audio_input",
    "output_audio_mtok": "audio_output",
    "input_image_mtok": "image_input",
}
GENAI_FEES = {"requests_kcount": "request", "web_searches_kcount": "tool_call"}  # USD per thousand
# The second name of each is one that contributors have written by mistake.
MODELS_DEV_PRICES = {
    "input": "input",
    "output": "output",
    "cache_read": "cached_input",
    "cached_input": "cached_input",
    "cache_write": "cache_write_5m",
    "cached_write": "cache_write_5m",
    "reasoning": "reasoning",
    "input_audio": "audio_input",
    "output_audio": "audio_output",
}
LITELLM_PRICES = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cached_input",
    "cache_creation_input_token_cost": "cache_write_5m",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "output_cost_per_reasoning_token": "reasoning",
    "input_cost_per_audio_token": "audio_input",
    "output_cost_per_audio_token": "audio_output",
    "input_cost_per_image_token": "image_input",
}
LITELLM_TIER = re.compile(r"^(.+)_above_(\d+)k_tokens$")
LITELLM_CAPABILITIES = {
    "supports_function_calling": "tools",
    "supports_response_schema": "json_schema",
    "supports_vision": "vision",
    "supports_audio_input": "audio",
    "supports_audio_output": "audio",
    "supports_reasoning": "reasoning",
    "supports_pdf_input": "files",
}


def main():
    args = arguments()
    vendors = tomllib.loads((HERE / "vendors.toml").read_text())
    lists = [
        {"name": "genai-prices", "version": args.genai_version, "date": args.genai_date},
        {"name": "models.dev", "version": args.models_version, "date": args.models_date},
        {"name": "litellm", "version": args.litellm_version, "date": args.litellm_date},
    ]
    header = {
        "format": 1,
        "lists": lists,
        "vendors": {slug: vendor.get("also", []) for slug, vendor in vendors.items()},
    }
    lines = [dump(header)]
    lines += [dump(quote) for quote in genai_prices(load(args.genai_prices), vendors)]
    lines += sorted(dump(quote) for quote in models_dev(args.models_dev, vendors))
    lines += sorted(dump(quote) for quote in litellm(load(args.litellm), vendors))
    text = "\n".join(lines) + "\n"
    with open(args.out, "wb") as out, gzip.GzipFile("", "wb", 9, out, mtime=0) as packed:
        packed.write(text.encode())
    print(f"{args.out}: {len(lines) - 1} quotes, {Path(args.out).stat().st_size} bytes", file=sys.stderr)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--genai-prices", "--models-dev", "--litellm"):
        parser.add_argument(name, required=True, metavar="FILE")
    for name in ("genai", "models", "litellm"):
        parser.add_argument(f"--{name}-version", required=True, metavar="VERSION")
        parser.add_argument(f"--{name}-date", required=True, metavar="YYYY-MM-DD")
    parser.add_argument("--out", default=HERE / "prices.jsonl.gz", metavar="FILE")
    return parser.parse_args()


def load(path):
    opened = gzip.open if str(path).endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8") as file:
        return json.load(file, parse_float=Decimal)


def dump(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=float)


def usd(value, times=1):
    """A price as a JSON number, or None for what is not a price."""
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        return None
    # Lists hold figures such as 0.09999999999999999; ten digits are more than any price has.
    exact = Decimal(f"{Decimal(str(value)) * times:.10g}")
    return int(exact) if exact == exact.to_integral_value() else exact


def quote(vendor, source, names, rates, tiers=None, rules=None, context=None, output=None, can=None, when=None):
    """One line of the snapshot; what is unknown is left out."""
    line = {"vendor": vendor, "list": source, "names": names, "rules": rules, "rates": rates}
    line |= {"tiers": [{"above": above, **tier} for above, tier in sorted((tiers or {}).items())]}
    line |= {"when": when, "context": context, "max_output": output}
    line = {key: value for key, value in line.items() if value or key == "list"}
    if can is not None:
        line["capabilities"] = sorted(can)
    return line


# genai-prices


def genai_prices(providers, vendors):
    by_id = {provider["id"]: provider for provider in providers}
    for slug, vendor in vendors.items():
        wanted = {name: "" for name in vendor.get("genai_prices", [])} | vendor.get("genai_prices_suffixed", {})
        for name, suffix in wanted.items():
            # In the list's own order: its first match wins.
            for model in by_id[name]["models"]:
                yield from genai_quote(slug, model, suffix)


def genai_quote(vendor, model, suffix):
    names, rules = genai_match(model["match"])
    # The identifier is a literal name too where the clause accepts it.
    if model["id"] not in names and any(fnmatchcase(model["id"], rule.replace("#", "[0-9]")) for rule in rules):
        names = [model["id"], *names]
    prices = model["prices"] if isinstance(model["prices"], list) else [{"prices": model["prices"]}]
    spans = [genai_rates(entry["prices"]) | genai_constraint(entry.get("constraint")) for entry in prices]
    usual, when = spans[0], spans[1:]
    if "when" in usual or not {"input", "output"} <= usual["rates"].keys():
        return
    yield quote(
        vendor,
        GENAI,
        [name + suffix for name in names],
        usual["rates"],
        usual["tiers"],
        [rule + suffix for rule in rules],
        model.get("context_window"),
        when=[
            {**span["when"], "rates": span["rates"]}
            | ({"tiers": [{"above": a, **t} for a, t in sorted(span["tiers"].items())]} if span["tiers"] else {})
            for span in when
        ],
    )


def genai_constraint(constraint):
    if not constraint:
        return {}
    if "start_date" in constraint:
        return {"when": {"from": constraint["start_date"]}}
    return {"when": {"start": minute(constraint["start_time"]), "end": minute(constraint["end_time"])}}


def minute(clock):
    hours, minutes, _ = re.fullmatch(r"(\d\d):(\d\d):(\d\d)Z", clock).groups()
    return int(hours) * 60 + int(minutes)


def genai_rates(prices):
    rates, tiers = {}, {}
    for key, ours in GENAI_PRICES.items():
        price = prices.get(key)
        if isinstance(price, dict):
            rates[ours] = usd(price["base"])
            for tier in price["tiers"]:
                tiers.setdefault(tier["start"], {})[ours] = usd(tier["price"])
        elif price is not None:
            rates[ours] = usd(price)
    fees = {ours: usd(prices[key], Decimal("0.001")) for key, ours in GENAI_FEES.items() if key in prices}
    return {"rates": rates | fees, "tiers": {above: rates | tier | fees for above, tier in tiers.items()}}


def genai_match(clause):
    """The names a clause lists literally, and its patterns: `#` is a digit, `*` is anything."""
    (kind, value), *rest = clause.items()
    if rest or kind == "and":
        raise ValueError(f"a match clause that is not understood: {clause}")
    if kind == "or":
        pairs = [genai_match(part) for part in value]
        return sum((names for names, _ in pairs), []), sum((rules for _, rules in pairs), [])
    if kind == "equals":
        return [value], []
    if kind != "regex" and re.search(r"[#*]", value):
        raise ValueError(f"a name that would be a pattern: {value}")
    patterns = {"starts_with": f"{value}*", "ends_with": f"*{value}", "contains": f"*{value}*"}
    return [], [patterns[kind] if kind in patterns else genai_regex(value)]


def genai_regex(regex):
    pattern = re.sub(r"\\d\{(\d)\}", lambda times: "#" * int(times[1]), regex)
    pattern = pattern.replace(r"\d", "#").replace(r"\.", ".")
    pattern = pattern[1:] if pattern.startswith("^") else "*" + pattern
    pattern = pattern[:-1] if pattern.endswith("$") else pattern + "*"
    if re.search(r"[\\\[\](){}+?|^$]", pattern):
        raise ValueError(f"a regular expression that is not understood: {regex}")
    return pattern


# models.dev


def models_dev(path, vendors):
    tables = models_dev_tables(path)
    for slug, vendor in vendors.items():
        seen = set()
        for name in vendor.get("models_dev", []):
            under = f"providers/{name}/models/"
            for key in sorted(key for key in tables if key.startswith(under)):
                model = key.removeprefix(under).removesuffix(".toml")
                line = models_dev_quote(slug, model, tables[key], tables)
                if line and model not in seen:
                    seen.add(model)
                    yield line


def models_dev_tables(path):
    """Tables by path from the repository's root; a link is the table it leads to."""
    tables, links = {}, {}
    with tarfile.open(path) as tar:
        for member in tar:
            found = re.search(r"(?:^|/)((?:providers|models)/.+\.toml)$", member.name)
            if found and member.isfile():
                tables[found[1]] = tomllib.loads(tar.extractfile(member).read().decode(), parse_float=Decimal)
            elif found and member.issym():
                links[found[1]] = posixpath.normpath(posixpath.join(posixpath.dirname(found[1]), member.linkname))
    return tables | {link: tables[target] for link, target in links.items() if target in tables}


def models_dev_quote(vendor, model, table, tables):
    cost = table.get("cost")
    # Facts are inherited from the model's own table, prices never are.
    table = tables.get(f"models/{table.get('base_model')}.toml", {}) | table
    modalities = table.get("modalities", {})
    rates = models_dev_rates(cost or {})
    if "input" not in rates or "output" not in rates or "text" not in modalities.get("output", ["text"]):
        return None
    tiers = {tier["tier"]["size"]: rates | models_dev_rates(tier) for tier in cost.get("tiers", [])}
    can = {name for key, name in (("tool_call", "tools"), ("reasoning", "reasoning")) if table.get(key)}
    # Where the list is silent on structured output, a model with tools is given the benefit of the doubt.
    if table.get("structured_output", table.get("tool_call")):
        can.add("json_schema")
    inputs = modalities.get("input", [])
    can |= {name for key, name in (("image", "vision"), ("pdf", "files")) if key in inputs}
    if "audio" in inputs or "audio" in modalities.get("output", []):
        can.add("audio")
    limit = table.get("limit", {})
    return quote(
        vendor, MODELS_DEV, [model], rates, tiers, context=limit.get("context"), output=limit.get("output"), can=can
    )


def models_dev_rates(cost):
    rates = {ours: usd(cost[key]) for key, ours in MODELS_DEV_PRICES.items() if key in cost}
    return {ours: price for ours, price in rates.items() if price is not None}


# LiteLLM


def litellm(prices, vendors):
    for slug, vendor in vendors.items():
        prefixes = vendor.get("litellm_prefixes", [])
        quotes = {}
        # Keys with a prefix name the vendor outright and come before bare ones.
        for prefix in prefixes:
            for key in sorted(prices):
                entry = prices[key]
                bare = not prefix and "/" in key
                listed = entry.get("litellm_provider") in vendor["litellm"] and key.startswith(prefix)
                if not listed or bare or entry.get("mode") not in CHAT_MODES:
                    continue
                line = litellm_quote(slug, key.removeprefix(prefix), entry)
                if line:
                    quotes.setdefault(key.removeprefix(prefix), line)
        yield from quotes.values()


def litellm_quote(vendor, model, entry):
    rates = litellm_rates(entry)
    tiers = {}
    for key, value in entry.items():
        matched = LITELLM_TIER.match(key)
        ours = matched and LITELLM_PRICES.get(matched[1])
        if ours and usd(value):
            tiers.setdefault(int(matched[2]) * 1000, {})[ours] = usd(value, 1_000_000)
    for step in entry.get("tiered_pricing", []):
        if "range" in step:
            above, priced = int(step["range"][0]), litellm_rates(step)
            tiers[above] = priced
    rates = tiers.pop(0, {}) | rates
    if "input" not in rates or "output" not in rates:
        return None
    # Most flags are written only when true; an entry that does not even say
    # whether it has tools does not speak of capabilities at all.
    can = None
    if "supports_function_calling" in entry:
        can = {ours for key, ours in LITELLM_CAPABILITIES.items() if entry.get(key) is True}
    context, output = entry.get("max_input_tokens"), entry.get("max_output_tokens")
    return quote(
        vendor,
        LITELLM,
        [model],
        rates,
        {above: rates | tier for above, tier in tiers.items()},
        context=context if isinstance(context, int) else None,
        output=output if isinstance(output, int) else None,
        can=can,
    )


def litellm_rates(entry):
    rates = {ours: usd(entry.get(key), 1_000_000) for key, ours in LITELLM_PRICES.items()}
    rates["request"] = usd(entry.get("input_cost_per_request"))
    search = entry.get("search_context_cost_per_query")
    if isinstance(search, dict):
        rates["tool_call"] = usd(search.get("search_context_size_medium"))
    return {ours: price for ours, price in rates.items() if price is not None}


if __name__ == "__main__":
    main()
