"""The page and the tables: numbers as in the runs, hostile text inert, nothing from elsewhere."""

import base64
import csv
import hashlib
import io
import json
import re
import shutil
from html.parser import HTMLParser

import pytest
import report_runs
from hypothesis import given
from hypothesis import strategies as st

import genbench
from genbench import stats
from genbench.report import build_report
from genbench.report.chunks import script_json
from genbench.report.conversations import load_conversations, told
from genbench.report.loading import load_groups
from genbench.report.tables import csv_text
from genbench.task import Environment, Episode, Image, Message
from genbench.verification import stored_evaluation


class Page(HTMLParser):
    """Every element with its attributes, and the texts of scripts and styles."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.raw, self.open = [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag in ("script", "style"):
            self.open = (tag, dict(attributes))

    def handle_endtag(self, tag):
        if tag in ("script", "style"):
            self.open = None

    def handle_data(self, data):
        if self.open:
            self.raw.append((*self.open, data))

    def scripts(self, identity=None):
        return [
            data for tag, has, data in self.raw if tag == "script" and has.get("id") == identity
        ]


@pytest.fixture(scope="module")
def small(hostile, tmp_path_factory):
    """The hostile report with everything in the page."""
    return build_report([hostile], tmp_path_factory.mktemp("small") / "report", title="<b>T</b>")


@pytest.fixture(scope="module")
def large(hostile, tmp_path_factory):
    """The same with the episodes in files beside it."""
    place = tmp_path_factory.mktemp("large") / "report"
    return build_report([hostile], place, inline_bytes=1000)


def pieces_of(report):
    """Every piece by its name, from the page or from the files."""
    page = Page(report.page.read_text())
    found = {
        has["id"].removeprefix("piece-"): json.loads(data)
        for tag, has, data in page.raw
        if tag == "script" and has.get("id", "").startswith("piece-")
    }
    for path in (report.folder / "episodes").glob("*.js"):
        head, body = path.read_text().split("]=", 1)
        name = json.loads(head.partition("[")[2])
        assert name == path.stem
        found[name] = json.loads(body.rstrip().removesuffix(";"))
    return found


@pytest.mark.parametrize("which", ["small", "large"])
def test_no_hostile_text_becomes_markup(request, which):
    page = Page(request.getfixturevalue(which).page.read_text())
    assert {tag for tag, _ in page.elements} <= {
        "html", "head", "meta", "title", "link", "style", "body", "header", "h1", "h2", "h3", "p",
        "nav", "a", "main", "section", "ul", "li", "div", "table", "thead", "tr", "th", "button",
        "tbody", "td", "bdi", "small", "figure", "picture", "source", "img", "figcaption", "span",
        "noscript", "form", "label", "select", "option", "input", "article", "details", "summary",
        "dl", "dt", "dd", "script",
    }  # fmt: skip
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")]
        if tag == "img":
            assert attributes["src"].startswith("data:image/svg+xml;base64,")
    executed = [has for tag, has in page.elements if tag == "script" and "type" not in has]
    assert executed == [{}]


def test_the_hostile_name_is_shown_as_it_is(small):
    text = small.page.read_text()
    assert report_runs.HOSTILE_NAME not in text
    assert "&lt;img src=x onerror=document.title=&#39;owned&#39;&gt;" in text
    assert "<title>&lt;b&gt;T&lt;/b&gt;</title>" in text


def test_nothing_is_loaded_from_elsewhere(small, large):
    for report in (small, large):
        page = Page(report.page.read_text())
        for tag, attributes in page.elements:
            for name in ("src", "srcset", "href", "action"):
                value = attributes.get(name, "")
                local = value.startswith(("data:", "#", "figures/")) or value == ""
                assert local, (tag, name, value[:80])
        for tag, _, data in page.raw:
            if tag == "style":
                assert "url(" not in data
                assert "@import" not in data


def test_the_policy_allows_this_script_and_this_style_alone(small, large):
    for report, outside in ((small, False), (large, True)):
        page = Page(report.page.read_text())
        (policy,) = [
            has["content"]
            for tag, has in page.elements
            if has.get("http-equiv") == "Content-Security-Policy"
        ]
        rules = {rule.split()[0]: rule.split()[1:] for rule in policy.split(";")}
        assert rules["default-src"] == ["'none'"]
        assert rules["img-src"] == ["data:"]
        for kind in ("script", "style"):
            (content,) = [d for tag, has, d in page.raw if tag == kind and not has]
            digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
            strict = ["'strict-dynamic'"] if kind == "script" and outside else []
            assert rules[f"{kind}-src"] == [f"'sha256-{digest}'", *strict]
        assert "unsafe" not in policy


def test_the_script_never_makes_markup_of_text(small):
    (script,) = Page(small.page.read_text()).scripts(None)
    for word in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "Function(",
                 "fetch(", "XMLHttpRequest", "setTimeout(\""):  # fmt: skip
        assert word not in script


def test_a_small_report_is_one_file_and_a_large_one_has_pieces_beside_it(small, large):
    assert not (small.folder / "episodes").exists()
    assert len(list((large.folder / "episodes").glob("*.js"))) > 3
    assert large.page.stat().st_size < small.page.stat().st_size
    assert pieces_of(small) == pieces_of(large)


def test_every_episode_is_in_the_pieces_as_it_was_stored(small, hostile):
    data = json.loads(Page(small.page.read_text()).scripts("report-data")[0])
    index, pieces = data["index"], pieces_of(small)
    starts = [*index["pieces"], len(index["run"])]
    groups, _ = load_groups([hostile])
    stored = [
        (number, episode)
        for number, run in enumerate(run for group in groups for run in group.runs)
        for episode in genbench.load_run(run.folder).episodes
    ]
    assert len(stored) == small.episodes == len(index["run"])
    seen_hostile = 0
    for at, (number, episode) in enumerate(stored):
        piece = max(i for i, start in enumerate(starts[:-1]) if start <= at)
        pair, cluster, turns = pieces[f"episodes-{piece}"][at - starts[piece]]
        assert (pair, cluster) == (episode.pair_id, episode.cluster)
        assert [turn[1] for turn in turns] == [turn.response.text for turn in episode.turns]
        assert [turn[7] for turn in turns] == [turn.verdict.outcome for turn in episode.turns]
        assert index["run"][at] == number
        assert index["splits"][index["split"][at]] == episode.split
        assert index["outcomes"][index["first"][at]] == episode.turns[0].verdict.outcome
        assert bool(index["solved"][at]) == episode.solved
        instances = index["instances"][data["runs"][number]["group"]]
        assert instances[index["instance"][at]] == episode.instance_id
        seen_hostile += turns[0][1] == report_runs.HOSTILE_RESPONSE
    assert seen_hostile > 5


def messages_of(turns, prompt):
    """The conversation that a page shows, response by response."""
    found = [prompt]
    for before, text, *_ in turns:
        found.append([*before, ["assistant", text]])
    return found


def test_the_conversation_is_what_the_environment_would_say(small, hostile):
    data = json.loads(Page(small.page.read_text()).scripts("report-data")[0])
    index, pieces = data["index"], pieces_of(small)
    groups, _ = load_groups([hostile])
    runs = [run for group in groups for run in group.runs]
    checked = 0
    for at in range(0, len(index["run"]), 37):
        run = runs[index["run"][at]]
        evaluation = stored_evaluation(run.folder)
        group = data["runs"][index["run"][at]]["group"]
        name = index["instances"][group][index["instance"][at]]
        split = evaluation.task.splits[index["splits"][index["split"][at]]]
        (instance,) = [one for one in split.instances() if one.id == name]
        piece = max(i for i, start in enumerate(index["pieces"]) if start <= at)
        _, _, turns = pieces[f"episodes-{piece}"][at - index["pieces"][piece]]
        place = index["instance"][at]
        prompt, facts = pieces[f"prompts-{group}-{place // index['prompts']}"][
            place % index["prompts"]
        ]
        assert json.loads(facts) == dict(instance.data)
        live = evaluation.task.environment.episode(instance, 5)
        shown = list(prompt)
        for turn in turns:
            shown += turn[0]
            assert shown == [told(message) for message in live.messages()]
            live.step(turn[1])
            shown.append(["assistant", turn[1]])
            checked += 1
    assert checked > 20


class Walk(Episode):
    """An episode of an environment's own: the prompt tells how many steps are left."""

    def messages(self):
        left = self.verify_iters - len(self.verdicts)
        return (*super().messages()[:-1], Message("user", f"{left} left"))


def test_episodes_of_an_environments_own_are_replayed(copy, monkeypatch):
    ((group,), _) = load_groups([copy])
    conversations = load_conversations(group)
    assert conversations.shared_prompts
    environment = type(conversations.task.environment)
    monkeypatch.setattr(environment, "episode", lambda self, i, n: Walk(self, i, n))
    assert not conversations.shared_prompts
    episode = next(one for one in genbench.load_run(copy).episodes if len(one.turns) == 3)
    first, second, third = conversations.before(group.runs[0], episode)
    assert first[-1] == ["user", "3 left"]
    assert second[-1] == ["user", "2 left"]
    assert third[-1] == ["user", "1 left"]
    assert environment.episode is not Environment.episode


def test_a_task_that_is_not_at_hand_leaves_the_responses_and_says_why(copy, tmp_path):
    header = json.loads((copy / "run.json").read_text())
    header["task"]["source"] = "./no-such-task.yaml"
    (copy / "run.json").write_text(json.dumps(header))
    report = build_report([copy], tmp_path / "out")
    data = json.loads(Page(report.page.read_text()).scripts("report-data")[0])
    assert "no-such-task" in data["groups"][0]["reason"]
    assert pieces_of(report)["episodes-0"][0][2][0][0] is None


def test_a_task_that_has_changed_is_not_used_for_prompts(copy):
    for name in ("run.json", "results.json"):
        content = json.loads((copy / name).read_text())
        content["task"]["fingerprint"] = "0" * 64
        (copy / name).write_text(json.dumps(content))
    ((group,), _) = load_groups([copy])
    assert "no longer the one that was asked" in load_conversations(group).reason


def test_pictures_of_prompts_go_into_the_page_and_other_types_do_not():
    message = Message("user", ("Look:", Image(b"\x89PNG"), Image(b"<svg/>", "image/svg+xml")))
    role, text, picture, other = told(message)
    assert (role, text) == ("user", "Look:")
    assert picture == {"image": "data:image/png;base64,iVBORw=="}
    assert other == "[a picture of type image/svg+xml, 6 bytes]"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)  # fmt: skip


@given(json_values)
def test_json_in_a_script_is_equal_json_without_a_character_of_markup(value):
    text = script_json(value)
    assert json.loads(text) == value
    assert text.isascii()
    assert not re.search("[<>&]", text)


# -- tables ---------------------------------------------------------------------------------------


def table(report, name):
    return list(csv.DictReader(io.StringIO((report.folder / "tables" / name).read_text())))


def test_the_headline_table_has_the_numbers_of_results_json(small, hostile):
    groups, _ = load_groups([hostile])
    runs = {(g.title, run.label): run.results for g in groups for run in g.runs}
    rows = table(small, "headline.csv")
    assert len(rows) == sum(len(found.generalization) for found in runs.values())
    for row in rows:
        found = runs[row["section"], row["checkpoint"].removeprefix("'")]
        result = found.generalization[row["ood_split"]]
        for name, rate in (
            ("id", found.splits["id"].success_rate),
            ("ood", found.splits[row["ood_split"]].success_rate),
            ("gap", result.gap),
            ("stickiness", result.stickiness),
        ):
            if rate is None:
                assert row[name] == ""
                assert "no training rule" in row["stickiness_reason"]
                continue
            numbers = [float(row[f"{name}{part}"]) for part in ("", "_low", "_high")]
            assert numbers == [rate.value, *rate.ci95]
            assert int(row[f"{name}_n"]) == rate.n
            assert row[f"{name}_method"] == rate.method
        assert float(row["gap_p"]) == result.gap.p_value


def test_p_values_are_adjusted_over_the_whole_report(small):
    rows = table(small, "headline.csv")
    expected = stats.holm([float(row["gap_p"]) for row in rows])
    assert [float(row["gap_p_holm_report"]) for row in rows] == pytest.approx(list(expected))


def test_a_single_run_has_all_its_tables(copy, tmp_path):
    report = build_report([copy], tmp_path / "out")
    assert {path.name for path in (report.folder / "tables").iterdir()} == {
        "headline.md", "headline.csv", "rates.csv", "outcomes.csv", "readings.csv",
    }  # fmt: skip
    results = genbench.load_run(copy).results
    at_three = [row for row in table(report, "rates.csv") if row["measure"] == "success_at_3"]
    assert {row["split"] for row in at_three} == {"id", "ood"}
    for row in at_three:
        assert float(row["value"]) == results.splits[row["split"]].success_at["3"].value
    counted = [row for row in table(report, "outcomes.csv") if row["split"] == "ood"]
    assert {row["outcome"]: int(row["count"]) for row in counted} == results.splits["ood"].outcomes


def test_checkpoints_with_a_training_record_have_their_points_in_a_table(twelve, tmp_path):
    report = build_report([twelve], tmp_path / "out")
    rows = table(report, "scaling.csv")
    assert len(rows) == 12 * 2
    assert {row["method"] for row in rows} == {"base", "sft", "rl"}
    assert all(float(row["flops"]) > 0 and row["success_low"] for row in rows)


def test_a_spreadsheet_runs_no_cell():
    text = csv_text([{"a": "=cmd()", "b": -1.5}, {"a": "@x", "b": None}], ["a", "b"])
    assert text == "a,b\n'=cmd(),-1.5\n'@x,\n"


def test_markdown_shows_hostile_names_as_text(small):
    text = (small.folder / "tables" / "headline.md").read_text()
    assert "<img" not in text
    assert "&lt;img src=x" in text
    assert len({line.count(" | ") for line in text.splitlines() if line.startswith("|")}) == 1


def test_equal_runs_give_an_equal_report_wherever_it_is_written(copy, tmp_path):
    one = build_report([copy], tmp_path / "one")
    other = build_report([copy], tmp_path / "deep" / "other")
    assert one.files == other.files
    for name in one.files:
        assert (one.folder / name).read_bytes() == (other.folder / name).read_bytes(), name


def test_a_new_report_takes_the_place_of_the_old_one_and_of_nothing_else(copy, tmp_path):
    place = tmp_path / "out"
    build_report([copy], place, inline_bytes=10)
    assert (place / "episodes").is_dir()
    (place / "episodes" / "notes.txt").write_text("mine")
    build_report([copy], place)
    assert [path.name for path in (place / "episodes").iterdir()] == ["notes.txt"]


def test_lone_surrogates_in_names_and_responses_do_not_stop_a_report(sources, tmp_path):
    rows = [(i, a, "\ud800" + text) for (_, i, a), text in sources[1]["random"].items()]
    folder = report_runs.imported_run(tmp_path / "in", "plain", rows, limit=24, verify_iters=3)
    for name in ("run.json", "results.json"):
        text = (folder / name).read_text()
        (folder / name).write_text(text.replace('"name": "plain"', '"name": "pl\\ud800ain"'))
    report = build_report([folder], tmp_path / "out")
    assert "pl\ufffdain" in report.page.read_text()


def test_the_command_says_what_it_wrote(command, copy, tmp_path):
    result = command("report", copy, "--output", tmp_path / "out", "--json")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["runs"] == 1
    assert found["episodes"] == 96
    assert {str(path) for path in found["files"]} >= {"index.html", "tables/headline.csv"}
    shutil.rmtree(tmp_path / "out")
