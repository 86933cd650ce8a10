"""The built tables, and that `check` finds whatever does not follow from the published runs."""

import csv
import io
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from small_board import HOSTILE, agent, forge, write_board

import genbench
from genbench.leaderboard.formats import cell, markdown, plain

ROOT = Path(__file__).parents[3]
SUFFIXES = ("md", "csv", "json", "html", "svg")


def read(repository, suffix):
    return (repository / "leaderboards" / f"small.{suffix}").read_text()


def table(repository):
    return json.loads(read(repository, "json"))["tasks"]["gp-ood-rule"]


def folder_of(repository, name):
    (found,) = (repository / "results").glob(f"*{name}*/*/*")
    return found


# -- what is on a board ---------------------------------------------------------------------------


def test_rows_are_ranked_ties_are_marked_and_references_are_apart(repository):
    rows = table(repository)["rows"]
    assert (rows[0]["rank"], rows[0]["model"], rows[0]["tied"]) == (1, "org/good", False)
    assert {row["model"] for row in rows[1:3]} == {"org/equal", "org/middle"}
    for row, other in (rows[1:3], rows[2:0:-1]):
        assert (row["rank"], row["tied"]) == (2, True)
        assert other["model"] in row["not_separated_from"]
    assert (rows[4]["rank"], rows[4]["reference"], rows[4]["model"]) == (None, True, "agent:oracle")
    assert "| 2= |" in read(repository, "md")
    assert "no test tells it from" in read(repository, "html")


def test_a_rank_is_one_plus_the_rows_that_a_test_puts_before(repository):
    found = table(repository)
    assert len(found["comparisons"]) == 6
    for row in found["rows"][:4]:
        before = 0
        for pair in found["comparisons"]:
            if pair["significant"]:
                assert pair["p_value_holm"] <= 0.05
                first_wins = pair["difference"] > 0
                before += row["model"] == pair["second" if first_wins else "first"]
        assert row["rank"] == 1 + before


def test_every_rate_has_its_interval_n_and_method(repository):
    for row in table(repository)["rows"]:
        assert {"value", "ci95", "n", "clusters", "method"} <= set(row["columns"]["OOD"])
        assert row["ranked_by"] == row["columns"]["OOD"]
        assert "p_value" in row["columns"]["gap"]
    text = read(repository, "md")
    assert "Holm over 6 pairs" in text
    assert "95% intervals" in text
    assert "cluster-robust wilson" in text


def test_tier_and_contamination_stand_in_every_format(repository):
    for suffix in ("md", "csv", "json", "html"):
        assert "rescored" in read(repository, suffix)
        assert "unknown" in read(repository, suffix)


def test_links_lead_to_the_episodes(repository):
    links = re.findall(r'href="([^"]+episodes\.jsonl)"', read(repository, "html"))
    assert len(links) == 5
    for link in links:
        assert (repository / "leaderboards" / link).is_file()
    for link in re.findall(r"\]\((\.\./[^)]+)\)", read(repository, "md")):
        assert (repository / "leaderboards" / link).is_dir()


def test_building_twice_gives_the_same_bytes_wherever_the_folders_are(repository, command, places):
    before = {suffix: read(repository, suffix) for suffix in SUFFIXES}
    assert command("leaderboard", "build", *places).returncode == 0
    assert {suffix: read(repository, suffix) for suffix in SUFFIXES} == before


def test_a_board_without_runs_says_so(tmp_path, command):
    write_board(tmp_path / "leaderboards")
    places = ["--results", tmp_path / "results", "--boards", tmp_path / "leaderboards"]
    assert command("leaderboard", "build", *places).returncode == 0
    assert "No published run is on this board yet." in read(tmp_path, "md")
    assert command("leaderboard", "check", *places).returncode == 0


# -- hostile names stay text ----------------------------------------------------------------------


class Page(HTMLParser):
    """Elements, and the text of the table."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes = attrs
        assert not any(name.startswith("on") for name, _ in attrs)

    def handle_data(self, data):
        self.texts.append(data)


def test_a_hostile_name_is_text_on_the_page(repository):
    page = Page(read(repository, "html"))
    assert page.tags.count("script") == 1
    assert page.tags.count("img") == 0
    assert plain(HOSTILE) in page.texts
    assert "https://evil" not in re.findall(r'href="([^"]*)"', read(repository, "html"))


def test_no_other_script_than_its_own_may_run(repository):
    import base64
    import hashlib

    text = read(repository, "html")
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.S)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text
    assert "default-src 'none'" in text
    assert not re.findall(r"""(?:src|href)=["']?(?:https?:)?//""", text)


def test_a_hostile_name_is_one_cell_in_markdown(repository):
    lines = read(repository, "md").splitlines()
    (row,) = (line for line in lines if "alert" in line)
    (titles,) = (line for line in lines if line.startswith("| rank"))
    unescaped = r"(?<!\\)\|"
    assert len(re.findall(unescaped, row)) == len(re.findall(unescaped, titles))
    assert "<script>" not in row
    assert "\\]" in row
    assert not re.search(r"(?<!\\)\]\(https", row)
    assert not re.search(r"(?<!\\)`", row)


def test_a_hostile_name_is_one_field_in_csv(repository):
    rows = list(csv.DictReader(io.StringIO(read(repository, "csv"))))
    assert len(rows) == 5
    assert plain(HOSTILE) in [row["model"] for row in rows]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@a", "\t=1+1"])
def test_a_spreadsheet_sees_no_formula(text):
    assert cell(text).startswith("'")


@pytest.mark.parametrize(
    "text",
    [
        "*a*", "_a_", "`a`", "[a](b)", "![a](b)", "<b>", "a|b", "~~a~~", "&lt;", "https://a.example",
        "www.a.example", "@user", "# a", "- a", "+ a", "1. a", "> a", "a\nb", "a\\", "\\*a*",
    ],
)  # fmt: skip
def test_markdown_shows_a_text_as_it_stands(text):
    from html import unescape

    from markdown_it import MarkdownIt

    page = MarkdownIt("gfm-like", {"linkify": False}).render(markdown(text))
    assert unescape(re.sub(r"^<p>|</p>\n?$", "", page)) == " ".join(text.split())


def test_characters_that_steer_a_terminal_or_turn_the_line_are_visible():
    assert plain("a\x1b[31m\u202eb\u2028c\ud800") == "a\ufffd[31m\ufffdb c\ufffd"
    assert len(plain("x" * 1000)) == 120


# -- check ----------------------------------------------------------------------------------------


def test_a_sound_repository_passes(places, command):
    done = command("leaderboard", "check", *places)
    assert done.returncode == 0, done.stdout
    assert "5 published runs reproduce; 6 files follow" in done.stdout


def append(path):
    path.write_bytes(path.read_bytes() + b" ")


@pytest.mark.parametrize(
    "name", ["run.json", "episodes.jsonl", "results.json", "verification.json"]
)
def test_an_edited_result_is_refused_by_name(repository, places, command, name):
    path = folder_of(repository, "middle") / name
    if name == "verification.json":
        path.write_text(path.read_text().replace('"rescored"', '"regenerated"'))
    else:
        append(path)
    for action in ("check", "build"):
        done = command("leaderboard", action, *places)
        assert done.returncode == (1 if action == "check" else 2)
        assert f"{path} was changed after it was published" in done.stdout + done.stderr


def test_an_edit_with_its_digest_is_found_by_replaying(repository, places, command):
    folder = folder_of(repository, "middle")
    value = json.loads((folder / "results.json").read_text())["splits"]["ood"]["success_rate"]
    forge(folder, "results.json", f'"value": {value["value"]}', '"value": 0.99')
    assert command("leaderboard", "build", *places).returncode == 0
    done = command("leaderboard", "check", *places)
    assert done.returncode == 1
    assert str(folder) in done.stdout
    assert "0.99 stored" in done.stdout


def test_a_claimed_tier_with_its_digest_makes_the_tables_stale(repository, places, command):
    folder = folder_of(repository, "middle")
    forge(folder, "verification.json", '"rescored"', '"regenerated"')
    forge(folder, "verification.json", '"regenerated": 0', '"regenerated": 40')
    done = command("leaderboard", "check", *places)
    assert done.returncode == 1
    assert "does not follow from the results" in done.stdout


@pytest.fixture
def private(tiny_llama, copy_of, tmp_path, command):
    """A board with a run of a checkpoint that only its maker has, and one of an agent; the
    checkpoint's folder, and the options that name the board's folders."""
    write_board(tmp_path / "leaderboards", eligibility={})
    places = ["--results", tmp_path / "results", "--boards", tmp_path / "leaderboards"]
    weights = copy_of(tiny_llama, "mine")
    settings = {"limit": 2, "verify_iters": 1}
    genbench.run(str(weights), "gp-ood-rule", output=tmp_path / "r", max_new_tokens=8, **settings)
    (folder,) = (tmp_path / "r").glob("*/*/*")
    for run, more in (
        (folder, ["--name", "me/x"]),
        (agent(tmp_path / "oracle", **settings), []),
    ):
        done = command("leaderboard", "add", run, *places, "--regenerate", "3", *more)
        assert done.returncode == 0, done.stderr
    assert command("leaderboard", "build", *places).returncode == 0
    return weights, places


def test_a_run_whose_weights_are_not_here_is_listed_and_no_fault(private, command, tmp_path):
    weights, places = private
    replay = ["leaderboard", "check", *places, "--regenerate", "3"]
    done = command(*replay)
    assert done.returncode == 0, done.stdout
    assert re.search(r"not replayed: me__x/gp-ood-rule/\w+: .*'?me/x", done.stdout)
    assert "(3 episodes played again" in done.stdout
    shown = json.loads(command(*replay, "--json").stdout)
    assert (shown["passed"], shown["regenerated"]) == (True, 3)
    ((place, reason),) = [(one["run"], one["reason"]) for one in shown["not_replayed"]]
    assert reason

    for key in ("me/x", place, f"{tmp_path / 'results'}/{place}/"):
        found = json.loads(command(*replay, "--model", f"{key}={weights}", "--json").stdout)
        assert (found["passed"], found["regenerated"], found["not_replayed"]) == (True, 6, [])


def test_what_was_tampered_with_fails_though_the_weights_are_not_here(private, command, tmp_path):
    _, places = private
    (folder,) = (tmp_path / "results" / "me__x").glob("*/*")
    forge(folder, "verification.json", '"episodes": 8', '"episodes": 9')
    done = command("leaderboard", "check", *places, "--regenerate", "3")
    assert done.returncode == 1
    assert "8 episodes, 9 when published" in done.stdout
    assert "not replayed: me__x/" in done.stdout


@pytest.mark.parametrize(
    ("model", "code", "message"),
    [
        ("me/x=./nowhere", 2, "--model me__x/"),
        ("me/y=./mine", 2, "no published run has this place or name; did you mean 'me/x'?"),
        ("me/x", 2, "it takes PLACE_OR_NAME=PATH"),
        ("me/x=demo/gp-base", 1, "of demo/gp-base"),
    ],
)
def test_weights_that_are_named_must_be_there_and_the_runs_own(
    private, command, model, code, message
):
    _, places = private
    done = command("leaderboard", "check", *places, "--regenerate", "3", "--model", model)
    assert done.returncode == code
    assert message in done.stdout + done.stderr


def test_regenerating_in_the_check_exposes_invented_responses(repository, places, command):
    folder = folder_of(repository, "oracle")
    forge(folder, "verification.json", '"rescored"', '"regenerated"')
    forge(folder, "verification.json", '"regenerated": 0', '"regenerated": 40')
    assert command("leaderboard", "build", *places).returncode == 0
    done = command("leaderboard", "check", *places, "--regenerate", "5")
    assert done.returncode == 0
    assert "5 episodes played again" in done.stdout


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_stale_table_fails_with_its_name_and_the_first_difference(
    repository, places, command, suffix
):
    path = repository / "leaderboards" / f"small.{suffix}"
    path.write_text(path.read_text().replace("org/good", "org/best"))
    done = command("leaderboard", "check", *places)
    assert done.returncode == 1
    assert f"{path} does not follow from the results: line " in done.stdout
    assert "org/best" in done.stdout
    assert "org/good" in done.stdout


def test_a_missing_table_an_orphan_and_a_new_run_are_found(repository, places, command, tmp_path):
    (repository / "leaderboards" / "small.csv").unlink()
    (repository / "leaderboards" / "gone.html").write_text("x")
    done = command("leaderboard", "check", *places)
    assert "small.csv is missing" in done.stdout
    assert "gone.html is of no board" in done.stdout
    shutil.rmtree(folder_of(repository, "good").parents[1])
    done = command("leaderboard", "check", *places, "--json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert found["runs"] == 4
    assert any("small.md does not follow" in fault for fault in found["faults"])


def test_a_foreign_file_a_moved_folder_and_a_missing_file_are_named(repository, places, command):
    folder = folder_of(repository, "middle")
    (folder / "notes.txt").write_text("x")
    (folder_of(repository, "equal") / "run.json").unlink()
    good = folder_of(repository, "good")
    good.rename(good.with_name("0" * 16))
    done = command("leaderboard", "check", *places)
    assert done.returncode == 1
    assert "notes.txt is no part of a published run" in done.stdout
    assert "run.json is missing" in done.stdout
    assert "holds the run of" in done.stdout


def test_runs_of_ones_own_never_touch_the_boards(repository, places, command, runs):
    shutil.copytree(runs["good"].parents[2], repository / "runs")
    assert command("leaderboard", "check", *places).returncode == 0


def test_an_unknown_board_is_named_with_the_closest(places, command):
    done = command("leaderboard", "build", "smal", *places)
    assert done.returncode == 2
    assert "did you mean 'small'?" in done.stderr


def test_the_committed_boards_follow_from_the_committed_results(command):
    """What CI checks: `genbench leaderboard check` in the repository itself."""
    done = command(
        "leaderboard", "check", "--results", ROOT / "results", "--boards", ROOT / "leaderboards"
    )
    assert done.returncode == 0, done.stdout + done.stderr
