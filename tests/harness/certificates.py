"""A certificate authority for tests, made with openssl."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """PEM files of one certificate and its key."""

    cert: Path
    key: Path


def make_authority(directory: Path) -> Certificate:
    """Return a new certificate authority."""
    made = _files(directory, "ca")
    _openssl("req", "-x509", *_NEW_KEY, "-subj", "/CN=test authority", "-keyout", made.key, "-out", made.cert)
    return made


def issue(authority: Certificate, directory: Path, name: str) -> Certificate:
    """Return a certificate named `name` for 127.0.0.1 and localhost, for servers and clients alike."""
    made, request, extensions = _files(directory, name), directory / f"{name}.csr", directory / f"{name}.ext"
    extensions.write_text(
        "subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth\n"
    )
    _openssl("req", *_NEW_KEY, "-subj", f"/CN={name}", "-keyout", made.key, "-out", request)
    signer = ("-CA", authority.cert, "-CAkey", authority.key, "-CAcreateserial", "-days", "2")
    _openssl("x509", "-req", "-in", request, *signer, "-extfile", extensions, "-out", made.cert)
    return made


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def _files(directory: Path, name: str) -> Certificate:
    return Certificate(cert=directory / f"{name}.pem", key=directory / f"{name}.key")


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
