"""A shape: what every body of the API has in common."""

from pydantic import BaseModel, ConfigDict


class Shape(BaseModel):
    """What all bodies have in common: no field that is not known, no value of another type."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)
