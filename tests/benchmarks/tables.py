"""How long a table of numbers takes to read, and how much memory, beside the readers themselves.

    python tests/benchmarks/tables.py [megabytes=100] [columns=20] [rounds=5]

A CSV file of normal numbers with a class in the last column is written to a temporary folder. Each reader reads it in a
process of its own, in turn: `pyarrow.csv.read_csv`, pandas and polars if they are installed, then deeprob: the table
(file to named columns), the whole dataset (to encoded splits), and the dataset again from the cache. Shown are medians:
seconds, CPU seconds, and the most memory beyond what the process had after its imports, in MB and as a multiple of the
numbers as float64. Linux only.
"""

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv

READERS = {
    "pyarrow": ("from pyarrow import csv", "csv.read_csv(path)"),
    "pandas": ("import pandas", "pandas.read_csv(path)"),
    "polars": ("import polars", "polars.read_csv(path)"),
    "deeprob, table": (
        "from pathlib import Path\nimport pyarrow.csv, torch\nfrom deeprob.data.text_file import read_text_file\n"
        "from deeprob.data.dialect import Asked",
        "read_text_file(Path(path), Asked())",
    ),
    "deeprob, splits": ("import pyarrow.csv, torch\nfrom deeprob.data import CSVConfig", "CSVConfig(root=path).load()"),
}
READERS["deeprob, cached"] = READERS["deeprob, splits"]

PROGRAM = """
import sys, time
path = sys.argv[1]
{imports}

def most():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) * 1024

before, began, busy = most(), time.perf_counter(), time.process_time()
read = {call}
print(time.perf_counter() - began, time.process_time() - busy, most() - before)
"""


def measure(reader: str, path: Path, cache: Path) -> list[float] | None:
    """Return the seconds, the CPU seconds and the bytes of one read, or None if the reader is not installed."""
    imports, call = READERS[reader]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(imports=imports, call=call), str(path)],
        capture_output=True,
        text=True,
        check=False,
        env={"XDG_CACHE_HOME": str(cache), "PYTHONPATH": ":".join(sys.path)},
    )
    if done.returncode:
        return None
    return [float(number) for number in done.stdout.split()]


def main(megabytes: int, columns: int, rounds: int) -> None:
    rng = np.random.default_rng(0)
    count = megabytes * 10**6 // (columns * 20)
    table = {f"x{place}": rng.standard_normal(count) for place in range(columns)} | {"y": rng.integers(0, 3, count)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        csv.write_csv(pa.table(table), path, csv.WriteOptions(quoting_style="none"))
        numbers = count * (columns + 1) * 8
        print(f"{path.stat().st_size / 1e6:.0f} MB of text, {numbers / 1e6:.0f} MB of numbers")
        measured: dict[str, list[list[float]]] = {reader: [] for reader in READERS}
        for turn in range(rounds):
            for reader, results in measured.items():
                cache = Path(folder) / ("cache" if "cached" in reader else f"cache {turn} {reader}")
                if turn == 0 and "cached" in reader:
                    measure(reader, path, cache)
                if (result := measure(reader, path, cache)) is not None:
                    results.append(result)
        for reader, results in measured.items():
            if results:
                seconds, busy, size = (statistics.median(values) for values in zip(*results, strict=True))
                times = f"{seconds:6.2f} s {busy:6.2f} CPU s"
                print(f"{reader:16} {times} {size / 1e6:7.0f} MB  {size / numbers:4.1f} × the numbers")


if __name__ == "__main__":
    given = {"megabytes": 100, "columns": 20, "rounds": 5} | {
        key: int(value) for key, _, value in (word.partition("=") for word in sys.argv[1:])
    }
    main(**given)
