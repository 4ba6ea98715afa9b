from aurora_pipeline.monitoring.text_table import cell, markdown_table


def test_small_numbers_keep_two_digits_and_what_is_missing_is_empty():
    assert [cell(value) for value in (0.12345, 0.00012345, 0.0, -0.0004, 7, None, "a")] == [
        "0.123", "0.00012", "0.000", "-0.0004", "7", "", "a",
    ]  # fmt: skip


def test_a_bar_inside_a_value_does_not_end_its_cell():
    assert markdown_table(["model", "why"], [("ridge", "a|b"), ("lasso", None)]) == [
        "| model | why |",
        "|---|---|",
        "| ridge | a\\|b |",
        "| lasso |  |",
    ]


def test_values_are_written_as_told():
    assert markdown_table(["x"], [(1.5,)], str)[-1] == "| 1.5 |"
