"""An episode's picture in a real browser: it loads, with a word where it is shown smaller."""

import time

import pytest
import report_runs

from genbench.report import build_report

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(
    ("pixels", "limit", "shown"),
    [(128, 10**9, 128), (128, 1000, 128), (1200, 10**9, 384)],
    ids=["small", "small, pieces beside the page", "large"],
)
def test_an_episode_shows_the_picture_that_was_asked_about(driver, tmp_path, pixels, limit, shown):
    report_runs.agent_run(
        tmp_path / "runs", "oracle", "gp-vl-ood-visual", limit=2, task_settings={"pixels": pixels}
    )
    report = build_report([tmp_path / "runs"], tmp_path / "report", inline_bytes=limit)
    driver.get_log("browser")
    driver.get(report.page.as_uri())
    driver.execute_script("document.querySelector('#list tbody tr').click()")
    end = time.monotonic() + 10
    sizes: list[int] = []
    while time.monotonic() < end and not any(sizes):
        sizes = driver.execute_script(
            "return [...document.querySelectorAll('.message img')].map(one => one.naturalWidth)"
        )
        time.sleep(0.02)
    assert sizes == [shown]
    text = driver.execute_script("return document.querySelector('.message').textContent")
    assert "You play a card game" in text
    assert ("the model was shown 1200 × 1200 pixels" in text) == (pixels == 1200)
    assert [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"] == []
