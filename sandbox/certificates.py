"""Certificates that programs are told to trust, beside those of their image."""

#: What programs read the path of a PEM file from, each of them another one.
VARIABLES = (
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "NODE_EXTRA_CA_CERTS",
    "CARGO_HTTP_CAINFO",
)


def naming(path: str) -> dict[str, str]:
    """The environment that has programs trust the certificates in a file."""
    return dict.fromkeys(VARIABLES, path)
