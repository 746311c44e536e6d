"""Bounds of numbers that people write, with one complaint for all that is wrong with one."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import GetCoreSchemaHandler, ValidationError, ValidatorFunctionWrapHandler
from pydantic_core import CoreSchema, core_schema


@dataclass(frozen=True)
class Within:
    """Bounds of an `int` or a `float`, as an annotation: `Annotated[int, Within(4, 128)]`.

    Text is read as a number, since forms, flags and the environment have nothing else; a bool, NaN and
    infinity are none. The complaint always names both bounds: "a whole number from 4 to 128"; `remark` is
    what there is to add.
    """

    low: float
    high: float
    remark: str = ""

    def __get_pydantic_core_schema__(
        self, source: type[int] | type[float], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        kind = "a whole number" if source is int else "a number"
        allowed = f"{kind} from {self.low} to {self.high}{self.remark}"
        number = (
            core_schema.int_schema(ge=int(self.low), le=int(self.high))
            if source is int
            else core_schema.float_schema(ge=self.low, le=self.high, allow_inf_nan=False)
        )

        def check(value: object, read: ValidatorFunctionWrapHandler) -> object:
            underscored = isinstance(value, str) and "_" in value  # Python's 1_000, nobody else's
            if isinstance(value, bool) or not isinstance(value, int | float | str) or underscored:
                raise ValueError(allowed)
            try:
                return read(value)
            except ValidationError:
                raise ValueError(allowed) from None

        return core_schema.no_info_wrap_validator_function(check, number)
