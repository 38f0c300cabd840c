"""Users and roles on MLflow's server, as an administrator sets them; again changes nothing.

By the server's own REST calls: MLflow's client for them imports the whole server first, which
takes seconds and needs packages that only the server has.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request, verify_rest_response

from convoy.addresses import without_credentials
from convoy.client import Client, answered
from convoy.errors import ConvoyError, UsageError
from convoy.team.roles import GRANTS, MEANING

WORKSPACE = "default"
"""MLflow's, of a server that has no others."""
USERS = "/api/2.0/mlflow/users"
ROLES = "/api/3.0/mlflow/roles"
USER_ROLES = "/api/3.0/mlflow/users/roles"
ABSENT = {"RESOURCE_DOES_NOT_EXIST", "ENDPOINT_NOT_FOUND", "NOT_FOUND"}


@dataclass(frozen=True)
class Granted:
    """What a user has now."""

    user: str
    role: str
    created: bool
    """Whether the user is new."""


class Administration:
    """What an administrator does on one server.

    Raises `Forbidden` where the user of the environment is none, `ConvoyError` where the server
    has no authentication app or is away.
    """

    def __init__(self, uri: str) -> None:
        if not uri.startswith("http"):
            raise UsageError(
                f"MLFLOW_TRACKING_URI is {without_credentials(uri)!r}, which has no users: set it "
                f"to the address of a team's MLflow server (deploy/README.md)."
            )
        Client(uri)  # one request a call, as everywhere
        self.uri = uri

    def define(self) -> dict[str, int]:
        """Have the roles, with their grants and no others; return their ids by name."""
        ids = {role["name"]: int(role["id"]) for role in self._roles()}
        for name in GRANTS:
            if name not in ids:
                made = {"workspace": WORKSPACE, "name": name, "description": MEANING[name]}
                ids[name] = int(self._ask("POST", f"{ROLES}/create", made)["role"]["id"])
            self._set_grants(ids[name], name)
        return {name: ids[name] for name in GRANTS}

    def grant(self, user: str, role: str, password: Callable[[], str]) -> Granted:
        """Give a user one role and take the others; `password` is asked for one that is new."""
        ids = self.define()
        created = self._create(user, password)
        found = self._ask("GET", f"{USER_ROLES}/list", {"username": user})["roles"]
        held = {one["name"] for one in found}
        for other in held & ids.keys() - {role}:
            given = {"username": user, "role_id": ids[other]}
            self._ask("DELETE", f"{ROLES}/unassign", given)
        if role not in held:
            self._ask("POST", f"{ROLES}/assign", {"username": user, "role_id": ids[role]})
        return Granted(user, role, created)

    def _roles(self) -> list[dict[str, Any]]:
        try:
            found: list[dict[str, Any]] = self._ask(
                "GET", f"{ROLES}/list", {"workspace": WORKSPACE}
            )["roles"]
        except MlflowException as error:
            if error.error_code not in ABSENT:
                raise
            raise ConvoyError(
                f"the MLflow server {without_credentials(self.uri)} knows no users: start it with "
                f"`--app-name basic-auth`, as deploy/README.md has it."
            ) from error
        return found

    def _set_grants(self, role: int, name: str) -> None:
        missing = dict(GRANTS[name])
        listed = self._ask("GET", f"{ROLES}/permissions/list", {"role_id": str(role)})
        for row in listed["role_permissions"]:
            kind = row["resource_type"]
            if row["resource_pattern"] == "*" and missing.get(kind) == row["permission"]:
                del missing[kind]
            else:
                self._ask(
                    "DELETE", f"{ROLES}/permissions/remove", {"role_permission_id": row["id"]}
                )
        for kind, permission in missing.items():
            given = {"role_id": role, "resource_type": kind, "resource_pattern": "*"}
            self._ask("POST", f"{ROLES}/permissions/add", {**given, "permission": permission})

    def _create(self, user: str, password: Callable[[], str]) -> bool:
        try:
            self._ask("GET", f"{USERS}/get", {"username": user})
        except MlflowException as error:
            if error.error_code not in ABSENT:
                raise
        else:
            return False
        if not (chosen := password()):
            raise UsageError(f"{user!r} is a new user: give a password on standard input.")
        try:
            self._ask("POST", f"{USERS}/create", {"username": user, "password": chosen})
        except MlflowException as error:
            raise UsageError(f"MLflow does not take the user {user!r}: {error.message}") from None
        return True

    def _ask(self, method: str, path: str, given: dict[str, Any]) -> Any:
        def call() -> Any:
            how = {"params": given} if method == "GET" else {"json": given}
            server = get_default_host_creds(self.uri)  # type: ignore[no-untyped-call]
            answer = http_request(server, path, method, **how)  # type: ignore[no-untyped-call]
            verify_rest_response(answer, path)
            return answer.json() if answer.content else {}

        return answered(call, self.uri)
