"""Splink 4's look-up of single records, run by `scale.py` in an environment of its own. Prints one line of JSON."""

import json
import statistics
import sys
import time

import duckdb
import splink.comparison_library as cl
from splink import DuckDBAPI, Linker, SettingsCreator, block_on

COLUMNS = ("unique_id", "first_name", "surname", "dob", "postcode", "phone", "email")


def main() -> None:
    """Train on the stored people as Splink's documentation shows, then look each asked one up alone."""
    connection = duckdb.connect()
    columns = ", ".join(f"{name}: 'VARCHAR'" for name in COLUMNS)
    for table, path in zip(("stored", "asked"), sys.argv[1:3], strict=True):
        read = f"read_json('{path}', format = 'newline_delimited', columns = {{{columns}}})"
        connection.execute(f"CREATE TABLE {table} AS SELECT * FROM {read}")  # noqa: S608 - our own files
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
    linker = Linker("stored", settings, DuckDBAPI(connection))
    linker.training.estimate_probability_two_random_records_match([block_on("phone")], recall=0.6)
    linker.training.estimate_u_using_random_sampling(max_pairs=1e5, seed=1)
    for column in ("first_name", "surname"):
        linker.table_management.compute_tf_table(column)
    walls, cpus = [], []
    times = connection.execute("SELECT count(*) FROM asked").fetchall()[0][0]
    for number in range(times):
        name = f"asked_{number}"
        chosen = (
            f"SELECT * REPLACE ('new-' || unique_id AS unique_id) FROM asked WHERE unique_id = '{number}'"  # noqa: S608 - a number
        )
        connection.execute(f"CREATE TABLE {name} AS {chosen}")
        wall, cpu = time.perf_counter(), time.process_time()
        linker.inference.find_matches_to_new_records(name, blocking_rules=rules).as_pandas_dataframe()
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
