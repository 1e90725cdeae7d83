from firstseen.status.view.markup import Html, element, joined


def test_text_is_escaped_wherever_it_goes() -> None:
    odd = "<script>alert(1)</script>&\"'"

    made = element("p", odd, Html("<b>ours</b>"), title=odd)

    assert str(made) == (
        '<p title="&lt;script&gt;alert(1)&lt;/script&gt;&amp;&quot;&#x27;">'
        "&lt;script&gt;alert(1)&lt;/script&gt;&amp;&quot;&#x27;<b>ours</b></p>"
    )


def test_attributes() -> None:
    made = element("meta", class_="a b", aria_label="c", hidden=True, open=False, id=None, x=1.5, name="n")

    assert str(made) == '<meta class="a b" aria-label="c" hidden x="1.5" name="n">'


def test_children() -> None:
    assert str(joined("a", None, 3, Html("<i></i>"))) == "a3<i></i>"
    assert str(element("p", None)) == "<p></p>"
    assert str(Html("a") + Html("b")) == "ab"
