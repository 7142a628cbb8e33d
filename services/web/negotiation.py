"""What kind of answer a client wants, from its Accept header (RFC 9110, section 12.5.1). Pure.

Three kinds of clients meet here. Programs that name JSON get it. Browsers name HTML. The rest, curl without
options among them, name neither.
"""

from __future__ import annotations

from typing import Final

_JSON: Final = "application/json"
_HTML: Final = "text/html"


def prefers_json(accept: str) -> bool:
    """Whether the client asks for JSON by name, and not less than for HTML."""
    weights = _weights(accept)
    return weights.get(_JSON, 0.0) > 0 and weights[_JSON] >= weights.get(_HTML, 0.0)


def prefers_html(accept: str) -> bool:
    """Whether the client asks for HTML by name, and more than for JSON."""
    weights = _weights(accept)
    return weights.get(_HTML, 0.0) > weights.get(_JSON, 0.0)


def _weights(accept: str) -> dict[str, float]:
    return dict(_weight(entry) for entry in accept.split(",") if entry.strip())


def _weight(entry: str) -> tuple[str, float]:
    kind, *parameters = (part.strip().lower() for part in entry.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            return kind, _number(value)
    return kind, 1.0


def _number(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 0.0
