"""Whether the servers that the environment names are there, and of versions that fit.

Asked before anything is started: a server of another version answers much later, and with riddles.
"""

import base64
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from importlib.metadata import version
from urllib.parse import unquote, urlsplit

from convoy.addresses import without_credentials
from convoy.errors import ConvoyError, UsageError

TIMEOUT = 10.0


class NoVersion(ConvoyError):
    """A server that is away, refuses this user, or is another one."""


def require(environ: Mapping[str, str] = os.environ) -> None:
    """Ask the Prefect server, and MLflow's if there is one.

    Raises `UsageError` where no Prefect server is named, `NoVersion` where one is away or refuses
    this user, and `ConvoyError` for a version that does not fit.
    """
    api = environ.get("PREFECT_API_URL", "")
    if not api:
        raise UsageError(
            "PREFECT_API_URL is not set: work pools are on a Prefect server; name it, as in "
            "https://prefect.example.org/api (deploy/README.md)."
        )
    check_prefect(api, environ)
    if (mlflow := environ.get("MLFLOW_TRACKING_URI", "")).startswith("http"):
        check_mlflow(mlflow, environ)


def check_prefect(api: str, environ: Mapping[str, str] = os.environ) -> None:
    """Ask a Prefect server for its version."""
    login = environ.get("PREFECT_API_AUTH_STRING", "")
    found = _ask(f"{api.rstrip('/')}/admin/version", login, "Prefect", "PREFECT_API_AUTH_STRING")
    _compare("Prefect", "prefect", api, found.strip('"'))


def check_mlflow(uri: str, environ: Mapping[str, str] = os.environ) -> None:
    """Ask an MLflow server for its version."""
    names = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
    login = ":".join(environ.get(name, "") for name in names).removeprefix(":")
    found = _ask(f"{uri.rstrip('/')}/version", login, "MLflow", " and ".join(names))
    _compare("MLflow", "mlflow", uri, found)


def _ask(address: str, login: str, whose: str, variables: str) -> str:
    parts = urlsplit(address)
    if parts.username and parts.hostname:  # as MLflow's client takes it too
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        address = without_credentials(address)
    headers = {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}
    shown = without_credentials(address)
    try:
        request = urllib.request.Request(address, headers=headers if login else {})
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            text: str = answer.read(200).decode(errors="replace").strip()
            return text
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in (401, 403):
            mend = "is wrong" if login else "is not set"
            raise NoVersion(
                f"{whose}'s server at {shown} lets nobody in without a password: {variables} "
                f"{mend}."
            ) from None
        raise NoVersion(
            f"{whose}'s server does not answer at {shown} (status {error.code}): is that its "
            f"address?"
        ) from None
    except (OSError, ValueError) as error:
        raise NoVersion(
            f"{whose}'s server does not answer at {shown} ({getattr(error, 'reason', error)}): "
            f"start it, or correct its address in the environment."
        ) from None


def _compare(whose: str, package: str, address: str, found: str) -> None:
    """Refuse a server of another major version, or older than this client.

    Both libraries keep new servers open to older clients, and promise nothing of the other way.
    """
    ours = version(package)
    theirs, own = _parts(found), _parts(ours)
    if theirs is None or own is None:
        shown = without_credentials(address)
        raise NoVersion(f"what answers at {shown} is no {whose} server: it says {found[:40]!r}.")
    if theirs[0] != own[0] or theirs < own:
        raise ConvoyError(
            f"{whose}'s server at {without_credentials(address)} has version {found} and this "
            f"checkout {ours}: bring the server to {ours}, or check out a commit whose "
            f"constraints.txt has {found}."
        )


def _parts(text: str) -> tuple[int, int] | None:
    """Return major and minor version; None for what is none."""
    parts = text.split("+")[0].split(".")
    if len(parts) < 2 or not all(part.isdecimal() for part in parts[:2]):
        return None
    return int(parts[0]), int(parts[1])
