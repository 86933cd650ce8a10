"""How long `genbench report` takes and how much memory, over many episodes.

    python benchmarks/report.py [--episodes 100000] [--runs 12] [--training-runs N] [--output DIR]

Makes run folders of the reference agents through the runner, the store and the analysis (several
samples an instance), then times the command in a process of its own. With --training-runs the run
folders get invented training records, N training runs of two methods, so that the statistics along
training compute are timed as well. With a Chromium and selenium
on the machine, also how long the page takes to load and an episode to open.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import genbench
from genbench.task import AGENT_KINDS

TASK = "gp-ood-rule"


def make_runs(folder: Path, runs: int, episodes: int) -> int:
    """Write the run folders; returns the number of episodes in them."""
    task = genbench.load_task(TASK)
    instances = sum(len(split.instances()) for split in task.splits.values())
    samples = max(2, math.ceil(episodes / runs / instances))
    for number in range(runs):
        genbench.run(
            f"agent:{AGENT_KINDS[number % len(AGENT_KINDS)]}",
            task,
            output=folder,
            samples=samples,
            temperature=1.0,
            verify_iters=2,
            seed=number,
        )
    return runs * samples * instances


def invent_training(folder: Path, training_runs: int) -> None:
    """Give the run folders the records of checkpoints of so many training runs."""
    folders = sorted(path.parent for path in folder.rglob("results.json"))
    for number, run in enumerate(folders):
        step, series = divmod(number, training_runs)
        seed, method = divmod(series, 2)
        record = {
            "recipe": f"invented-{method}",
            "method": ("sft", "rl")[method],
            "seed": seed,
            "step": step,
            "parent": None,
            "flops": 1e13 * 2**step,
        }
        for name in ("run.json", "results.json"):
            content = json.loads((run / name).read_text())
            content["model"]["training"] = record
            (run / name).write_text(json.dumps(content))


def size(folder: Path) -> float:
    """The files of a folder, in MB."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def time_page(page: Path) -> None:
    """Print how long a browser takes for the page and for one episode, where there is one."""
    import shutil

    try:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service
        from selenium.webdriver.common.by import By
        from selenium.webdriver.support.ui import WebDriverWait
    except ImportError:
        print("page: not loaded, selenium is not installed")
        return
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not binary or not driver:
        print("page: not loaded, no chromium and chromedriver here")
        return
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    with tempfile.TemporaryDirectory() as profile:
        for argument in ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"):
            options.add_argument(argument)
        options.add_argument(f"--user-data-dir={profile}")
        browser = webdriver.Chrome(options=options, service=Service(driver))
        try:
            browser.get("about:blank")
            begun = time.perf_counter()
            browser.get(page.resolve().as_uri())
            loaded = time.perf_counter() - begun
            begun = time.perf_counter()
            browser.find_element(By.CSS_SELECTOR, "#list tbody tr:nth-child(3)").click()
            WebDriverWait(browser, 20, 0.02).until(
                lambda _: browser.find_elements(By.CSS_SELECTOR, "#episode .verdict")
            )
            opened = time.perf_counter() - begun
            filtered = browser.execute_script(
                "const select = document.getElementById('filter-split'), t = performance.now();"
                "select.value = '1'; select.dispatchEvent(new Event('input', {bubbles: true}));"
                "return performance.now() - t"
            )
            nodes = browser.execute_script("return document.getElementsByTagName('*').length")
        finally:
            browser.quit()
    print(
        f"page: loaded in {loaded:.2f} s, an episode opened in {opened:.2f} s, filtered in "
        f"{filtered:.0f} ms, {nodes} elements"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--episodes", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=12)
    parser.add_argument("--training-runs", type=int, default=0)
    parser.add_argument("--output", type=Path, default=None, help="keep runs and report here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        place = arguments.output or Path(scratch)
        begun = time.perf_counter()
        episodes = make_runs(place / "runs", arguments.runs, arguments.episodes)
        if arguments.training_runs:
            invent_training(place / "runs", arguments.training_runs)
        print(
            f"{arguments.runs} runs, {episodes:,} episodes, {size(place / 'runs'):.0f} MB, made in "
            f"{time.perf_counter() - begun:.0f} s"
        )
        script = "from genbench.cli.entry import main; main()"
        command = ["report", str(place / "runs"), "--output", str(place / "report")]
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", script, *command], check=True)
        seconds = time.perf_counter() - begun
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        page = place / "report" / "index.html"
        print(
            f"report: {seconds:.1f} s ({used.ru_utime + used.ru_stime:.1f} s of CPU), peak memory "
            f"{used.ru_maxrss / 1024:.0f} MB, page {page.stat().st_size / 1e6:.1f} MB, in all "
            f"{size(place / 'report'):.0f} MB"
        )
        time_page(page)


if __name__ == "__main__":
    main()
