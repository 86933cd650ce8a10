"""The site: every link leads somewhere, each row to its own run's episodes, and it is written
whole or not at all."""

import json
import re
import shutil
from html import unescape
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest
from small_board import OTHER_TASK, ROWS, TASK

from genbench.evaluation import read_results
from genbench.verification import verify_run


class Links(HTMLParser):
    """The addresses that a page asks for or leads to."""

    def __init__(self, path):
        super().__init__()
        self.found = []
        self.feed(path.read_text())

    def handle_starttag(self, tag, attributes):
        self.found += [value for name, value in attributes if name in ("href", "src", "srcset")]


def pages(site):
    return sorted(site.rglob("*.html"))


def content(folder):
    return {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def rows(repository, task=TASK):
    text = (repository / "site" / "boards" / "crowd.html").read_text()
    (section,) = [part for part in text.split("<section>")[1:] if f"<h2>{task} " in part]
    return re.findall(r'<td class="name".*?href="([^"]+)"', section, re.S)


def test_every_link_of_every_page_leads_to_a_file_of_the_site(crowded):
    site = (crowded / "site").resolve()
    found = pages(site)
    assert len(found) == 4
    for page in found:
        for link in Links(page).found:
            if link.startswith(("data:", "#")):
                continue
            assert not re.match(r"[a-z]+:|/", link), link
            target = (page.parent / unquote(link.partition("#")[0])).resolve()
            assert target.is_file(), f"{page}: {link}"
            assert site in target.parents


def test_each_row_leads_to_its_own_run_in_the_browser_of_its_task(crowded):
    for task in (TASK, OTHER_TASK):
        ranking = json.loads((crowded / "leaderboards" / "crowd.json").read_text())["tasks"][task]
        links = rows(crowded, task)
        assert len(links) == ROWS[task] + 2
        page = (crowded / "site" / "tasks" / task / "index.html").read_text()
        data = json.loads(re.search(r'id="report-data">(.*?)</script>', page, re.S)[1])
        keys = [run["key"] for run in data["runs"]]
        assert len(set(keys)) == len(links)
        for row, link in zip(ranking["rows"], links, strict=True):
            address, _, key = link.partition("#run=")
            assert address == f"../tasks/{task}/index.html"
            at = keys.index(key)
            results = read_results(crowded / "results" / row["run"])
            episodes = [one for one in data["index"]["run"] if one == at]
            assert len(episodes) == sum(split.n for split in results.splits.values())
            solved = sum(
                solved
                for run, solved in zip(data["index"]["run"], data["index"]["solved"], strict=True)
                if run == at
            )
            lines = (crowded / "results" / row["run"] / "episodes.jsonl").read_text().splitlines()
            assert solved == sum(json.loads(line)["solved"] for line in lines)


def test_the_committed_page_leads_to_the_run_folders(crowded):
    text = (crowded / "leaderboards" / "crowd.html").read_text()
    assert "../tasks/" not in text
    links = re.findall(r'href="(\.\./results/[^"]+/)"', text)
    assert len(links) == sum(ROWS.values()) + 4
    assert all((crowded / "leaderboards" / link / "run.json").is_file() for link in links)


def test_nothing_is_asked_of_a_network(crowded):
    for page in pages(crowded / "site"):
        policy = unescape(
            re.search(r'Content-Security-Policy" content="([^"]+)"', page.read_text())[1]
        )
        assert "default-src 'none'" in policy
        assert not re.search(r"https?:|\*", policy)


def test_what_a_visitor_fetches_verifies(crowded):
    for folder in list((crowded / "site" / "runs").glob("*/*/*"))[:2]:
        assert verify_run(folder).passed


def test_the_badge_names_the_leader_and_how_many_share_its_rank(crowded):
    text = (crowded / "site" / "boards" / "crowd.svg").read_text()
    assert "org/good-8b-rl 100.0%, 3 share rank 1" in text
    assert "data:image/svg+xml;base64," in (crowded / "site" / "index.html").read_text()


@pytest.mark.parametrize("suffix", ["html", "md", "json"])
def test_who_is_not_told_apart_from_whom_is_said(crowded, suffix):
    text = (crowded / "leaderboards" / f"crowd.{suffix}").read_text()
    ranking = json.loads((crowded / "leaderboards" / "crowd.json").read_text())["tasks"][TASK]
    ties = [row for row in ranking["rows"] if row["tied"]]
    assert len(ties) >= 4
    if suffix == "json":
        for row in ties:
            assert row["not_separated_from"]
    elif suffix == "html":
        assert text.count("<details><summary>no test tells it from ") >= len(ties)
    else:
        assert text.count("= | ") >= len(ties)


def test_rows_of_two_versions_stand_on_one_board_which_says_so(crowded):
    for suffix in ("md", "html"):
        text = (crowded / "leaderboards" / f"crowd.{suffix}").read_text()
        assert "first scored by genbench 0.0.9 and 0.1" in text


def test_a_crowded_board_follows_from_its_runs(crowded, command):
    places = ["--results", crowded / "results", "--boards", crowded / "leaderboards"]
    done = command("leaderboard", "check", *places)
    assert done.returncode == 0, done.stdout
    assert "17 published runs reproduce; 6 files follow" in done.stdout


# -- written whole or not at all ------------------------------------------------------------------


def test_a_new_site_takes_the_place_of_the_old_one_and_of_nothing_else(repository, places, command):
    site = repository / "site"
    done = command("leaderboard", "build", *places, "--site", site)
    assert done.returncode == 0, done.stderr
    assert f"{site / 'index.html'} (" in done.stdout
    assert list((site / "runs").glob("*middle*"))
    (site / "CNAME").write_text("boards.example\n")
    shutil.rmtree(next((repository / "results").glob("*middle*")))
    assert command("leaderboard", "build", *places, "--site", site).returncode == 0
    after = content(site)
    assert not any("middle" in str(path) for path in after)
    assert not list((site / "runs").glob("*middle*"))
    assert (site / "CNAME").read_text() == "boards.example\n"
    assert not list(repository.glob(".site*"))


def test_where_a_run_is_damaged_an_earlier_site_and_the_tables_stay(repository, places, command):
    site = repository / "site"
    assert command("leaderboard", "build", *places, "--site", site).returncode == 0
    before = content(repository / "leaderboards"), content(site)
    path = next((repository / "results").glob("*middle*/*/*")) / "episodes.jsonl"
    path.write_text(path.read_text() + "\n")
    done = command("leaderboard", "build", *places, "--site", site)
    assert done.returncode == 2
    assert str(path) in done.stderr
    assert (content(repository / "leaderboards"), content(site)) == before
    assert not list(repository.glob(".site*"))


def test_a_site_writes_over_nothing_that_is_not_its_own(repository, places, command):
    site = repository / "site"
    site.mkdir()
    (site / "thesis.tex").write_text("years of work")
    before = content(repository)
    done = command("leaderboard", "build", *places, "--site", site)
    assert done.returncode == 2
    assert "--site" in done.stderr
    assert "holds other files" in done.stderr
    assert content(repository) == before


@pytest.mark.parametrize("place", ["results", "results/site", "leaderboards", "."])
def test_a_site_lies_apart_from_the_runs_and_the_boards(repository, places, command, place):
    before = content(repository)
    done = command("leaderboard", "build", *places, "--site", repository / place)
    assert done.returncode == 2
    assert "choose another folder" in done.stderr
    assert content(repository) == before


def test_a_board_without_runs_has_a_page_and_no_report(tmp_path, command):
    from small_board import write_board

    write_board(tmp_path / "leaderboards")
    places = ["--results", tmp_path / "results", "--boards", tmp_path / "leaderboards"]
    done = command("leaderboard", "build", *places, "--site", tmp_path / "site")
    assert done.returncode == 0, done.stderr
    assert "no ranked run yet" in (tmp_path / "site" / "index.html").read_text()
    assert not (tmp_path / "site" / "tasks").exists()


# -- the documentation ----------------------------------------------------------------------------


def test_the_commands_and_the_workflow_of_the_documentation_exist(command):
    from pathlib import Path

    import yaml

    text = (Path(__file__).parents[3] / "docs" / "leaderboards.md").read_text()
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.S)]
    (workflow,) = [block for block in blocks if isinstance(block, dict)]
    steps = [step.get("run", "") for step in workflow["jobs"]["site"]["steps"]]
    used = re.findall(r"^genbench leaderboard .*", "\n".join([text, *steps]), re.M)
    assert len(used) >= 7
    for line in used:
        words = line.partition("#")[0].split()
        helped = command("leaderboard", words[2], "--help")
        assert helped.returncode == 0, line
        for option in re.findall(r"--[a-z-]+", line.partition("#")[0]):
            assert option in helped.stdout, line
