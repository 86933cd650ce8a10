"""The site in a real browser: sort, search, open a row's episodes; hostile text stays text."""

import json
import time
from pathlib import Path

import chromium
import pytest
from small_board import CROWD, HOSTILE, HOSTILE_RESPONSE, ROWS, TASK

from genbench.leaderboard.formats import plain

pytestmark = pytest.mark.browser
BOARDS = Path(__file__).parents[3] / "leaderboards"


@pytest.fixture
def site(crowded, driver):
    """The board's page on the site, opened anew from the disk."""
    driver.get("about:blank")
    driver.get_log("browser"), driver.get_log("performance")
    driver.site = crowded / "site"
    driver.get((driver.site / "boards" / "crowd.html").as_uri())
    return driver


def script(page, text, *arguments):
    return page.execute_script(text, *arguments)


def wait_for(page, text, *arguments):
    end = time.monotonic() + 10
    while time.monotonic() < end:
        found = script(page, f"return {text}", *arguments)
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"never came true: {text}")


def names(page, table=0):
    return script(
        page,
        "return [...document.querySelectorAll('table')[arguments[0]].tBodies[0].rows]"
        ".filter(row => row.offsetParent !== null)"
        ".map(row => row.cells[1].querySelector('bdi').textContent)",
        table,
    )


def keys(page, column):
    return script(
        page,
        "return [...document.querySelector('table').tBodies[0].rows]"
        ".map(row => row.cells[arguments[0]].dataset.order)",
        column,
    )


def press(page, *keys):
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(page).send_keys(*keys).perform()


def focused(page):
    return script(page, "return document.activeElement.textContent")


def test_a_click_on_a_head_sorts_and_a_second_one_turns_it_round(site):
    site.find_element("css selector", "thead th:nth-child(3) button").click()
    values = [float(value) for value in keys(site, 2)]
    assert values == sorted(values, reverse=True)
    site.find_element("css selector", "thead th:nth-child(3) button").click()
    assert [float(value) for value in keys(site, 2)] == sorted(values)
    sort = "return document.querySelector('thead th:nth-child(3)').getAttribute('aria-sort')"
    assert script(site, sort) == "ascending"
    assert len(script(site, "return [...document.querySelectorAll('table [aria-sort]')]")) == 2


def test_the_keyboard_alone_sorts_searches_and_opens(site):
    from selenium.webdriver.common.keys import Keys

    press(site, Keys.TAB, Keys.TAB)  # "All boards", then the search
    press(site, "org/good")
    assert names(site) == ["org/good-8b-rl", "org/good-8b-sft"]
    shown = script(site, "return document.querySelector('#shown').textContent")
    assert shown == f"4 of {sum(ROWS.values()) + 4} rows"
    press(site, Keys.ESCAPE)
    assert len(names(site)) == ROWS[TASK] + 2
    for _ in range(12):
        press(site, Keys.TAB)
        if focused(site) == "gap":
            break
    press(site, Keys.ENTER)
    values = [float(value) for value in keys(site, 3)]
    assert values == sorted(values, reverse=True)
    for _ in range(40):
        press(site, Keys.TAB)
        if script(site, "return document.activeElement.tagName") == "SUMMARY":
            break
    press(site, " ")
    assert script(site, "return document.activeElement.parentElement.open")


def test_the_first_order_comes_back_and_names_sort_as_one(site):
    first = names(site)
    for column in (2, 2, 4, 0):
        site.find_element("css selector", f"thead th:nth-child({column + 1}) button").click()
    assert names(site) == first
    site.find_element("css selector", "thead th:nth-child(2) button").click()
    found = names(site)
    assert sorted(found) == sorted(first)
    assert found[0] in (plain(HOSTILE), plain('=HYPERLINK("https://evil.example")'))
    # References have no rank: they come last whichever way.
    for _ in range(2):
        site.find_element("css selector", "thead th:nth-child(1) button").click()
        assert {name.partition(":")[0] for name in names(site)[-2:]} == {"agent"}


def test_a_search_takes_all_words_and_both_tables(site):
    for text, count in (("org unknown", 8), ("no such model", 0), ("<script>", 2)):
        box = site.find_element("id", "search")
        box.clear()
        box.send_keys(text)
        found = names(site) + names(site, 1)
        assert len(found) == count, found
        shown = script(site, "return document.querySelector('#shown').textContent")
        assert shown.startswith(f"{count} of ")


def test_a_row_opens_exactly_its_runs_episodes(site):
    for name in ("org/middle", plain(HOSTILE)):
        site.get((site.site / "boards" / "crowd.html").as_uri())
        row = names(site).index(name)
        site.find_elements("css selector", "tbody tr")[row].find_element(
            "link text", "episodes"
        ).click()
        wait_for(site, "document.querySelector('#list tbody tr') !== null")
        assert site.current_url.startswith((site.site / "tasks" / TASK / "index.html").as_uri())
        count = script(site, "return document.getElementById('count').textContent")
        assert count == f"160 of {160 * (ROWS[TASK] + 2):,} episodes"
        shown = set(
            script(
                site,
                "return [...document.querySelectorAll('#list tbody tr')]"
                ".map(row => row.cells[0].textContent)",
            )
        )
        assert len(shown) == 1
        assert name[:8] in shown.pop()
        site.find_element("link text", "All boards").click()
        assert site.current_url == (site.site / "index.html").as_uri()
        site.find_element("css selector", "article h2 a").click()
        assert site.current_url == (site.site / "boards" / "crowd.html").as_uri()


def test_a_hostile_response_is_text_in_the_browser_of_a_row(site):
    row = names(site).index(plain(HOSTILE))
    address = script(
        site,
        "return document.querySelectorAll('tbody tr')[arguments[0]].querySelector('a').href",
        row,
    )
    site.get(address + "&split=ood&result=never&episode=" + address.partition("#run=")[2] + "-1")
    wait_for(site, "document.querySelector('#episode .verdict') !== null")
    site.find_element("css selector", "#list tbody tr").click()
    wait_for(
        site,
        "document.querySelector('#episode .message.assistant pre')?.textContent === arguments[0]",
        HOSTILE_RESPONSE,
    )
    assert script(site, "return document.title") == f"{TASK}: published runs"
    assert script(site, "return document.querySelectorAll('#episode img').length") == 0


def test_hostile_names_titles_and_descriptions_stay_text(site, crowded):
    for page in ("boards/crowd.html", "index.html"):
        site.get((site.site / page).as_uri())
        text = script(site, "return document.body.textContent")
        assert "Many <b>models</b> & two tasks" in text
        assert "<img src=x onerror=document.title='owned'> stays text." in text
        assert script(site, "return document.querySelectorAll('b b, h1 b, h2 b').length") == 0
        assert script(site, "return document.querySelectorAll('img[src=x]').length") == 0
        assert script(site, "return document.title") in (
            "Many <b>models</b> & two tasks",
            "genbench leaderboards",
        )
    site.get((crowded / "leaderboards" / "crowd.html").as_uri())
    assert set(names(site)) >= {plain(name) for name in CROWD}
    assert script(site, "return document.querySelectorAll('script').length") == 1


def test_a_badge_is_a_picture_that_loads(site):
    site.get((site.site / "index.html").as_uri())
    assert all(script(site, "return [...document.images].map(image => image.naturalWidth)"))
    site.get((site.site / "boards" / "crowd.svg").as_uri())
    assert "3 share rank 1" in script(site, "return document.documentElement.textContent")


def test_ties_are_explained_on_the_screen_and_on_paper(site):
    row = names(site).index("org/good-8b-rl")
    details = site.find_elements("css selector", "tbody tr")[row].find_element(
        "tag name", "details"
    )
    assert not script(site, "return arguments[0].open", details)
    details.find_element("tag name", "summary").click()
    said = [one.text for one in details.find_elements("tag name", "li")]
    assert "org/good-8b-sft" in said
    script(site, "window.dispatchEvent(new Event('beforeprint'))")
    assert script(site, "return document.querySelectorAll('details:not([open])').length") == 0
    script(site, "window.dispatchEvent(new Event('afterprint'))")
    assert script(site, "return document.querySelectorAll('details[open]').length") == 1


def test_light_dark_narrow_and_paper_all_fit(site):
    paper = {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 29)"}
    try:
        for page in ("boards/crowd.html", "index.html"):
            site.get((site.site / page).as_uri())
            for scheme, colour in paper.items():
                chromium.emulate(site, prefers_color_scheme=scheme)
                found = script(site, "return getComputedStyle(document.body).backgroundColor")
                assert found == colour
            chromium.emulate(site, media="print", prefers_color_scheme="dark")
            ink = script(site, "return getComputedStyle(document.body).color")
            assert ink == "rgb(0, 0, 0)"
            chromium.emulate(site, prefers_color_scheme="light")
            site.execute_cdp_cmd(
                "Emulation.setDeviceMetricsOverride",
                {"width": 380, "height": 800, "deviceScaleFactor": 1, "mobile": False},
            )
            assert script(site, "return document.documentElement.scrollWidth") <= 380
            site.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    finally:
        site.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        chromium.emulate(site, prefers_color_scheme="light")


@pytest.mark.parametrize(("width", "cut_off"), [(1300, False), (700, True)])
def test_1300_pixels_show_every_column_of_the_committed_board(site, width, cut_off):
    site.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False},
    )
    try:
        site.get((BOARDS / "gp-ood-rule.html").as_uri())
        wide = "document.querySelector('.scroll').scrollWidth"
        shown = "document.querySelector('.scroll').clientWidth"
        wait_for(site, f"({wide} > {shown}) === {str(cut_off).lower()}")
        wait_for(site, f"document.querySelector('.hint').hidden === {str(not cut_off).lower()}")
    finally:
        site.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_long_names_leave_the_filters_and_the_list_of_episodes_in_shape(site):
    site.get((site.site / "tasks" / TASK / "index.html").as_uri())
    widths = script(
        site, "return [...document.querySelectorAll('#filters label')].map(one => one.offsetWidth)"
    )
    assert max(widths) <= 320
    options = script(
        site, "return [...document.getElementById('filter-run').options].map(one => one.text)"
    )
    script(
        site,
        "const select = document.getElementById('filter-run'); select.selectedIndex = arguments[0];"
        "select.dispatchEvent(new Event('change', {bubbles: true}))",
        options.index("x" * 200),
    )
    cell = "document.querySelector('#list tbody td')"
    text, title = script(site, f"return [{cell}.textContent, {cell}.title]")
    assert title == "x" * 200
    assert (len(text), "…" in text) == (44, True)
    assert script(site, f"return {cell}.getElementsByTagName('small').length") == 0


def test_no_error_is_logged_and_nothing_is_asked_of_a_network(site):
    site.find_element("link text", "episodes").click()
    wait_for(site, "document.querySelector('#list tbody tr') !== null")
    site.find_element("css selector", "#list tbody tr").click()
    wait_for(site, "document.querySelector('#episode .verdict') !== null")
    site.get((site.site / "index.html").as_uri())
    assert [one for one in site.get_log("browser") if one["level"] == "SEVERE"] == []
    asked = []
    for entry in site.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            asked.append(message["params"]["request"]["url"])
    assert asked
    assert {url.split(":")[0] for url in asked} <= {"file", "data", "about"}
