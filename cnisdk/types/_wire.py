"""The base of every JSON object of the specification.

A type checker is told that it is a pydantic model, and as such it behaves; how it does so without
pydantic is in `cnisdk.types._light`.
"""

from typing import TYPE_CHECKING

from cnisdk.types._fields import Parsed

if TYPE_CHECKING:
    from pydantic import BaseModel, ConfigDict, Field as Field

    class WireModel(BaseModel):
        """Frozen, spelt on the wire exactly as the specification spells it.

        Keys that are not declared are kept, in ``model_extra``.
        """

        model_config = ConfigDict(
            frozen=True,
            populate_by_name=True,
            extra="allow",
            serialize_by_alias=True,
            protected_namespaces=(),
        )
else:
    from cnisdk.types._fields import Field
    from cnisdk.types._light import LightModel as WireModel

__all__ = ["Field", "Parsed", "WireModel"]
