"""Fixtures for all tests live in tests/harness, one module per part of the system."""

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
