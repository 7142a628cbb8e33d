"""The generated code that is checked in."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_checked_in_stubs_are_what_the_protos_say():
    finished = subprocess.run(
        [ROOT / "scripts/gen-protos", "--check"], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
