"""Words on the command line: the server's address first, as with the original, or not at all."""

from __future__ import annotations

import pytest
import typer

from services.admin.cli.input import fixed_words, is_address, is_key, is_request, optional_word

add = fixed_words("ADDRESS")
remove = fixed_words("NODE")
replace = fixed_words("NODE", "ADDRESS")
rebalance = fixed_words()
watch = optional_word("REQUEST", is_request)
ring = optional_word("KEY", is_key)
LONG = "x" * 20_000


@pytest.mark.parametrize("text", ["localhost:8081", "10.0.0.1:1", "[::1]:65535", "node-1.example:9090"])
def test_an_address_is_a_host_and_a_port(text):
    assert is_address(text)


@pytest.mark.parametrize(
    "text", ["node-1", "video/init.mp4", "a/b:1", "host:", ":1", "::1:80", "http://a:1", ""]
)
def test_nothing_else_is_an_address(text):
    assert not is_address(text)


@pytest.mark.parametrize(
    ("read", "words", "found"),
    [
        (add, ["a:1"], ["", "a:1"]),
        (add, ["server:1", "a:1"], ["server:1", "a:1"]),
        (remove, ["node-1"], ["", "node-1"]),
        (remove, ["a:1"], ["", "a:1"]),
        (remove, ["server:1", "node-1"], ["server:1", "node-1"]),
        (replace, ["node-1", "a:1"], ["", "node-1", "a:1"]),
        (replace, ["server:1", "b:1", "a:1"], ["server:1", "b:1", "a:1"]),
        (rebalance, [], [""]),
        (rebalance, ["server:1"], ["server:1"]),
        (watch, [], ["", ""]),
        (watch, None, ["", ""]),
        (watch, ["server:1"], ["server:1", ""]),
        (watch, ["r-1"], ["", "r-1"]),
        (watch, ["server:1", "r-1"], ["server:1", "r-1"]),
        (ring, ["ybqwrbktphjkqtn4/original.mp4"], ["", "ybqwrbktphjkqtn4/original.mp4"]),
    ],
)
def test_the_server_comes_first_or_is_left_out(read, words, found):
    assert read(words) == found


@pytest.mark.parametrize(
    ("read", "words", "sentence"),
    [
        (add, [], r"write \[SERVER\] ADDRESS"),
        (add, ["a", "b", "c"], r"write \[SERVER\] ADDRESS"),
        (add, ["node-1"], "'node-1' is not an address"),
        (remove, ["server", "node-1"], "'server' is not an address"),
        (replace, ["node-1", "node-2"], "'node-2' is not an address"),
        (rebalance, ["node-1"], "'node-1' is not an address"),
        (watch, ["r-1", "server:1"], r"write \[SERVER\] \[REQUEST\]"),
        (watch, ["server:1", "other:1"], r"write \[SERVER\] \[REQUEST\]"),
        (add, [f"{LONG}:99"], r"'x{60}\.\.\.' is not an address"),
        (remove, [LONG], r"'x{60}\.\.\.' is neither the id of a storage node nor its host:port"),
        (remove, [""], "'' is neither the id"),
        (replace, ["node-1", f"{LONG}:99"], "is not an address"),
        (watch, [LONG], r"write \[SERVER\] \[REQUEST\]"),
        (ring, [f"ybqwrbktphjkqtn4/{LONG}"], r"write \[SERVER\] \[KEY\]"),
    ],
)
def test_words_that_do_not_fit_are_refused(read, words, sentence):
    with pytest.raises(typer.BadParameter, match=sentence):
        read(words)
