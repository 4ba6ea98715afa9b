"""What every section of the settings is made of."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
NotNegative = Annotated[float, Field(ge=0.0)]
Count = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0.0, le=1.0)]
PositiveFraction = Annotated[float, Field(gt=0.0, le=1.0)]
View = Literal["price", "sector", "microstructure", "fundamental", "alternative"]
"""Feature views, in panel order."""
Family = Literal[
    "ridge",
    "lasso",
    "elastic_net",
    "random_forest",
    "lightgbm",
    "xgboost",
    "catboost",
    "ranker",
    "neural_network",
]


class Section(BaseModel):
    """Base of the sections: unknown keys and numbers that are not finite are refused, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
