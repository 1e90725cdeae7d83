from firstseen.status.view.markup import Html
from firstseen.status.view.tables import Column, table
from support.told import Reading


def test_a_table_says_what_each_cell_is() -> None:
    made = Reading(table("Things", [Column("Name"), Column("Size", numeric=True)], [["<a>", "1"], [Html("b"), None]]))

    assert made.texts == ["Things", "Name", "Size", "<a>", "1", "b"]
    assert [cell["scope"] for cell in made.all("th")] == ["col", "col", "row", "row"]
    assert [(cell["data-label"], cell["class"]) for cell in made.all("td")] == [("Size", "number")] * 2
    assert len(made.all("caption")) == 1
