"""The pages of templates."""

from __future__ import annotations

import msgspec
import pytest

from dais.compute import ProvisioningSettings, register_template
from dais.compute.provisioning.commands import end_template
from dais.compute.provisioning.model import Sample, fit
from dais.compute.provisioning.queries import find_template, hints_of
from dais.kit.database import UnitOfWork
from dais.wire.spec import JobSpec
from dais.wire.templates import NewTemplate
from tests.support.site import Site

pytestmark = pytest.mark.anyio


async def test_a_list_and_a_template_with_its_picture(site: Site) -> None:
    actor = site.world.actor

    def make(uow: UnitOfWork) -> None:
        spec = JobSpec(command=("sleep", "{1,2}"))
        new = NewTemplate(name="naps", spec=spec, cpu=(0.1, 0.2), mem=(4 << 20,))
        made = register_template(uow, actor, new, site.world.settings, ProvisioningSettings())
        samples = [Sample((n,), cpu, 4 << 20, float(n) / cpu) for n in ("1", "2") for cpu in (0.1, 0.2)]
        fitted = fit(hints_of(find_template(uow, actor, made.id)), samples)
        end_template(uow, made.id, "ready", None, msgspec.json.encode(fitted).decode())

    await site.world.db.write(make)
    async with site.signed_in() as browser:
        listed = await browser.get("/templates")
        assert (listed.status_code, "naps" in listed.text) == (200, True)
        shown = await browser.get("/local/joe/templates/naps?o.option1=2&max_time=1h")
        assert shown.status_code == 200
        assert 'class="chosen"' in shown.text
        assert "dais template run" in shown.text
        refused = await browser.get("/local/joe/templates/naps?o.option1=2&max_time=1s")
        assert "the nearest is" in refused.text
