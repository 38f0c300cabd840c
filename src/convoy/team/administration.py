"""Users and roles on MLflow's server, as an administrator sets them; again changes nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.server.auth.client import AuthServiceClient
from mlflow.server.auth.entities import Role

from convoy.addresses import without_credentials
from convoy.client import Client, answered
from convoy.errors import ConvoyError, UsageError
from convoy.team.roles import GRANTS, MEANING

WORKSPACE = "default"
"""MLflow's, of a server that has no others."""
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
        self._server = AuthServiceClient(uri)

    def define(self) -> dict[str, int]:
        """Have the roles, with their grants and no others; return their ids by name."""
        there = {role.name: role for role in self._roles()}
        for name in GRANTS:
            if name not in there:
                there[name] = self._ask("create_role", WORKSPACE, name, MEANING[name])
            self._set_grants(there[name].id, name)
        return {name: there[name].id for name in GRANTS}

    def grant(self, user: str, role: str, password: Callable[[], str]) -> Granted:
        """Give a user one role and take the others; `password` is asked for one that is new."""
        ids = self.define()
        created = self._create(user, password)
        held = {one.name for one in self._ask("list_user_roles", user)}
        for other in held & ids.keys() - {role}:
            self._ask("unassign_role", user, ids[other])
        if role not in held:
            self._ask("assign_role", user, ids[role])
        return Granted(user, role, created)

    def _roles(self) -> list[Role]:
        try:
            found: list[Role] = self._ask("list_roles", WORKSPACE)
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
        for row in self._ask("list_role_permissions", role):
            if row.resource_pattern == "*" and missing.get(row.resource_type) == row.permission:
                del missing[row.resource_type]
            else:
                self._ask("remove_role_permission", row.id)
        for kind, permission in missing.items():
            self._ask("add_role_permission", role, kind, "*", permission)

    def _create(self, user: str, password: Callable[[], str]) -> bool:
        try:
            self._ask("get_user", user)
        except MlflowException as error:
            if error.error_code not in ABSENT:
                raise
        else:
            return False
        if not (chosen := password()):
            raise UsageError(f"{user!r} is a new user: give a password on standard input.")
        try:
            self._ask("create_user", user, chosen)
        except MlflowException as error:
            raise UsageError(f"MLflow does not take the user {user!r}: {error.message}") from None
        return True

    def _ask(self, method: str, *arguments: Any) -> Any:
        return answered(lambda: getattr(self._server, method)(*arguments), self.uri)
