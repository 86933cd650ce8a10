"""What a Ray cluster is refused for, before anything is started or written. No Ray is needed."""

import socket
import sys
import types

import pytest

from genbench import cluster
from genbench.cli.sweep import with_address
from genbench.cluster import Cluster
from genbench.errors import UsageError


@pytest.fixture
def installed(monkeypatch):
    """An installed Ray that no test here gets as far as to use."""
    monkeypatch.setitem(sys.modules, "ray", types.ModuleType("ray"))


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def test_without_ray_the_install_is_named_and_nothing_is_written(monkeypatch, tmp_path, command):
    monkeypatch.setitem(sys.modules, "ray", None)
    arguments = ("--task", "gp-ood-rule", "--output", tmp_path / "s", "--ray")
    result = command("sweep", tmp_path, *arguments)
    assert result.returncode == 2
    assert "pip install -e '.[ray]'" in result.stderr
    assert not (tmp_path / "s").exists()


def test_an_address_where_nothing_listens_is_refused_at_once(installed, tmp_path, command):
    address = f"127.0.0.1:{free_port()}"
    arguments = ("--task", "gp-ood-rule", "--output", tmp_path / "s", "--ray", address)
    result = command("sweep", tmp_path, *arguments)
    assert result.returncode == 2
    assert f"--ray {address}: no Ray cluster can be reached there" in result.stderr
    assert "ray start --head" in result.stderr
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("ray://head:10001", "addresses of Ray Client are not taken"),
        ("head", "an address is host:port"),
        ("head:port", "an address is host:port"),
        ("head:99999", "an address is host:port"),
        (":6379", "an address is host:port"),
    ],
)
def test_what_is_no_address_is_refused(installed, address, said):
    with pytest.raises(UsageError, match=said):
        Cluster(address)


def test_a_server_that_is_no_ray_cluster_is_given_up(installed, monkeypatch):
    monkeypatch.setattr(cluster, "_ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(cluster, "_PROBE", "import time; time.sleep(60)")
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        address = "{}:{}".format(*server.getsockname())
        with pytest.raises(UsageError, match=r"did not answer as a Ray cluster within 0\.5 s"):
            Cluster(address).__enter__()


def test_the_address_of_the_environment_is_taken_where_none_is_given(installed, monkeypatch):
    address = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(UsageError, match=f"--ray {address}"):
        Cluster()
    Cluster("local")


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (["sweep", "a", "--ray"], ["sweep", "a", "--ray", ""]),
        (["sweep", "--ray", "a"], ["sweep", "--ray", "", "a"]),
        (["sweep", "--ray", "--json", "a"], ["sweep", "--ray", "", "--json", "a"]),
        (["sweep", "--ray", "auto", "a"], ["sweep", "--ray", "auto", "a"]),
        (["sweep", "a", "--ray", "local"], ["sweep", "a", "--ray", "local"]),
        (["sweep", "--ray", "[::1]:6379", "a"], ["sweep", "--ray", "[::1]:6379", "a"]),
        (["sweep", "--ray", "ray://h:1", "a"], ["sweep", "--ray", "ray://h:1", "a"]),
        (["sweep", "--ray", "runs/x:1", "a"], ["sweep", "--ray", "", "runs/x:1", "a"]),
    ],
)
def test_the_address_may_be_left_out(given, taken):
    assert with_address(given) == taken


def test_gpus_are_asked_of_ray_alone(tmp_path, command):
    result = command("sweep", tmp_path, "--task", "gp-ood-rule", "--gpus-per-job", 1)
    assert result.returncode == 2
    assert "--gpus-per-job: Ray places them" in result.stderr
