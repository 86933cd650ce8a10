"""The api backend against a real server on this machine: same answers, and nothing lost when it
fails."""

import json
import logging
import time
from pathlib import Path

import openai_server
import pytest
from asking import answers, prompts, requests, user
from killing import check_killed_runs, starting
from openai_server import PASSING, Seer, Speaker, flaky, serving

import genbench
import genbench_tasks
from genbench.errors import GenbenchError, IncompleteError, ModelError, UsageError
from genbench.evaluation import prepare
from genbench.models import find_backend
from genbench.models.interface import LoadOptions
from genbench.task import Message

DEMO = Path(genbench_tasks.__file__).parent / "checkpoints" / "gp-base"
KEY = "sk-test-4dd1c7d0e6f84b7fb1f3"
SHORT = {"limit": 6, "verify_iters": 3, "max_new_tokens": 24}


@pytest.fixture(autouse=True)
def no_keys(monkeypatch):
    for name in ("GENBENCH_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def speaker(tiny_llama):
    return Speaker(tiny_llama)


def arguments(serving, **more):
    found = {"base_url": serving.base_url, "backoff": 0.01, "timeout": 20, **more}
    return {name: str(value) for name, value in found.items()}


def run(server, output, *, name="tiny", args=None, task="gp-ood-rule", **settings):
    chosen = {**SHORT, **settings}
    return genbench.run(
        name, task, backend="api", output=output, model_args=arguments(server, **(args or {})),
        **chosen,
    )  # fmt: skip


def folder_of(output):
    (header,) = output.rglob("run.json")
    return header.parent


def contents(output):
    folder = folder_of(output)
    return {name: (folder / name).read_bytes() for name in ("episodes.jsonl", "results.json")}


def header_of(output):
    return json.loads((folder_of(output) / "run.json").read_text())


def without_address(found):
    """The files of a run with every server's address as one, and what follows from it."""
    results = json.loads(found["results.json"])
    del results["settings_hash"], results["settings"]["model_args"], results["model"]
    return found["episodes.jsonl"], results


def identify(server, name="tiny", **args):
    options = LoadOptions(arguments=arguments(server, **args))
    return find_backend(name, "api").identify(name, options)


def model_of(server, name="tiny", chat_template="auto", **args):
    options = LoadOptions(arguments=arguments(server, **args), chat_template=chat_template)
    backend = find_backend(name, "api")
    return backend.load(backend.identify(name, options), options)


# -- the same answers ------------------------------------------------------------------------------


def test_api_and_hf_give_the_same_episodes_of_the_demo_checkpoint(tmp_path):
    settings = {"limit": 4, "verify_iters": 2, "max_new_tokens": 120}
    genbench.run("demo/gp-base", "gp-ood-rule", output=tmp_path / "hf", device="cpu", **settings)
    with serving(Speaker(DEMO), "gp-base") as server:
        found = run(server, tmp_path / "api", name="gp-base", **settings)
    ours = contents(tmp_path / "hf")["episodes.jsonl"]
    assert contents(tmp_path / "api")["episodes.jsonl"] == ours
    episodes = [json.loads(line) for line in ours.splitlines()]
    assert len({turn["response"] for one in episodes for turn in one["turns"]}) > 10
    assert found.model.weights_fingerprint is None
    assert found.model.name == "gp-base"


@pytest.mark.parametrize("chat_template", ["on", "off"])
def test_chat_and_completions_answer_as_the_default_backend_does(
    speaker, tiny_llama, chat_template
):
    from asking import load

    asked = requests(prompts(24), max_new_tokens=20, stop=("as", "s1"))
    ours = answers(load(tiny_llama, chat_template=chat_template), asked)
    with serving(speaker) as server:
        theirs = answers(model_of(server, chat_template=chat_template), asked)
        paths = {"messages" in body for body in server.bodies}
    for one, other in zip(ours, theirs, strict=True):
        assert (one.text, one.finish_reason) == (other.text, other.finish_reason)
        assert one.prompt_tokens == other.prompt_tokens
        assert one.generated_tokens == other.generated_tokens
    assert paths == {chat_template == "on"}
    assert {one.finish_reason for one in ours} == {"stop", "length"}


def test_images_arrive_and_are_answered_as_by_the_default_backend(tiny_llava, colours, tmp_path):
    settings = {"max_new_tokens": 8, "verify_iters": 2, "limit": 4, "task": colours}
    genbench.run(str(tiny_llava), output=tmp_path / "hf", device="cpu", batch_size=1, **settings)
    with serving(Seer(tiny_llava)) as server:
        run(server, tmp_path / "api", **settings)
    for part in ("episodes.jsonl",):
        assert contents(tmp_path / "api")[part] == contents(tmp_path / "hf")[part]
    shown = json.dumps(header_of(tmp_path / "api")["first_prompt"])
    assert "data:image/png;sha256," in shown
    assert "base64" not in shown


def test_sampled_requests_have_seeds_of_their_own_and_greedy_ones_none(speaker, tmp_path):
    with serving(speaker) as server:
        run(server, tmp_path / "greedy", limit=2, verify_iters=1)
        assert all("seed" not in body for body in server.bodies)
        assert {(body["temperature"], body["top_p"]) for body in server.bodies} == {(0, 1)}
        server.bodies.clear()
        settings = {"temperature": 0.8, "top_p": 0.9, "samples": 3, "verify_iters": 1, "seed": 5}
        settings |= {"limit": 2, "max_new_tokens": 12}
        run(server, tmp_path / "a", **settings)
        seeds = [body["seed"] for body in server.bodies]
        assert len(set(seeds)) == len(seeds) == 4 * 2 * 3
        assert all(0 <= seed < 2**31 for seed in seeds)
        assert {body["top_p"] for body in server.bodies} == {0.9}
        run(server, tmp_path / "b", args={"concurrency": 1}, **settings)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_a_conversation_that_outgrows_the_context_is_given_less_room(tmp_path, tiny_gpt2):
    asked = requests([user("x" * 230)], max_new_tokens=40, turn=1)  # 232 tokens; 256 in all
    with serving(Speaker(tiny_gpt2)) as server:
        model = model_of(server, chat_template="off")
        (found,) = answers(model, asked)
        assert [body["max_tokens"] for body in server.bodies] == [40, 20]
        assert found.finish_reason == "length" or found.generated_tokens < 20
        (full,) = answers(model, requests([user("x" * 300)], max_new_tokens=40, turn=1))
        assert (full.text, full.finish_reason) == ("", "length")
        with pytest.raises(ModelError, match="serve the model with a longer context"):
            answers(model, requests([user("x" * 200)], max_new_tokens=100))


# -- what is recorded ------------------------------------------------------------------------------


def test_tokens_cost_and_what_answered_are_recorded_and_the_price_is_no_setting(speaker, tmp_path):
    with serving(speaker) as server:
        run(server, tmp_path / "free")
        prices = {"prompt_price": 2.5, "generated_price": 10}
        found = run(server, tmp_path / "paid", args={**prices, "concurrency": 3, "timeout": 9})
    assert contents(tmp_path / "free") == contents(tmp_path / "paid")
    record = header_of(tmp_path / "paid")
    events = record["execution"]["events"]
    turns = [split.all_turns for split in found.splits.values()]
    assert events["prompt_tokens"] == sum(one["prompt_tokens"] for one in turns) > 0
    assert events["generated_tokens"] == sum(one["generated_tokens"] for one in turns) > 0
    assert events["cost"]["total"] == pytest.approx(
        (2.5 * events["prompt_tokens"] + 10 * events["generated_tokens"]) / 1e6
    )
    number = sum(one["turns"] for one in turns)
    assert events["origins"] == {"model": {"tiny": number}, "system_fingerprint": {"fp_1": number}}
    plan = record["execution"]["plan"]
    assert plan["server"] == server.base_url
    assert plan["reported"] == {"id": "tiny", "owned_by": "tests"}
    assert "not promised" in plan["determinism"]
    assert "cost" not in header_of(tmp_path / "free")["execution"]["events"]


def test_a_server_that_reports_another_model_is_another_run(speaker, tmp_path):
    with serving(speaker, entry={"root": "/models/step-100"}) as server:
        run(server, tmp_path, limit=2, verify_iters=1)
        asked = server.number
        run(server, tmp_path, limit=2, verify_iters=1)
        assert server.number == asked, "a finished run is not asked again"
        assert header_of(tmp_path)["execution"]["plan"]["reported"]["root"] == "step-100"
        server.entry["root"] = "/models/step-200"
        run(server, tmp_path, limit=2, verify_iters=1)
        assert server.number == 2 * asked
        run(server, tmp_path, limit=2, verify_iters=1, args={"revision": "of-monday"})
        assert server.number == 3 * asked
    revisions = [json.loads(path.read_text())["model"] for path in tmp_path.rglob("run.json")]
    assert sorted(str(model["revision"]) for model in revisions) == ["None", "None", "of-monday"]
    assert len({model["files_fingerprint"] for model in revisions}) == 2


def test_a_named_server_may_move(speaker, tmp_path):
    with serving(speaker) as server:
        run(server, tmp_path / "a", args={"server": "lab"})
    with serving(speaker) as server:
        run(server, tmp_path / "b", args={"server": "lab"})
        run(server, tmp_path / "c")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert b"127.0.0.1" not in contents(tmp_path / "a")["results.json"]
    assert contents(tmp_path / "c")["results.json"] != contents(tmp_path / "a")["results.json"]


def test_shards_may_be_played_by_servers_of_their_own(speaker, tmp_path, command):
    for index in (1, 2, 3):
        with serving(speaker) as server:
            if index == 3:
                run(server, tmp_path / "one", args={"server": "lab"})
                continue
            given = ("--limit", 6, "--verify-iters", 3, "--max-new-tokens", 24)
            done = command(
                "run", "--model", "api:tiny", "--task", "gp-ood-rule", *given, "--output",
                tmp_path / "s", "--shard", f"{index}/2", "--model-args",
                f"base_url={server.base_url},server=lab",
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
    assert command("merge", tmp_path / "s", "--output", tmp_path / "merged").returncode == 0
    assert contents(tmp_path / "merged") == contents(tmp_path / "one")


def test_a_run_is_of_one_model(speaker, tmp_path):
    def fault(number, path, body):
        if number > 20:
            server.model_said = "tiny-2027"

    with serving(speaker, fault=fault) as server:
        with pytest.raises(IncompleteError, match=r"answers as 'tiny-2027' now.*as 'tiny' before"):
            run(server, tmp_path, args={"concurrency": 2})
        lines = (folder_of(tmp_path) / "journal.jsonl").read_text().splitlines()
        said = {json.loads(line)["response"]["origin"]["model"] for line in lines}
        assert said == {"tiny"}
        # Nor are the answers of two sessions mixed.
        with pytest.raises(IncompleteError, match="a run is of one model"):
            run(server, tmp_path)
        server.fault = lambda number, path, body: None
        server.model_said = "tiny"
        run(server, tmp_path)


# -- a server that fails ---------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_a_flaky_server_loses_and_changes_nothing(speaker, tmp_path, seed):
    with serving(speaker) as sound:
        run(sound, tmp_path / "sound", args={"server": "it"})
    with serving(speaker, fault=flaky(seed)) as server:
        run(server, tmp_path / "flaky", args={"server": "it", "concurrency": 12})
        events = header_of(tmp_path / "flaky")["execution"]["events"]
        assert sum(events["retries"].values()) == sum(
            count for kind, count in server.faults.items() if kind != "slow"
        )
        assert len(server.faults) > 8
    assert contents(tmp_path / "flaky") == contents(tmp_path / "sound")


def test_hanging_and_dripping_answers_are_given_up_in_time(speaker, tmp_path):
    with serving(speaker) as sound:
        run(sound, tmp_path / "sound", args={"server": "it"}, limit=3)
    fault = flaky(1, kinds=("hang", "drip"), share=0.3, most=1)
    with serving(speaker, fault=fault) as server:
        started = time.monotonic()
        run(server, tmp_path / "slow", args={"server": "it", "timeout": 0.6}, limit=3)
        assert time.monotonic() - started < 25  # one drip alone lasts 30
        assert set(server.faults) == {"hang", "drip"}
        events = header_of(tmp_path / "slow")["execution"]["events"]
        assert events["retries"]["timeout"] >= sum(server.faults.values())
    assert contents(tmp_path / "slow") == contents(tmp_path / "sound")


@pytest.mark.parametrize("kind", PASSING)
def test_each_fault_alone_is_outlived(speaker, kind):
    asked = requests([user("How many?"), user("And now?")])
    with serving(speaker) as server:
        expected = answers(model_of(server), asked)
    with serving(speaker, fault=lambda number, path, body: kind if number < 4 else None) as server:
        assert answers(model_of(server), asked) == expected
        assert server.faults[kind] == (2 if kind == "slow" else 3)


def test_the_list_of_models_is_asked_for_again_too(speaker):
    faults = ["broken", "busy", "a_page", "cut", "malformed"]
    with serving(speaker, list_faults=faults) as server:
        assert identify(server).name == "tiny"
        assert not server.list_faults


def test_retry_after_is_honoured_and_fewer_are_sent_at_once(speaker):
    refused = set()

    def fault(number, path, body):
        if 10 <= number < 14:
            refused.add(number)
            return "busy_for_a_second"
        return None

    asked = requests(prompts(40))
    with serving(speaker, fault=fault, delay=0.01) as server:
        model = model_of(server, concurrency=8)
        found = answers(model, asked)
        assert all(response.finish_reason != "error" for response in found)
        assert server.most_active <= 8
        gaps = [
            after - before for before, after in zip(server.times, server.times[1:], strict=False)
        ]
        assert max(gaps) >= 0.9
        assert model.events()["lowest_concurrency"] < 8
        assert model.events()["retries"] == {"429": len(refused)}


def test_one_request_is_in_flight_until_the_first_answer_and_then_all_that_may(speaker):
    most_before = []

    def fault(number, path, body):
        if number <= 3:
            most_before.append(server.most_active)
            return "broken"
        return None

    with serving(speaker, fault=fault, delay=0.02) as server:
        answers(model_of(server, concurrency=6), requests(prompts(30)))
        assert most_before == [1, 1, 1]
        assert 4 <= server.most_active <= 6


def test_a_finished_episode_makes_room_for_its_next_turn_at_once(speaker, tmp_path):
    """No waiting for the slowest of a round: second turns come before the last first turn."""
    with serving(speaker, delay=0.005) as server:
        run(server, tmp_path, limit=10, args={"concurrency": 2})
        turns = [len(body["messages"]) for body in server.bodies]
    assert max(turns[: len(turns) // 2]) > min(turns[len(turns) // 2 :])


def test_a_request_that_fails_for_good_is_named_and_the_others_are_kept(speaker, tmp_path):
    def fault(number, path, body):
        return "broken" if "'2', '2'" in json.dumps(body["messages"]) else None

    settings = {"limit": 30, "verify_iters": 1}
    with serving(speaker) as sound:
        run(sound, tmp_path / "sound", args={"server": "it"}, **settings)
        bad = sum("'2', '2'" in json.dumps(body["messages"]) for body in sound.bodies)
        everything = sound.number
    assert 0 < bad < everything / 2
    with serving(speaker, fault=lambda n, p, body: fault(n, p, body)) as server:
        with pytest.raises(IncompleteError, match=f"{bad} of {everything} episodes got no respon"):
            run(server, tmp_path / "a", args={"server": "it", "retries": 1}, **settings)
        server.fault, server.number = lambda number, path, body: None, 0
        run(server, tmp_path / "a", args={"server": "it"}, **settings)
        assert server.number == bad, "only those without an answer are asked again"
    assert contents(tmp_path / "a") == contents(tmp_path / "sound")


def test_a_server_that_is_gone_for_good_ends_the_run_resumably(speaker, tmp_path):
    with serving(speaker) as server:
        run(server, tmp_path / "sound", args={"server": "it"})
    with serving(speaker) as server:

        def fault(number, path, body):
            return "reset" if number > 25 else None

        server.fault = fault
        with pytest.raises(IncompleteError, match=r"gave no answer in 3 tries.*are on disk"):
            run(server, tmp_path / "a", args={"server": "it", "retries": 2, "concurrency": 4})
        kept = (folder_of(tmp_path / "a") / "journal.jsonl").read_text().count("\n")
        assert 10 < kept <= 25
        server.fault, server.number = lambda number, path, body: None, 0
        found = run(server, tmp_path / "a", args={"server": "it"})
        turns = sum(split.all_turns["turns"] for split in found.splits.values())
        # Requests of the first run that were in flight may still come in.
        assert turns - kept <= server.number <= turns - kept + 4
        events = header_of(tmp_path / "a")["execution"]["events"]
        assert events["responses"] == turns  # tokens and cost are of all sessions
    assert contents(tmp_path / "a") == contents(tmp_path / "sound")


def test_runs_killed_at_random_moments_end_with_the_bytes_of_one_that_was_not(speaker, tmp_path):
    with serving(speaker, delay=0.01) as server, starting() as start:
        args = arguments(server, concurrency=4, prompt_price=1, generated_price=1)
        settings = {"model": "api:tiny", "task": "gp-ood-rule", "model_args": args, **SHORT}
        check_killed_runs(start, settings, tmp_path, kills=4, most_turns=24, seed=7)
    spent = set()
    for path in tmp_path.rglob("run.json"):
        events = json.loads(path.read_text())["execution"]["events"]
        spent.add((events["responses"], events["cost"]["total"]))
    assert len(spent) == 1, "tokens and cost are of all sessions"


# -- bad input -------------------------------------------------------------------------------------


def refused(command, tmp_path, *more, model="api:tiny", code=2):
    found = command(
        "run", "--model", model, "--task", "gp-ood-rule", "--output", tmp_path, "--limit", 2, *more
    )
    assert found.returncode == code, found.stderr
    assert "Traceback" not in found.stderr
    assert not list(tmp_path.rglob("run.json")) or code == 3
    return found.stderr


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("concurrency=4", "needs the address of a server"),
        ("base_url=localhost:8000/v1", "with http:// or https://"),
        ("base_url=http://host:99999/v1", "its port is none"),
        ("base_url=http://me:secret@host/v1", "user name or password"),
        ("base_url=me:secret@host/v1", "user name or password"),
        ("base_url=http://host/v1?key=secret", "without '?'"),
        ("base_url=http://host/v1,api_key=secret", "a key on the command line"),
        ("base_url=http://host/v1,body.api_key=secret", "a key on the command line"),
        ("base_url=http://host/v1,key_env=NO_SUCH_VARIABLE", "NO_SUCH_VARIABLE is not set"),
        ("base_url=http://host/v1,concurency=4", "did you mean 'concurrency'"),
        ("base_url=http://host/v1,concurrency=0", "from 1 to 1024, not '0'"),
        ("base_url=http://host/v1,timeout=nan", "not 'nan'"),
        ("base_url=http://host/v1,retries=1.5", "a whole number"),
        ("base_url=http://host/v1,prompt_price=1", "generated_price is missing"),
        ("base_url=http://host/v1,prompt_price=1,generated_price=-1", "from 0"),
        ("base_url=http://host/v1,token_limit=max_token", "did you mean 'max_tokens'"),
        ("base_url=http://host/v1,listed=no", "true or false"),
        ("base_url=http://host/v1,body.temperature=1", "use --temperature"),
        ("base_url=http://host/v1,body.stream=true", "genbench itself writes"),
        ("base_url=http://host/v1,body.a=1,body.a.b=2", "'a' has a value already"),
        ("base_url=http://host/v1,body.=2", "body.<field>=<value> is meant"),
        ("base_url=http://host/v1,server=", "its value is empty"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_asked(command, tmp_path, given, message):
    told = refused(command, tmp_path, "--model-args", given)
    assert message in told
    assert "secret" not in told


@pytest.mark.parametrize(
    ("option", "value"),
    [("--device", "cpu"), ("--dtype", "float32"), ("--batch-size", 8), ("--thinking-budget", 5)],
)
def test_options_of_weights_here_are_refused(command, tmp_path, option, value):
    given = ("--model-args", "base_url=http://host/v1", option, value)
    assert option in refused(command, tmp_path, *given)


def test_no_server_no_model_no_name_and_no_endpoint(command, tmp_path, speaker):
    with serving(speaker) as server:
        address = server.base_url
        told = refused(command, tmp_path, "--model-args", f"base_url={address}", model="api:tyni")
        assert "serves no model 'tyni'; did you mean 'tiny'?" in told
        given = ("--model-args", f"base_url={address},listed=false,backoff=0")
        told = refused(command, tmp_path, *given, model="api:tyni")
        assert "refuses the request (404: The model `tyni` does not exist.)" in told
        told = refused(
            command, tmp_path, "--model-args", f"base_url={address.removesuffix('/v1')},retries=0"
        )
        assert "base_url mostly ends with /v1" in told
        assert "needs the name" in refused(
            command, tmp_path, "--model-args", f"base_url={address}", model="api:"
        )
    started = time.monotonic()
    told = refused(command, tmp_path, "--model-args", f"base_url={address}", code=3)
    assert f"no server answers at {address}" in told
    assert time.monotonic() - started < 5


def test_a_server_without_a_chat_template_is_named_with_its_remedy(speaker):
    message = "As of transformers v4.44, default chat template is no longer allowed"

    def template(handler):
        handler._json(400, {"error": {"message": message}})

    with (
        pytest.MonkeyPatch.context() as patch,
        serving(speaker, fault=lambda number, path, body: "template") as server,
    ):
        patch.setattr(openai_server.Handler, "template", template, raising=False)
        with pytest.raises(ModelError, match="asked with --chat-template off"):
            answers(model_of(server), requests([user("?")]))
    assert server.number == 1


@pytest.mark.parametrize("kind", ["spent", "busy_for_an_hour"])
def test_waiting_in_vain_is_not_begun(speaker, kind):
    with serving(speaker, fault=lambda number, path, body: kind) as server:
        with pytest.raises(GenbenchError, match=r"quota|come back later") as caught:
            answers(model_of(server), requests([user("?")]))
        assert caught.value.exit_code == (2 if kind == "spent" else 3)
    assert server.number == 1


def test_a_filtered_prompt_is_answered_with_nothing(speaker, tmp_path):
    def content_filter(handler):
        handler._json(400, {"error": {"message": "filtered", "code": "content_filter"}})

    with (
        pytest.MonkeyPatch.context() as patch,
        serving(speaker, fault=lambda n, path, body: n % 5 == 2 and "filtered") as server,
    ):
        patch.setattr(openai_server.Handler, "filtered", content_filter, raising=False)
        found = run(server, tmp_path, limit=4, verify_iters=1)
        number = server.faults["filtered"]
    assert number == 3
    assert sum(split.outcomes["empty"] for split in found.splits.values()) >= number
    assert header_of(tmp_path)["execution"]["events"]["origins"]["filter"] == {
        "content_filter": number
    }


# -- keys ------------------------------------------------------------------------------------------


def files_below(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_key_goes_to_the_server_and_nowhere_else(speaker, tmp_path, monkeypatch, command, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("SOME_KEY", KEY)

    def fault(number, path, body):
        return "echo" if number % 7 == 3 else None

    def echo(handler):
        """A server that shows its caller's headers where an answer is expected."""
        shown = json.dumps(dict(handler.headers))
        handler._send(200, "text/plain", b"x" * 290 + shown.encode())

    told = ""
    with serving(speaker, key=KEY, fault=fault) as server:
        monkeypatch.setattr(openai_server.Handler, "echo", echo, raising=False)
        args = f"base_url={server.base_url},key_env=SOME_KEY,backoff=0.001"
        shared = ("run", "--model", "api:tiny", "--task", "gp-ood-rule", "--max-new-tokens", 16)
        done = command(
            *shared, "--output", tmp_path, "--limit", 4, "--verify-iters", 2, "--model-args", args
        )
        assert done.returncode == 0, done.stderr
        assert server.faults["echo"] > 0
        told += done.stdout + done.stderr
        # An answer that holds the key, whole; a refusal that does; one that is all that comes.
        server.system_fingerprint = f"fp {KEY}"
        done = command(*shared, "--output", tmp_path / "b", "--limit", 1, "--model-args", args)
        assert done.returncode == 0, done.stderr
        told += done.stdout + done.stderr
        server.fault = lambda number, path, body: "echo"
        done = command(
            *shared, "--output", tmp_path / "c", "--limit", 1, "--model-args", f"{args},retries=1"
        )
        assert done.returncode == 3
        assert "malformed" not in done.stderr
        told += done.stdout + done.stderr
        server.key = "another"
        done = command(*shared, "--output", tmp_path / "d", "--limit", 1, "--model-args", args)
        assert done.returncode == 2
        assert "Incorrect API key provided: [key]" in done.stderr
        assert "the key comes from the environment variable SOME_KEY" in done.stderr
        told += done.stdout + done.stderr
    assert KEY not in told
    assert KEY[:12] not in told
    assert KEY not in caplog.text
    found = files_below(tmp_path)
    assert len(found) >= 8
    for path in found:
        assert KEY.encode() not in path.read_bytes(), path


def test_a_missing_key_is_named_with_the_variable_it_belongs_in(speaker, tmp_path, command):
    with serving(speaker, key=KEY) as server:
        told = refused(command, tmp_path, "--model-args", f"base_url={server.base_url}")
    assert "refuses access (401" in told
    assert "no key was sent: put it in the environment variable GENBENCH_API_KEY" in told


def test_a_vendors_key_is_not_sent_to_others(speaker, monkeypatch):
    from genbench.models.api_options import ApiOptions

    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert ApiOptions.of({"base_url": "http://host/v1"}).key is None
    assert ApiOptions.of({"base_url": "https://api.openai.com.evil.org/v1"}).key is None
    key = ApiOptions.of({"base_url": "https://api.openai.com/v1"}).key
    assert key.value == KEY
    assert KEY not in f"{key} {key!r} {ApiOptions.of({'base_url': 'https://api.openai.com/v1'})}"


def test_a_stored_run_sends_nothing_to_its_server_by_itself(speaker, tmp_path, command):
    with serving(speaker) as server:
        run(server, tmp_path)
        folder = folder_of(tmp_path)
        asked = server.number
        done = command("verify", folder, "--regenerate", 3)
        assert done.returncode == 2
        assert "a server that would be sent the prompts, and your key" in done.stderr
        assert server.number == asked
        again = ("verify", folder, "--regenerate", 3, "--model-args")
        done = command(*again, f"base_url={server.base_url},concurrency=2")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "3 played again on the weights" in done.stdout
        assert server.number > asked
        done = command(*again, f"base_url={server.base_url},body.top_k=1")
        assert "--model-args: the run had others (body.top_k" in done.stderr


# -- reading answers -------------------------------------------------------------------------------


def test_a_second_run_says_that_the_weights_may_have_changed(speaker, tmp_path, command):
    with serving(speaker) as server:
        given = (
            "run", "--model", "tiny", "--backend", "api", "--task", "gp-ood-rule", "--limit", 1,
            "--max-new-tokens", 8, "--output", tmp_path, "--model-args",
            f"base_url={server.base_url}/",
        )  # fmt: skip
        assert command(*given).returncode == 0
        done = command(*given)
        assert done.returncode == 0
        assert "whether the server's weights are still the same cannot be seen" in done.stderr
        # The same run under its other spelling.
        assert "finished before" in command(*given[:2], "api:tiny", *given[5:]).stderr


def test_sampling_and_extra_fields_go_into_the_body(speaker):
    with serving(speaker) as server:
        extra = {
            "body.chat_template_kwargs.enable_thinking": "false",
            "body.top_k": "20",
            "body.user": "me",
        }
        model = model_of(server, **extra)
        messages = (Message("system", "Be brief."), Message("user", "Well?\ud83d"))
        answers(model, requests([messages], temperature=0.5, top_p=0.75, seed=2**40 + 7))
        (body,) = server.bodies
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    assert (body["top_k"], body["user"]) == (20, "me")
    assert (body["temperature"], body["top_p"], body["seed"]) == (0.5, 0.75, 7)
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Well?\ufffd"},
    ]
    assert model.sampling()["body"] == {
        "chat_template_kwargs": {"enable_thinking": False},
        "top_k": 20,
        "user": "me",
    }


def test_prepare_reads_no_weights_and_offers_seeds(speaker, tmp_path):
    with serving(speaker) as server:
        task = genbench.load_task("gp-ood-rule", limit=1)
        options = LoadOptions(arguments=arguments(server, concurrency=2))
        evaluation, backend = prepare(
            "api:tiny", task, output=tmp_path, options=options, temperature=0.7
        )
    assert backend.name == "api"
    assert evaluation.identity.name == "tiny"
    assert evaluation.settings.model_args == {"base_url": server.base_url}


def test_a_backend_that_is_not_installed_names_its_extra(monkeypatch, tmp_path):
    import sys

    monkeypatch.setitem(sys.modules, "httpx2", None)
    with pytest.raises(UsageError, match=r"pip install -e '\.\[api\]'"):
        genbench.run(
            "api:x", "gp-ood-rule", output=tmp_path, model_args={"base_url": "http://host/v1"}
        )


def test_every_argument_and_its_default_is_documented():
    from genbench.models.api_options import DECIDING, OPERATIONAL, ApiOptions

    page = (Path(__file__).parents[3] / "docs" / "backends.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    shown = dict(line.strip("| ").split(" | ")[:2] for line in rows if line.count(" | ") == 2)
    for name in (*DECIDING, *OPERATIONAL):
        (row,) = [row for row in shown if f"`{name}`" in row.split(", ")]
        default = getattr(ApiOptions, name, None)
        if isinstance(default, int | float) and not isinstance(default, bool):
            assert float(shown[row]) == default
