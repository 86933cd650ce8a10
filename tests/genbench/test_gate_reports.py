"""The gate's Markdown: a stranger's text is shown as it stands, and plain text stays readable."""

import re
from html import escape

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from genbench.gate import QuantityVerdict
from genbench.gate_reports import details
from genbench.markdown import markdown_line, markdown_text

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
PLACES = {
    "heading": ("### check: {}\n", "<h3>check: {}</h3>"),
    "bold": ("a\n\n**{}: pass**\n", "<strong>{}: pass</strong>"),
    "cell": ("| q | n |\n|---|---|\n| {} | 1 |\n", "<td>{}</td>"),
    "list": ("x\n- {}\n", "<li>{}</li>"),
}


def escaped(text):
    return escape(text, quote=False).replace('"', "&quot;")


@pytest.mark.parametrize("place", PLACES)
@given(text=st.text(st.sampled_from("ab1 .:-+=_*~`|\\[]()<>!#&;$@/\"'\n"), min_size=1, max_size=14))
@example(text="<img src=x onerror=alert(1)>")
@example(text="[a](https://evil.example) ![b](c) <https://evil.example>")
@example(text="&lt;b&gt; &#60;")
@example(text="1. - + * > # a")
def test_a_name_is_shown_as_it_stands(place, text):
    line = " ".join(text.split())
    if not line:
        return
    source, shown = PLACES[place]
    assert shown.format(escaped(line)) in PARSER.render(source.format(markdown_line(text))).replace(
        "\n", ""
    )


@pytest.mark.parametrize(
    "text",
    [
        "org/my_model-7b-v1.5 on gp-ood-rule 1.0: no drop above 2.5 pp",
        "gap ood: 50 pairs in 23 clusters fail on a true drop from 12.5 pp on (80% power)",
        "-1.5 pp, +2.0 pp",
    ],
)
def test_plain_names_and_numbers_are_not_escaped(text):
    assert markdown_line(text) == text


def test_a_cell_keeps_the_dash_that_stands_for_nothing():
    assert markdown_text("-") == "-"
    assert markdown_line("-") == "\\-"


def test_bare_addresses_and_mentions_become_no_links():
    for text in ("https://evil.example", "WWW.evil.example", "me@evil.example", "@someone"):
        assert not re.search(r"(?<!\\)(?:://|@)|(?i:www)(?<!\\)\.", markdown_line(text)), text


def test_no_p_value_is_printed_as_0():
    one = QuantityVerdict.model_construct(
        name="ood", verdict="fail", reason="worse", baseline=0.9, candidate=0.1, drop=0.8,
        lower=0.7, upper=0.9, p_fail_holm=0.0, p_pass=0.25, n=50, clusters=20, method="m",
    )  # fmt: skip
    assert "p(fail) <0.001 Holm-corrected, p(pass) 0.250, 50 pairs in 20 clusters" in details(one)
