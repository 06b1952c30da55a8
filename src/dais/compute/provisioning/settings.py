"""Settings of auto-provisioning: what hours cost."""

from __future__ import annotations

from typing import Annotated

import msgspec

from dais.compute.provisioning.choosing import Price
from dais.kit.errors import Invalid
from dais.kit.settings import settings


@settings("provisioning")
class ProvisioningSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What allocations cost. Prices compare allocations; nobody is charged."""

    price_cpu: Annotated[float, msgspec.Meta(ge=0, description="Price of a core for an hour.")] = 0.04
    price_mem: Annotated[float, msgspec.Meta(ge=0, description="Price of a GiB of memory for an hour.")] = 0.005
    price_gpu: Annotated[float, msgspec.Meta(ge=0, description="Price of a GPU for an hour.")] = 1.0
    group_prices: Annotated[
        tuple[str, ...],
        msgspec.Meta(
            description="Other prices of groups, as GROUP=CPU/MEM/GPU: gpus=0.05/0.006/2.5, several by commas."
        ),
    ] = ()
    currency: Annotated[str, msgspec.Meta(max_length=8, description="What prices are in; it is shown with them.")] = "$"

    def price(self, group: str) -> Price:
        """What hours cost in a group. Raises Invalid `bad-setting`."""
        for text in self.group_prices:
            name, _, rest = text.partition("=")
            if name.strip() == group:
                try:
                    cpu, mem, gpu = (float(part) for part in rest.split("/"))
                except ValueError as error:
                    raise Invalid(
                        f"DAIS_PROVISIONING_GROUP_PRICES: {text!r} is not GROUP=CPU/MEM/GPU", code="bad-setting"
                    ) from error
                return Price(cpu, mem, gpu)
        return Price(self.price_cpu, self.price_mem, self.price_gpu)
