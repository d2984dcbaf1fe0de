"""What counts as an equivalent survivor of the mutation tool, and what does not."""

import pytest

from tests.mutants.equivalent import why_equivalent


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('Reason("P200", "the wallet ran short")', 'Reason("P200", "XXthe wallet ran shortXX")'),
        ('Reason("P200", "the wallet ran short")', 'Reason("P200", "THE WALLET RAN SHORT")'),
        ("'say \"12.50\", no sign'", "'XXsay \"12.50\", no signXX'"),
    ],
)
def test_the_wording_of_a_message_is_no_fault(before: str, after: str) -> None:
    assert why_equivalent("x_any__mutmut_1", f"-    {before}\n+    {after}")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('Reason("P200", "the wallet ran short")', 'Reason("p200", "the wallet ran short")'),
        ('Reason("P200", "the wallet ran short")', 'Reason("XXP200XX", "the wallet ran short")'),
        ('Reason("P200", "the wallet ran short")', 'Reason("P200", None)'),
        ('by="settler"', 'by="XXsettlerXX"'),
        ('f"{left} are left"', 'f"{None} are left"'),
        ("if seen < bound:", "if seen <= bound:"),
    ],
)
def test_codes_names_and_conditions_are_more_than_words(before: str, after: str) -> None:
    assert not why_equivalent("x_any__mutmut_1", f"-    {before}\n+    {after}")


@pytest.mark.parametrize(
    ("name", "before", "after", "known"),
    [
        ("services.dispatch.x_record__mutmut_1", "written = -1", "written = -2", True),
        ("services.dispatch.x_another__mutmut_1", "written = -1", "written = -2", False),
        ("services.dispatch.x_record__mutmut_1", "written = await apply()", "written = -2", False),
        ("services.dispatch.x_record__mutmut_1", "written = -2", "written = -1", False),
    ],
)
def test_a_known_equivalent_is_known_by_its_function_and_by_all_that_it_changes(
    name: str, before: str, after: str, known: bool
) -> None:
    assert bool(why_equivalent(name, f"-    {before}\n+        {after}")) is known
