"""Projects, which are accounts of Dais, and their users."""

from __future__ import annotations

from typing import Any

from dais.acai.calling import post
from dais.acai.credentials import login as log_in


class Project:
    """Make projects and users of projects."""

    @staticmethod
    def create_project(project_id: str, admin_token: str, project_admin: str) -> dict[str, Any]:
        """Make a project with the token of an administrator of the installation.

        `{"admin_token", "project_id", "project_admin_name"}`: the token is the project administrator's.
        """
        made = post(
            "create_project",
            {"project_id": project_id, "admin_token": admin_token, "project_admin_name": project_admin},
        )
        return {name: made[name] for name in ("admin_token", "project_id", "project_admin_name")}

    @staticmethod
    def create_user(project_id: str, admin_token: str, user: str, login: bool = True) -> dict[str, Any]:
        """Make a user with the project administrator's token, and use theirs from now on, unless told not to.

        `{"user_id", "user_token"}`
        """
        made = post("create_user", {"project_id": project_id, "admin_token": admin_token, "user_name": user})
        if login:
            log_in(made["user_token"])
        return made
