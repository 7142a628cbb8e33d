"""What the files in deploy/ say agrees with what the services read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from services.shared.broker.jobs import KEEP_AFTER_S
from services.shared.settings import StorageSettings, TranscoderSettings, WebSettings

DEPLOY = Path(__file__).parents[2] / "deploy"
SETTINGS = {
    f"TRITONTUBE_{name.upper()}"
    for kind in (WebSettings, TranscoderSettings, StorageSettings)
    for name in kind.model_fields
}


@pytest.mark.parametrize("name", ["compose.yaml", "Containerfile"])
def test_every_variable_is_a_setting(name: str):
    used = set(re.findall(r"\bTRITONTUBE_[A-Z_]+\b", (DEPLOY / name).read_text()))
    assert used
    assert used <= SETTINGS


def test_every_variable_that_compose_asks_for_has_an_example():
    asked = set(re.findall(r"\$\{([A-Z_]+)", (DEPLOY / "compose.yaml").read_text()))
    offered = set(re.findall(r"^([A-Z_]+)=", (DEPLOY / ".env.example").read_text(), re.MULTILINE))
    assert asked == offered


def test_the_broker_waits_longer_for_an_acknowledgement_than_a_worker_lets_it():
    [consumer_timeout_ms] = re.findall(
        r"^consumer_timeout = (\d+)", (DEPLOY / "rabbitmq.conf").read_text(), re.MULTILINE
    )
    assert int(consumer_timeout_ms) / 1000 > KEEP_AFTER_S


def test_workers_have_a_disk_for_what_has_to_be_copied_into_another_container():
    """A file system in memory would be full at once, and waited for in vain."""
    [work_dir] = re.findall(r"TRITONTUBE_WORK_DIR=(\S+)", (DEPLOY / "Containerfile").read_text())
    compose = (DEPLOY / "compose.yaml").read_text()
    assert f"volumes: [scratch:{work_dir}]" in compose
    assert not re.search(rf"^ *- {work_dir}\b", compose, re.MULTILINE)
