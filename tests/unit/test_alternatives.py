"""Each part of the benchmark of alternatives can be replaced by its library."""

import subprocess
import sys

from benchmarks.alternatives import PARTS

REPLACE = (
    "import sys; from benchmarks.alternatives_server import SWAPS; [SWAPS[part]() for part in sys.argv[1:]]"
)


def test_each_part_has_a_library_to_put_in_its_place() -> None:
    # In a process that ends: what is replaced stays replaced.
    subprocess.run([sys.executable, "-c", REPLACE, *PARTS], check=True, timeout=60)
