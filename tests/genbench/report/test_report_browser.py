"""The page in a real browser: sort, filter, page, open; hostile text stays text; no network."""

import json
import time

import chromium
import pytest
import report_runs

from genbench.report import build_report

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module", params=["one file", "pieces beside it"])
def page(request, hostile, driver, tmp_path_factory):
    """The open page, from the disk."""
    limit = {"one file": 10**9, "pieces beside it": 1000}[request.param]
    report = build_report([hostile], tmp_path_factory.mktemp("report") / "r", inline_bytes=limit)
    driver.get_log("browser"), driver.get_log("performance")
    driver.get("about:blank")
    driver.get(report.page.as_uri())
    driver.report_address = report.page.as_uri()
    driver.execute_script(
        "const title = [...document.querySelectorAll('h2')]"
        ".find(one => one.textContent === 'gp-ood-rule 1.0');"
        "title.parentElement.querySelector('table').id = 'main-table'"
    )
    return driver


def script(page, text, *arguments):
    return page.execute_script(text, *arguments)


def wait_for(page, text, *arguments):
    """The value of an expression as soon as it is true."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        found = script(page, f"return {text}", *arguments)
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"never came true: {text}")


def column(page, number):
    return script(
        page,
        "return [...document.querySelector('#main-table').tBodies[0].rows]"
        ".map(row => row.cells[arguments[0]].dataset.order ?? null)",
        number,
    )


def choose(page, name, text, event="input"):
    script(
        page,
        "const select = document.getElementById(arguments[0]);"
        "const found = [...select.options].find(option => option.text === arguments[1]);"
        "select.value = arguments[1] === '' ? '' : found.value;"
        "select.dispatchEvent(new Event(arguments[2], {bubbles: true}))",
        name,
        text,
        event,
    )


def listed(page, number):
    return script(
        page,
        "return [...document.querySelectorAll('#list tbody tr')]"
        ".map(row => row.cells[arguments[0]].textContent)",
        number,
    )


@pytest.fixture(autouse=True)
def _nothing_chosen(page):
    for name in ("filter-run", "filter-split", "filter-outcome", "filter-solved"):
        choose(page, name, "")
    script(page, "document.getElementById('filter-text').value = ''")


def test_a_click_on_a_head_sorts_by_number_and_a_second_one_turns_it_round(page):
    heads = script(
        page,
        "return [...document.querySelector('#main-table').tHead.rows[0].cells]"
        ".map(head => head.textContent)",
    )
    at = heads.index("gap")
    for direction in ("ascending", "descending"):
        script(
            page,
            "document.querySelector('#main-table').tHead.rows[0].cells[arguments[0]]"
            ".firstElementChild.click()",
            at,
        )
        values = [float(value) for value in column(page, at)]
        assert len(set(values)) > 1
        assert values == sorted(values, reverse=direction == "descending")
        assert direction == script(
            page,
            "return document.querySelector('#main-table').tHead.rows[0].cells[arguments[0]]"
            ".getAttribute('aria-sort')",
            at,
        )


def test_filters_narrow_the_list_and_the_next_page_follows_on(page):
    choose(page, "filter-split", "ood")
    choose(page, "filter-run", "agent:memoriser · gp-ood-rule 1.0")
    assert set(listed(page, 1)) == {"ood"}
    count = script(page, "return document.getElementById('count').textContent")
    assert count.startswith("24 of ")
    choose(page, "filter-run", "")
    first = listed(page, 2)
    assert len(first) == 25
    script(page, "document.getElementById('next').click()")
    second = listed(page, 2)
    assert script(page, "return document.getElementById('page').textContent").startswith("page 2")
    assert [*zip(first, listed(page, 0), strict=False)] != [
        *zip(second, listed(page, 0), strict=False)
    ]
    script(page, "document.getElementById('previous').click()")
    assert listed(page, 2) == first
    choose(page, "filter-outcome", "correct")
    assert set(listed(page, 3)) == {"correct"}
    choose(page, "filter-solved", "not solved")
    assert listed(page, 3) == []


def test_a_choice_that_is_told_of_as_a_change_filters_and_is_in_the_address_at_once(page):
    choose(page, "filter-split", "ood", "change")
    assert set(listed(page, 1)) == {"ood"}
    assert "split=ood" in script(page, "return location.hash")


def test_the_section_of_a_checkpoint_stands_on_one_line(page):
    heights = script(
        page,
        "return [...document.querySelectorAll('#list td:first-child small')]"
        ".map(one => one.clientHeight / parseFloat(getComputedStyle(one).fontSize))",
    )
    assert len(heights) == 25
    assert max(heights) < 2


def test_the_text_of_an_instance_filters_too(page):
    script(
        page,
        "const field = document.getElementById('filter-text'); field.value = '3-8-10-j';"
        "field.dispatchEvent(new Event('input', {bubbles: true}))",
    )
    assert {name.split("/")[1] for name in listed(page, 2)} == {"3-8-10-J"}


def open_hostile(page):
    choose(page, "filter-run", f"{report_runs.HOSTILE_NAME} · gp-ood-rule 1.0")
    choose(page, "filter-split", "id")
    script(page, "document.querySelector('#list tbody tr').click()")
    wait_for(page, "document.querySelector('#episode .verdict') !== null")


def test_an_episode_opens_with_its_whole_conversation(page):
    choose(page, "filter-run", "agent:random · gp-ood-rule 1.0")
    choose(page, "filter-split", "ood")
    choose(page, "filter-solved", "not solved")
    script(page, "document.querySelector('#list tbody tr').click()")
    name = listed(page, 2)[0]
    wait_for(page, "document.querySelector('#episode h4')?.textContent === arguments[0]", name)
    roles = script(
        page,
        "return [...document.querySelectorAll('#episode .message > b')].map(b => b.textContent)",
    )
    assert roles == [
        "user", "assistant, attempt 1", "user", "assistant, attempt 2", "user",
        "assistant, attempt 3",
    ]  # fmt: skip
    text = script(page, "return document.getElementById('episode').textContent")
    assert "Target: 24" in text
    assert "You failed this trial because" in text
    address = script(page, "return location.hash")
    assert address.startswith("#run=")
    assert "&split=ood&result=never&episode=" in address


def test_the_address_of_what_is_chosen_brings_it_back(page):
    choose(page, "filter-run", "agent:random · gp-ood-rule 1.0")
    choose(page, "filter-split", "ood")
    script(page, "document.querySelectorAll('#list tbody tr')[7].click()")
    name = listed(page, 2)[7]
    wait_for(page, "document.querySelector('#episode h4')?.textContent === arguments[0]", name)
    address = script(page, "return location.hash")
    before = [listed(page, number) for number in range(6)]
    page.get("about:blank")
    page.get(page.report_address + address)
    wait_for(page, "document.querySelector('#episode h4')?.textContent === arguments[0]", name)
    assert [listed(page, number) for number in range(6)] == before
    assert script(page, "return location.hash") == address


def test_a_run_keeps_its_address_in_a_report_of_other_runs(page, sources, tmp_path):
    """What makes a link from a board lasting: a key of the run, not its place on the page."""
    alone = build_report([sources[0]["random"]], tmp_path / "r")
    choose(page, "filter-run", "agent:random · gp-ood-rule 1.0")
    address = script(page, "return location.hash")
    back = page.current_url.partition("#")[0]
    page.get(alone.page.as_uri() + address)
    try:
        assert script(page, "return document.getElementById('filter-run').selectedIndex") == 1
        assert script(page, "return document.getElementById('missing').hidden")
    finally:
        page.get(back)


@pytest.mark.parametrize(
    "address",
    [
        "#run=<img src=x onerror=document.title='owned'>",
        "#run=0123456789abcdef&split=__proto__&outcome=constructor&result=toString",
        "#episode=0123456789abcdef-1",
        "#episode=" + "9" * 5000,
        "#run=%3Cscript%3Edocument.title='owned'%3C/script%3E&run=%",
        "#split=ood%00&split=ood",
    ],
)
def test_an_address_that_names_nothing_here_says_so_and_stays_data(page, address):
    script(page, "location.hash = arguments[0]", address)
    wait_for(page, "!document.getElementById('missing').hidden")
    text = script(page, "return document.getElementById('missing').textContent")
    assert text.startswith("The address asks for what this report does not have (")
    assert script(page, "return document.title") == "genbench report"
    assert script(page, "return document.querySelectorAll('#episodes img[src=x]').length") == 0


def test_a_text_of_the_address_is_searched_for_as_text(page):
    script(page, "location.hash = '#instance=' + encodeURIComponent('<b>\"x')")
    wait_for(page, "document.getElementById('filter-text').value === '<b>\"x'")
    assert listed(page, 0) == []


def test_hostile_names_and_responses_stay_text(page):
    open_hostile(page)
    wait_for(page, "document.querySelector('#episode .muted').textContent.startsWith('<img src=x')")
    # As JSON: the driver itself cannot carry a lone surrogate.
    shown = script(
        page,
        "return JSON.stringify("
        "document.querySelector('#episode .message.assistant pre').textContent)",
    )
    assert json.loads(shown) == report_runs.HOSTILE_RESPONSE
    assert set(listed(page, 0)) == {f"{report_runs.HOSTILE_NAME}gp-ood-rule 1.0"}
    title = script(page, "return document.querySelector('#list tbody td').title")
    assert title == f"{report_runs.HOSTILE_NAME} · gp-ood-rule 1.0"
    assert script(page, "return document.title") == "genbench report"
    assert script(page, "return document.querySelectorAll('#episode img, #list img').length") == 0
    assert script(page, "return document.querySelectorAll('body script:not([type])').length") == 1


def test_a_script_put_into_the_page_does_not_run(page):
    """The policy is the second line of defence: it holds where the first would not."""
    script(
        page,
        "const bad = document.createElement('div');"
        "bad.innerHTML = '<img src=x onerror=\"document.title=1\">'; document.body.append(bad)",
    )
    time.sleep(0.2)
    assert script(page, "return document.title") == "genbench report"
    script(page, "document.body.lastElementChild.remove()")
    page.get_log("browser")  # the refusal is logged, as it should be


def cut_off(page, width):
    """Whether the tables are wider than they are shown, and whether a line above each says so."""
    try:
        page.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False},
        )
        time.sleep(0.3)  # an observer tells of the new size
        return script(
            page,
            "return [...document.querySelectorAll('.hint')].map(hint => ["
            "hint.nextElementSibling.scrollWidth > hint.nextElementSibling.clientWidth,"
            " !hint.hidden])",
        )
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_1300_pixels_show_every_column_and_a_narrow_page_says_that_there_are_more(page):
    assert {tuple(found) for found in cut_off(page, 1300)} == {(False, False)}
    assert {tuple(found) for found in cut_off(page, 700)} == {(True, True)}


def test_dark_light_and_narrow_all_fit(page):
    try:
        for scheme, paper in (("light", "rgb(255, 255, 255)"), ("dark", "rgb(23, 25, 28)")):
            chromium.emulate(page, prefers_color_scheme=scheme)
            assert script(page, "return getComputedStyle(document.body).backgroundColor") == paper
            source = script(page, "return document.querySelector('figure img').currentSrc")
            assert source.startswith("data:image/svg+xml")
        page.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": 380, "height": 800, "deviceScaleFactor": 1, "mobile": False},
        )
        wide = script(page, "return document.documentElement.scrollWidth")
        assert wide <= 380
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        chromium.emulate(page, prefers_color_scheme="light")


def test_no_error_is_logged_and_nothing_is_asked_of_a_network(page):
    page.refresh()
    open_hostile(page)
    script(page, "document.getElementById('next').click()")
    time.sleep(0.3)
    assert [entry for entry in page.get_log("browser") if entry["level"] == "SEVERE"] == []
    asked = []
    for entry in page.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            asked.append(message["params"]["request"]["url"])
    assert asked
    assert {url.split(":")[0] for url in asked} <= {"file", "data", "about"}


def test_every_figure_is_a_picture_that_loads(page):
    sizes = script(page, "return [...document.images].map(image => image.naturalWidth)")
    assert len(sizes) >= 18
    assert all(sizes)
