"""Splink 4's look-up of single records, run by `scale.py` in an environment of its own. Prints one line of JSON."""

import json
import statistics
import sys
import time

import duckdb
import pandas as pd
import splink.comparison_library as cl
from splink import DuckDBAPI, Linker, SettingsCreator, block_on


def main() -> None:
    """Train on the stored people as Splink's documentation shows, then look each asked one up alone."""
    stored, asked = (
        pd.read_json(path, lines=True, dtype=False, convert_dates=False) for path in sys.argv[1:3]
    )
    rules = [
        block_on("surname", "dob"),
        block_on("first_name", "dob"),
        block_on("postcode", "surname"),
        block_on("postcode", "first_name"),
        block_on("phone"),
        block_on("email"),
    ]
    settings = SettingsCreator(
        link_type="dedupe_only",
        blocking_rules_to_generate_predictions=rules,
        comparisons=[
            cl.JaroWinklerAtThresholds("first_name", [0.9]).configure(term_frequency_adjustments=True),
            cl.JaroWinklerAtThresholds("surname", [0.9]).configure(term_frequency_adjustments=True),
            cl.DamerauLevenshteinAtThresholds("dob", [1]),
            cl.ExactMatch("postcode"),
            cl.ExactMatch("phone"),
            cl.ExactMatch("email"),
        ],
        retain_matching_columns=False,
    )
    linker = Linker(stored, settings, DuckDBAPI(duckdb.connect()))
    linker.training.estimate_probability_two_random_records_match([block_on("phone")], recall=0.6)
    linker.training.estimate_u_using_random_sampling(max_pairs=1e5, seed=1)
    for column in ("first_name", "surname"):
        linker.table_management.compute_tf_table(column)
    walls, cpus = [], []
    for number in range(len(asked)):
        one = asked.iloc[[number]].to_dict("records")
        one[0]["unique_id"] = f"asked-{number}"
        wall, cpu = time.perf_counter(), time.process_time()
        linker.inference.find_matches_to_new_records(one, blocking_rules=rules).as_pandas_dataframe()
        walls.append((time.perf_counter() - wall) * 1e3)
        cpus.append((time.process_time() - cpu) * 1e3)
    walls, cpus = sorted(walls[2:]), sorted(cpus[2:])
    print(
        json.dumps(
            {
                "p50 ms": round(statistics.median(walls), 1),
                "p99 ms": round(walls[int(len(walls) * 0.99)], 1),
                "CPU p50 ms": round(statistics.median(cpus), 1),
            }
        )
    )


if __name__ == "__main__":
    main()
