"""Fixtures for all tests live in tests/harness, one module per part of the system."""

import os

from hypothesis import HealthCheck, settings

# Encoders that give way to everything else, as they should elsewhere, would come last on a machine that other
# tests keep busy: what waits for them would run out of time.
os.environ.setdefault("TRITONTUBE_NICENESS", "0")

# How long an example takes tells of the machine, and of what else it does just then.
settings.register_profile("busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy machine")

pytest_plugins = [
    "tests.harness.fixtures_cluster",
    "tests.harness.fixtures_etcd",
    "tests.harness.fixtures_finished",
    "tests.harness.fixtures_media",
    "tests.harness.fixtures_rabbitmq",
    "tests.harness.fixtures_ring",
    "tests.harness.fixtures_storage",
    "tests.harness.fixtures_browser",
    "tests.harness.fixtures_stack",
    "tests.harness.fixtures_web",
    "tests.harness.second_chance",
]
