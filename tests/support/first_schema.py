"""An installation as the first Dais left it: its schema, with something in every table."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from sqlalchemy import MetaData, create_engine, select

from dais.kit.database.ends import driver_url
from dais.kit.ids import new_id

OLD = "0001"
SECRET = "dais_user_" + "x" * 43
STATES = ("PENDING", "SCHEDULED", "PREPARING", "RUNNING", "FINISHING", "SUCCEEDED", "FAILED", "CANCELLED")
REASONS = {"SUCCEEDED": "completed", "FAILED": "exit-code", "CANCELLED": "user-request", "FINISHING": "completed"}


def rows_of(url: str, columns: dict[str, list[str]] | None = None) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table, by name; of `columns` alone where they are given."""
    engine = create_engine(driver_url(url))
    metadata = MetaData()
    metadata.reflect(engine)
    found = {}
    with engine.connect() as connection:
        for table in metadata.sorted_tables:
            if table.name == "alembic_version" or (columns is not None and table.name not in columns):
                continue
            wanted = [table.c[name] for name in columns[table.name]] if columns else list(table.c)
            rows = [dict(row) for row in connection.execute(select(*wanted)).mappings()]
            found[table.name] = sorted(rows, key=lambda row: json.dumps(row, sort_keys=True))
    engine.dispose()
    return found


def fill(url: str, data: Path) -> None:
    """Write it into a database that has the schema `OLD`, and its folder below `data`."""
    engine = create_engine(driver_url(url))
    metadata = MetaData()
    metadata.reflect(engine)
    with engine.begin() as connection:

        def put(table: str, **values: Any) -> str:
            values.setdefault("created_at", 1_700_000_000_000_000)
            known = metadata.tables[table].c
            connection.execute(metadata.tables[table].insert(), {k: v for k, v in values.items() if k in known})
            return str(values.get("id", ""))

        organization = put("organizations", id=new_id(), name="local")
        account = put("accounts", id=new_id(), organization_id=organization, name="root", full_name="local.root")
        put("account_ancestors", account_id=account, ancestor_id=account)
        user = put(
            "users", number=1, id=new_id(), organization_id=organization, name="root", account_id=account,
            administrator_at=1,
        )  # fmt: skip
        put("account_members", user_id=user, account_id=account)
        put("tokens", id=new_id(), user_id=user, kind="user", hash=hashlib.sha256(SECRET.encode()).hexdigest())
        put("sessions", id=new_id(), user_id=user, hash="5" * 64, last_used_at=1, expires_at=2)
        put("sign_in_links", id=new_id(), user_id=user, hash="6" * 64, expires_at=2)
        put("resource_groups", name="default", engine="local", default_image="host")
        put(
            "nodes", group_name="default", name="gone", state="up", cpu_millis=1, mem=1, gpus="[]", isolation="{}",
            updated_at=1,
        )  # fmt: skip
        put("leases", name="dispatcher:default", token=new_id(), holder="gone/x/1/1", expires_at=1)
        put(
            "environments", id=new_id(), organization_id=organization, key="7" * 64, state="FAILED",
            requirements="größe==1", kind="pip", interpreter="/usr/bin/python3",
        )  # fmt: skip
        put("events", id=new_id(), seq=1, at=1, kind="job.state", subject_type="job", subject_id=new_id(), data="{}")
        folder = put("folders", id=new_id(), account_id=account, name="files", created_by=user, published_at=1)
        (data / "folders" / folder).mkdir(parents=True)
        (data / "folders" / folder / "kept.txt").write_bytes(b"kept")
        for number, state in enumerate(STATES):
            _fill_job(put, account, user, 40 + number, state)
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("SELECT setval(pg_get_serial_sequence('jobs', 'number'), max(number)) FROM jobs")
    engine.dispose()


def _fill_job(put: Any, account: str, user: str, number: int, state: str) -> None:
    live = state in ("PENDING", "SCHEDULED", "PREPARING", "RUNNING", "FINISHING")
    ended = None if live else 3
    common = {"cpu_millis": 100, "mem": 64 << 20, "gpu": 0, "reason": REASONS.get(state), "started_at": None}
    job = put(
        "jobs", number=number, id=new_id(), name=state.lower(), account_id=account, owner_id=user,
        group_name="default", type="batch", state=state, spec='{"command":["true"]}', warnings='["größe"]', mounts="[]",
        image="host", class_rank=1, bid=0, queued_at=1, restartable=0, run_index=0, ended_at=ended, **common,
    )  # fmt: skip
    put("job_tags", job_id=job, key="team", value="größe")
    put("job_history", id=new_id(), job_id=job, at=1, run_index=0, state=state)
    put("idempotency_keys", user_id=user, key=f"key-{number}", body_hash="8" * 64, job_id=job)
    if state != "PENDING":
        run = new_id()
        handle = json.dumps({"attempt_id": run}) if state == "RUNNING" else None
        over = state not in ("SCHEDULED", "PREPARING", "RUNNING")
        put(
            "runs", id=run, job_id=job, idx=0, group_name="default", node="gone", handle=handle,
            state="SUCCEEDED" if state == "FINISHING" else state, launched_at=1 if state == "RUNNING" else None,
            log_segments=None if live else "[]", ended_at=3 if over else None, shipped_at=None if live else 4, **common,
        )  # fmt: skip
