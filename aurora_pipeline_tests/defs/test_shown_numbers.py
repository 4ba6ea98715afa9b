from aurora_pipeline.defs.shown_numbers import shown_numbers


def test_fractions_get_five_digits_and_dollars_cents():
    numbers = {"gross": 0.054374207544642464, "small": -1.23456789e-7, "nav": 10036724.205165397, "t": 999.123456}
    assert shown_numbers(numbers) == {"gross": 0.054374, "small": -1.2346e-7, "nav": 10036724.21, "t": 999.12}


def test_what_is_not_a_fraction_stays():
    assert shown_numbers({"rows": 123456, "version": "ridge-2024-12", "absent": None}) == {
        "rows": 123456, "version": "ridge-2024-12", "absent": None,
    }  # fmt: skip
    assert str(shown_numbers({"ic": float("nan")})["ic"]) == "nan"
