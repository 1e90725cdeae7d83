"""The Helm chart, as Helm itself renders it for a cluster: by Kubernetes' schemas, and by the agent's own settings.

Run by `make test-chart`, which installs Helm's library.
"""

import importlib.util
import json
import re
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path
from typing import Any

import pytest

import firstseen
from firstseen import config

ROOT = Path(__file__).parents[2]
CHART = ROOT / "packaging/helm/firstseen"

RELEASE_S = 120.0

pytestmark = [
    pytest.mark.chart,
    pytest.mark.skipif(importlib.util.find_spec("helm_sdkpy") is None, reason="run by `make test-chart`"),
]

EVERYTHING: dict[str, Any] = {
    "replicas": 2,
    "image": {"repository": "example.com/firstseen", "digest": "sha256:" + "0" * 64},
    "imagePullSecrets": [{"name": "pull"}],
    "config": {
        "input": {"max_in_flight": "32MiB", "self_hostname": "<firstseen> & co"},
        "output": {
            "servers": ["a:24224", {"address": "b:24224", "entries": "v1"}],
            "connections": 4,
            "require_ack": True,
        },
        "state": {"learning_period": "2d", "url": "redis://redis.data:6380/0"},
        "log": {"forward": "collector:24230"},
        "rules": 'paths = ["/etc/firstseen/rules"]\nlearning = {"b *" = "2d", "*" = "1d"}',
        "sources": '"z.*" = "ecs"\n"*" = "auto"',
        "http": {"hosts": ["firstseen.example.com"]},
    },
    "rules": {"files": {"own.toml": "# a rule\n"}},
    "exceptions": {"files": {"known.toml": "# none yet\n"}},
    "http": {"existingSecret": "status", "key": "bearer"},
    "persistence": {
        "size": "10Gi",
        "storageClassName": "fast",
        "accessModes": ["ReadWriteOncePod"],
        "whenDeleted": "Delete",
    },
    "service": {"type": "LoadBalancer", "annotations": {"example.com/internal": "true"}},
    "serviceAccount": {"name": "own", "annotations": {"example.com/team": "security"}},
    "podAnnotations": {"example.com/a": "b"},
    "podLabels": {"example.com/c": "d"},
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "logs", "operator": "Exists"}],
    "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": []}},
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule"}
    ],
    "priorityClassName": "high",
    "env": [{"name": "SITE", "value": "here"}],
    "envFrom": [{"secretRef": {"name": "more"}}],
    "extraVolumes": [{"name": "tls", "secret": {"secretName": "tls"}}],
    "extraVolumeMounts": [{"name": "tls", "mountPath": "/etc/firstseen/tls", "readOnly": True}],
    "podDisruptionBudget": {"enabled": True},
    "networkPolicy": {
        "enabled": True,
        "senders": [{"podSelector": {"matchLabels": {"app": "fluent-bit"}}}],
        "receivers": [{"ipBlock": {"cidr": "192.0.2.0/24"}}],
        "stateServers": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "data"}}}],
        "logReceivers": [{"podSelector": {"matchLabels": {"app": "collector"}}}],
        "egress": [{"to": [{"ipBlock": {"cidr": "192.0.2.1/32"}}], "ports": [{"protocol": "TCP", "port": 8080}]}],
    },
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "prometheusRule": {"enabled": True},
    "dashboard": {"enabled": True},
}

README = (CHART / "README.md").read_text()
(KEYED_VALUES,) = re.findall(
    r"^```yaml\n(.*?)^```$", README.partition("## A sidecar of your own pods")[0], re.MULTILINE | re.DOTALL
)
SIDECAR_VALUES, SIDECAR_POD = re.findall(
    r"^```yaml\n(.*?)^```$", README.partition("## A sidecar of your own pods")[2], re.MULTILINE | re.DOTALL
)

DAEMONSET = f"""
apiVersion: apps/v1
kind: DaemonSet
metadata: {{name: collector}}
spec:
  selector: {{matchLabels: {{app: collector}}}}
  template:
    metadata:
      labels: {{app: collector}}
{SIDECAR_POD}
      containers:
        - {{name: fluent-bit, image: fluent-bit}}
"""


def helm(chart: Path, values: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "support.helm", str(chart), json.dumps(values)]
    return subprocess.run(command, cwd=ROOT / "tests", capture_output=True, text=True, timeout=RELEASE_S, check=False)


def rendered(chart: Path, values: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """What Helm creates, by kind and name."""
    done = helm(chart, values)
    assert done.returncode == 0, done.stderr
    return {(each["kind"], each["metadata"]["name"]): each for each in json.loads(done.stdout)["created"]}


def notes(values: dict[str, Any]) -> str:
    """What Helm shows to who has installed it."""
    done = helm(CHART, values)
    assert done.returncode == 0, done.stderr
    shown: str = json.loads(done.stdout)["notes"]
    return shown


def refused(values: dict[str, Any]) -> str:
    """Why Helm refuses the chart with these values."""
    done = helm(CHART, values)
    assert done.returncode == 1, done.stdout
    return done.stderr


def pod(made: dict[tuple[str, str], dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    spec: dict[str, Any] = made[kind, name]["spec"]["template"]["spec"]
    return spec


def written(made: dict[tuple[str, str], dict[str, Any]], name: str = "release-firstseen") -> dict[str, Any]:
    """The agent's configuration, as it reads it."""
    return tomllib.loads(made["ConfigMap", name]["data"]["firstseen.toml"])


def around(folder: Path, values: str) -> None:
    """A chart of somebody else's, which has this one as a dependency, with these values in YAML."""
    (folder / "charts").mkdir(parents=True)
    (folder / "charts/firstseen").symlink_to(CHART)
    (folder / "Chart.yaml").write_text(
        "apiVersion: v2\nname: collector\nversion: 1.0.0\ndependencies: [{name: firstseen, version: '*'}]\n"
    )
    (folder / "values.yaml").write_text(values)


@pytest.fixture(scope="module")
def default() -> dict[tuple[str, str], dict[str, Any]]:
    return rendered(CHART, {})


@pytest.fixture(scope="module")
def full() -> dict[tuple[str, str], dict[str, Any]]:
    return rendered(CHART, EVERYTHING)


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], dict[str, Any]]:
    """A chart of somebody else's, which has this one as a dependency, with what the README says to paste."""
    folder = tmp_path_factory.mktemp("chart") / "collector"
    around(folder, SIDECAR_VALUES)
    (folder / "templates").mkdir()
    (folder / "templates/daemonset.yaml").write_text(DAEMONSET)
    return rendered(folder, {})


@pytest.fixture(scope="module", params=["default", "full", "sidecar"])
def made(request: pytest.FixtureRequest) -> dict[tuple[str, str], dict[str, Any]]:
    found: dict[tuple[str, str], dict[str, Any]] = request.getfixturevalue(request.param)
    return found


def test_kubernetes_would_take_it(made: dict[tuple[str, str], dict[str, Any]]) -> None:
    import kubernetes_validate

    for (kind, _), each in made.items():
        if kind not in ("ServiceMonitor", "PrometheusRule"):
            kubernetes_validate.validate(each, "1.33", strict=True)


def test_the_agent_takes_its_configuration(made: dict[tuple[str, str], dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "token").write_text("0123456789abcdef")
    text = made["ConfigMap", "release-firstseen"]["data"]["firstseen.toml"]
    file = tmp_path / "firstseen.toml"
    file.write_text(text.replace("/etc/firstseen/own/http/token", str(tmp_path / "token")))
    read = config.load(file)
    assert str(read.state.path) == "/var/lib/firstseen"
    assert (read.http.listen, read.log.format) == (config.load(file).http.listen, "json")
    assert str(read.http.listen) == "0.0.0.0:24226"


def test_what_values_say_of_the_configuration_is_what_is_in_it(full: dict[tuple[str, str], dict[str, Any]]) -> None:
    told = written(full)
    assert told["input"] == {"listen": ["0.0.0.0:24225"], **EVERYTHING["config"]["input"]}
    assert told["output"] == EVERYTHING["config"]["output"]
    assert list(told["rules"]["learning"].items()) == [("b *", "2d"), ("*", "1d")]
    assert list(told["sources"].items()) == [("z.*", "ecs"), ("*", "auto")]
    assert told["http"]["hosts"] == ["firstseen.example.com"]


def test_what_the_chart_says_where_values_say_nothing(default: dict[tuple[str, str], dict[str, Any]]) -> None:
    assert written(default)["rules"] == {"paths": ["/etc/firstseen/rules"], "exceptions": []}
    assert {kind for kind, _ in default} == {"ConfigMap", "Secret", "Service", "ServiceAccount", "StatefulSet"}
    assert (
        pod(default, "StatefulSet", "release-firstseen")["containers"][0]["image"]
        == f"firstseen:{firstseen.__version__}"
    )
    (claim,) = default["StatefulSet", "release-firstseen"]["spec"]["volumeClaimTemplates"]
    assert claim["metadata"]["name"] == "firstseen-state"


OPEN = "Nobody is asked who he is"


@pytest.mark.parametrize(
    ("section", "asks"),
    [
        ({}, False),
        ({"max_in_flight": "32MiB"}, False),
        ({"shared_key": ""}, False),
        ({"tls": {"cert": "a", "key": "b"}}, False),
        ('max_frame = "32MiB"\n# shared_key = "k"', False),
        ('shared_key = ""', False),
        ({"shared_key": "${KEY}"}, True),
        ({"tls": {"cert": "a", "key": "b", "client_ca": "c"}}, True),
        ('shared_key_file = "/k"', True),
        ('tls = {cert = "a", key = "b", client_ca = "c"}', True),
    ],
)
def test_an_input_that_asks_nobody_who_he_is_is_told_of(section: object, asks: bool) -> None:
    assert (OPEN in notes({"config": {"input": section}})) is not asks


def test_the_input_of_the_readme_asks_for_a_key_and_speaks_tls(tmp_path: Path) -> None:
    around(tmp_path, "firstseen:\n" + textwrap.indent(KEYED_VALUES, "  "))
    made = rendered(tmp_path, {})
    given = written(made)["input"]
    assert OPEN not in notes({"config": {"input": given}})
    assert given["listen"] == ["tls://0.0.0.0:24225"]
    (mounted,) = [
        mount["mountPath"]
        for mount in pod(made, "StatefulSet", "release-firstseen")["containers"][0]["volumeMounts"]
        if mount["name"] == "input"
    ]
    named = (given["shared_key_file"], given["tls"]["cert"], given["tls"]["key"])
    assert {str(Path(each).parent) for each in named} == {mounted}


def test_own_rules_and_exceptions_are_read() -> None:
    made = rendered(CHART, {"rules": {"files": {"own.toml": "#\n"}}, "exceptions": {"files": {"known.toml": "#\n"}}})
    assert written(made)["rules"] == {
        "paths": ["/etc/firstseen/rules", "/etc/firstseen/own/rules"],
        "exceptions": ["/etc/firstseen/own/exceptions"],
    }
    sources = pod(made, "StatefulSet", "release-firstseen")["volumes"][0]["projected"]["sources"]
    assert {item["path"] for source in sources for kind in source.values() for item in kind["items"]} == {
        "firstseen.toml",
        "http/token",
        "rules/own.toml",
        "exceptions/known.toml",
    }


@pytest.mark.parametrize("form", ["default", "full", "sidecar"])
def test_it_is_confined(form: str, request: pytest.FixtureRequest) -> None:
    made = request.getfixturevalue(form)
    kind, name = ("DaemonSet", "collector") if form == "sidecar" else ("StatefulSet", "release-firstseen")
    spec = pod(made, kind, name)
    (container,) = spec["initContainers" if form == "sidecar" else "containers"]
    context = container["securityContext"]
    assert context["runAsNonRoot"]
    assert context["readOnlyRootFilesystem"]
    assert not context["allowPrivilegeEscalation"]
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert {"livenessProbe", "startupProbe"} <= set(container)
    if form != "sidecar":
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"]
        assert "readinessProbe" in container
        assert spec["terminationGracePeriodSeconds"] > 30


def readable(spec: dict[str, Any], mode: int) -> bool:
    """Whether a file of this mode in a projected volume of this pod is readable for a user who is not root.

    The kubelet makes it root's, and of the group ``fsGroup`` where the pod has one, which its containers are in then.
    """
    return bool(mode & 0o004 or (mode & 0o040 and "fsGroup" in spec.get("securityContext", {})))


@pytest.mark.parametrize("form", ["default", "full", "sidecar"])
def test_its_user_can_read_its_configuration_and_write_to_its_memory(form: str, request: pytest.FixtureRequest) -> None:
    made = request.getfixturevalue(form)
    kind, name = ("DaemonSet", "collector") if form == "sidecar" else ("StatefulSet", "release-firstseen")
    spec = pod(made, kind, name)
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    assert readable(spec, volumes["firstseen-config"]["projected"]["defaultMode"])
    if form == "sidecar":  # one that the kubelet makes is root's, and not for others to write to
        assert volumes["firstseen-state"]["hostPath"]["type"] == "Directory"
    else:
        assert spec["securityContext"]["fsGroup"]


def test_a_sidecar_outlives_what_it_serves(sidecar: dict[tuple[str, str], dict[str, Any]]) -> None:
    spec = pod(sidecar, "DaemonSet", "collector")
    (agent,) = spec["initContainers"]
    assert agent["restartPolicy"] == "Always"
    assert "readinessProbe" not in agent
    assert {mount["name"] for mount in agent["volumeMounts"]} == {volume["name"] for volume in spec["volumes"]}
    assert written(sidecar)["input"]["listen"] == ["127.0.0.1:24225"]
    assert {kind for kind, _ in sidecar} == {"ConfigMap", "Secret", "DaemonSet"}


def test_prometheus_gets_in_and_finds_the_job_that_the_alerts_look_for(
    full: dict[tuple[str, str], dict[str, Any]],
) -> None:
    monitor = full["ServiceMonitor", "release-firstseen"]["spec"]
    service = full["Service", "release-firstseen"]
    assert service["metadata"]["labels"][monitor["jobLabel"]] == "firstseen"
    selected = [
        name
        for (kind, name), each in full.items()
        if kind == "Service" and monitor["selector"]["matchLabels"].items() <= each["metadata"]["labels"].items()
    ]
    assert selected == ["release-firstseen"]
    (endpoint,) = monitor["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert endpoint["authorization"]["credentials"] == {"name": "status", "key": "bearer"}
    groups = full["PrometheusRule", "release-firstseen"]["spec"]["groups"]
    text = (ROOT / "packaging/prometheus/alerts.yaml").read_text()
    assert [rule["alert"] for group in groups for rule in group["rules"]] == [
        line.split()[-1] for line in text.splitlines() if "- alert: " in line
    ]
    dashboard = full["ConfigMap", "release-firstseen-dashboard"]["data"]["firstseen.json"]
    assert json.loads(dashboard) == json.loads((ROOT / "packaging/grafana/firstseen.json").read_text())


def test_the_network_policy_lets_in_and_out_what_is_needed(full: dict[tuple[str, str], dict[str, Any]]) -> None:
    policy = full["NetworkPolicy", "release-firstseen"]["spec"]
    records, metrics = policy["ingress"]
    assert records["from"] == EVERYTHING["networkPolicy"]["senders"]
    assert metrics["from"] == [{"podSelector": {}}]
    names, *others = policy["egress"]
    assert {port["port"] for port in names["ports"]} == {53}
    chosen = EVERYTHING["networkPolicy"]
    assert others == [
        {"to": chosen["logReceivers"], "ports": tcp(24230)},
        {"to": chosen["receivers"], "ports": tcp(24224)},
        {"to": chosen["stateServers"], "ports": tcp(6380)},
        *chosen["egress"],
    ]


def tcp(*ports: int) -> list[dict[str, Any]]:
    return [{"protocol": "TCP", "port": port} for port in ports]


def let_out(configuration: dict[str, Any], **policy: Any) -> list[dict[str, Any]]:
    """The rules of egress, but for the one for DNS."""
    made = rendered(CHART, {"config": configuration, "networkPolicy": {"enabled": True, **policy}})
    rules: list[dict[str, Any]] = made["NetworkPolicy", "release-firstseen"]["spec"]["egress"]
    return rules[1:]


@pytest.mark.parametrize(
    ("configuration", "ports"),
    [
        ({}, [24224]),
        (
            {"output": {"servers": ["a:1", "tls://b:2", {"address": "[::1]:3"}, "c:1"], "standby": ["d:4"]}},
            [1, 2, 3, 4],
        ),
        ({"output": {"servers": ["${HOST}:24300", "unix:/run/next.sock"]}}, [24300]),
        ({"output": {"servers": ["unix:/run/next.sock"]}}, []),
        ({"state": {"url": "redis://redis.data:6380/0"}}, [24224, 6380]),
        ({"state": {"url": "REDISS://redis.data"}}, [24224, 6379]),
        ({"state": {"url": "redis://ada:${PASSWORD}@${HOST:-redis}:6380/0"}}, [24224, 6380]),
        ({"state": {"url": "redis://:a:1@[fd00::7]/2"}}, [24224, 6379]),
        ({"state": {"url": "rediss+cluster://a:7000,b:7001,c"}}, [24224, 7000, 7001, 6379]),
        ({"state": {"url": "redis+sentinel://a,b:26380/name/1"}}, [24224, 26379, 26380, 6379]),
        ({"state": {"url": ""}, "log": {"forward": ""}}, [24224]),
        ({"log": {"forward": "collector:24230"}}, [24230, 24224]),
        ({"log": {"forward": "unix:/run/log.sock"}}, [24224]),
        ({"log": 'level = "debug"', "state": 'path = "/var/lib/firstseen"\nmap_size = "2GiB"'}, [24224]),
    ],
    ids=str,
)
def test_the_network_policy_lets_out_what_the_configuration_names(
    configuration: dict[str, Any], ports: list[int]
) -> None:
    rules = let_out(configuration)
    assert [port["port"] for rule in rules for port in rule["ports"]] == ports
    assert not [rule for rule in rules if "to" in rule], "nothing says where these servers are"


@pytest.mark.parametrize(
    ("configuration", "which"),
    [
        ({"output": {"servers": ["${NEXT}"]}}, "output.servers"),
        ({"output": {"servers": ["a:24224"], "standby": [{"address": "${NEXT:-b:24224}"}]}}, "output.standby"),
        ({"output": 'servers = ["a:24225"]'}, "output"),
        ({"state": {"url": "${STATE}"}}, "state.url"),
        ({"state": {"url": "redis://${REDIS}/0"}}, "state.url"),
        ({"state": {"url": "redis+cluster://a:7000,${REDIS:-b:7001}"}}, "state.url"),
        ({"state": 'url = "redis://redis:6380/0"'}, "state"),
        ({"log": {"forward": "${COLLECTOR}"}}, "log.forward"),
        ({"log": 'forward = "collector:24230"'}, "log"),
    ],
    ids=str,
)
def test_a_network_policy_that_cannot_see_a_port_is_told_it(configuration: dict[str, Any], which: str) -> None:
    said = refused({"config": configuration, "networkPolicy": {"enabled": True}})
    assert f"no port is to be seen in config.{which}: " in said
    assert "networkPolicy.egress" in said
    told = {"to": [{"podSelector": {}}], "ports": tcp(24999)}
    assert told in let_out(configuration, egress=[told])


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"replica": 1}, "replica"),
        ({"mode": "daemonset"}, "mode"),
        ({"config": {"outputs": {}}}, "outputs"),
        ({"persistence": {"accessModes": ["ReadWriteMany"]}}, "accessModes"),
        ({"persistence": {"existingClaim": "one"}, "replicas": 2}, "only one agent may use"),
        ({"rules": {"shipped": False}}, "no rules"),
        ({"image": {"digest": "latest"}}, "digest"),
        ({"networkPolicy": {"senders": [{}]}}, "senders"),
        ({"networkPolicy": {"egress": [{}]}}, "egress"),
    ],
)
def test_mistakes_are_refused(values: dict[str, Any], why: str) -> None:
    assert why in refused(values)


def test_a_sidecar_without_a_place_for_its_memory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "charts").mkdir()
    (tmp_path / "charts/firstseen").symlink_to(CHART)
    (tmp_path / "templates/daemonset.yaml").write_text(DAEMONSET)
    (tmp_path / "Chart.yaml").write_text("apiVersion: v2\nname: collector\nversion: 1.0.0\n")
    done = helm(tmp_path, {"firstseen": {"mode": "sidecar"}})
    assert done.returncode == 1
    assert "sidecar.stateVolume is needed" in done.stderr


def test_its_version_is_the_agent_s() -> None:
    text = (CHART / "Chart.yaml").read_text()
    assert f'appVersion: "{firstseen.__version__}"' in text
    assert f"version: {firstseen.__version__}" in text
