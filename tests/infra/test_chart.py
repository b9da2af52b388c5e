"""The chart as it would be installed: valid, and as confined as it says."""

import re
from typing import Any

import helm_python
import kubernetes_validate
import psycopg
import pytest
import yaml
from helm_python import HelmRenderError
from typer.testing import CliRunner

from infra.cli import app
from infra.embedded.postgres import Postgres
from shared.settings import Settings
from tests.infra.chart import (
    NEEDED,
    PLACE,
    SCALED,
    VARIANTS,
    Document,
    container,
    environment,
    merged,
    named,
    of_kind,
    pods,
    render,
)
from tests.system import create_database
from worker.embedder import facts as embedder
from worker.sandbox.settings import SandboxSettings

KUBERNETES = ("1.30", "1.37")  # the oldest that is promised, and the newest that is known
KEDA = {"ScaledObject", "TriggerAuthentication"}
CERTIFICATE, AUTHORITIES = "/etc/assistantd/certificate", "/etc/assistantd/authorities"
WITH_SERVERS = ("api", "worker", "ingest")
PARTS = {"api", "worker", "ingest", "embedder", "sandbox", "flower"}


@pytest.fixture(params=VARIANTS)
def documents(request: pytest.FixtureRequest) -> list[Document]:
    return render(VARIANTS[request.param])


def test_the_oldest_kubernetes_is_the_one_that_was_asked() -> None:
    assert yaml.safe_load((PLACE / "Chart.yaml").read_text())["kubeVersion"] == f">={KUBERNETES[0]}.0-0"


def test_helm_finds_nothing_wrong() -> None:
    found = helm_python.lint(PLACE, NEEDED)
    assert found["errors"] == []
    assert [it for it in found["messages"] if it["error"] != "icon is recommended"] == []


@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_knows_every_field(documents: list[Document], version: str) -> None:
    assert len(documents) > 10
    for document in documents:
        if document["kind"] not in KEDA:
            kubernetes_validate.validate(document, version, strict=True)


def test_a_field_that_nobody_knows_is_noticed() -> None:
    deployment = named(render({}), "Deployment", "api")
    deployment["spec"]["template"]["spec"]["enableServiceLink"] = False
    with pytest.raises(kubernetes_validate.ValidationError, match="enableServiceLink"):
        kubernetes_validate.validate(deployment, KUBERNETES[-1], strict=True)


@pytest.mark.parametrize(
    "missing",
    [
        "image.registry",
        "database.existingSecret",
        "redis.existingSecret",
        "model.baseUrl",
        "model.existingSecret",
        "embeddings.existingSecret",
        "files.url",
        "sandbox.existingSecret",
        "sandbox.isolation",
        "sandbox.runtimeClassName",
        "flower.existingSecret",
    ],
)
def test_what_is_missing_is_named(missing: str) -> None:
    group, name = missing.split(".")
    with pytest.raises(HelmRenderError, match=re.escape(missing)):
        render({group: {name: ""}})


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"worker": {"autoscaling": {"enabled": True}}}, "worker.autoscaling: postgres.existingSecret"),
        ({"sandbox": {"isolation": "seccomp", "unmaskProc": True}}, "sandbox.unmaskProc"),
        ({"sandbox": {"isolation": "chroot"}}, "sandbox.isolation: runtimeClass, seccomp or landlock"),
        ({"embeddings": {"baseUrl": "https://e.example/v1", "model": "m"}}, "embeddings.baseUrl: another endpoint, or"),
        ({"api": {"ingress": {"enabled": True}}}, "api.ingress.host"),
        ({"tls": {"sandbox": "sandbox-tls"}}, "tls.authorities: that workers know the sandbox by"),
        ({"tls": {"bucket": True}}, "tls.authorities: that the bucket's certificate comes from"),
    ],
)
def test_what_cannot_be_is_refused(values: dict[str, Any], says: str) -> None:
    with pytest.raises(HelmRenderError, match=says):
        render(values)


def test_every_pod_is_confined(documents: list[Document]) -> None:
    for part, pod in pods(documents):
        assert pod["automountServiceAccountToken"] is False, part
        assert pod["enableServiceLinks"] is False, part
        assert pod["securityContext"]["runAsNonRoot"] is True, part
        assert pod["securityContext"]["runAsUser"] > 0, part
        assert pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault", part
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & set(pod), part
        assert not any("hostPath" in volume for volume in pod["volumes"]), part
        for it in pod["containers"]:
            context = it["securityContext"]
            assert context["allowPrivilegeEscalation"] is False, part
            assert context["privileged"] is False, part
            assert context["readOnlyRootFilesystem"] is True, part
            assert context["capabilities"] == {"drop": ["ALL"]}, part
            profile = context.get("seccompProfile", {"type": "RuntimeDefault"})["type"]
            assert profile == "RuntimeDefault" or (part, profile) == ("sandbox", "Localhost")
            assert {mount["name"] for mount in it["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}


def test_every_container_says_what_it_needs(documents: list[Document]) -> None:
    for part, pod in pods(documents):
        for it in pod["containers"]:
            assert {"cpu", "memory"} <= set(it["resources"]["requests"]), part
            assert "memory" in it["resources"]["limits"], part
        assert all("sizeLimit" in volume["emptyDir"] for volume in pod["volumes"] if "emptyDir" in volume), part


def test_every_part_can_be_asked_whether_it_is_well(documents: list[Document]) -> None:
    for part, pod in pods(documents):
        probes = {name for name in pod["containers"][0] if name.endswith("Probe")}
        if part in ("worker", "ingest"):  # end by themselves when they hang; asked by way of Redis
            assert probes == {"readinessProbe"}, part
        elif part != "migrate":
            assert probes == {"startupProbe", "readinessProbe", "livenessProbe"}, part


def test_pods_are_spread_and_go_one_at_a_time(documents: list[Document]) -> None:
    budgets = {it["metadata"]["name"]: it["spec"] for it in of_kind(documents, "PodDisruptionBudget")}
    for document in of_kind(documents, "Deployment", "StatefulSet"):
        labels = document["spec"]["template"]["metadata"]["labels"]
        assert document["spec"]["selector"]["matchLabels"].items() <= labels.items()
        budget = budgets.pop(document["metadata"]["name"])
        assert budget["maxUnavailable"] == 1
        assert budget["selector"]["matchLabels"].items() <= labels.items()
        spread = document["spec"]["template"]["spec"]["topologySpreadConstraints"]
        assert {it["topologyKey"] for it in spread} == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
        assert all(it["labelSelector"]["matchLabels"].items() <= labels.items() for it in spread)
    assert budgets == {}


def test_no_secret_is_made_and_none_has_a_default(documents: list[Document]) -> None:
    assert of_kind(documents, "Secret", "ConfigMap") == []
    for part, pod in pods(documents):
        for variable in pod["containers"][0]["env"]:
            if variable.get("value") == f"{CERTIFICATE}/tls.key":
                continue  # the place of a file
            if re.search(r"DATABASE_URL|REDIS_URL|SECRET|KEY|AUTH|PASSWORD|TOKEN", variable["name"]):
                assert "value" not in variable, (part, variable["name"])
                assert "secretKeyRef" in variable["valueFrom"], (part, variable["name"])


def test_nobody_gets_a_secret_that_it_does_not_need() -> None:
    rendered = render(VARIANTS["everything"])
    holders = {
        part: {name for name, value in environment(rendered, part).items() if isinstance(value, dict)}
        for part in [*PARTS, "migrate"]
    }
    bucket = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    database, redis = "ASSISTANTD_DATABASE_URL", "ASSISTANTD_REDIS_URL"
    model, sandbox = "ASSISTANTD_MODEL_API_KEY", "ASSISTANTD_SANDBOX_SECRET"
    vectors, reranker = "ASSISTANTD_EMBEDDING_API_KEY", "ASSISTANTD_RERANKER_API_KEY"
    collector = "OTEL_EXPORTER_OTLP_HEADERS"
    assert holders == {
        "migrate": {database},
        "api": {database, redis, model, vectors, reranker, collector, *bucket},
        "worker": {database, redis, model, vectors, reranker, collector, sandbox, *bucket},
        "ingest": {database, redis, vectors, reranker, collector, *bucket},
        "embedder": {vectors},
        "sandbox": {sandbox},
        "flower": {redis, "FLOWER_BASIC_AUTH"},
    }
    accounts = {it["metadata"]["name"]: it for it in of_kind(rendered, "ServiceAccount")}
    assert all(it["automountServiceAccountToken"] is False for it in accounts.values())
    assert "annotations" not in accounts["demo-sandbox"]["metadata"]
    assert accounts["demo-server"]["metadata"]["annotations"] == {"role": "files"}


def test_traces_go_to_whom_the_values_name_and_else_nowhere() -> None:
    traced, plain = render(VARIANTS["everything"]), render({})
    for part in ("api", "worker", "ingest"):
        told = environment(traced, part)
        assert told["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://c:4318"
        assert told["OTEL_TRACES_SAMPLER_ARG"] == "0.1"
    for part in PARTS:
        assert not [name for name in environment(plain, part) if name.startswith("OTEL_")]


def test_settings_and_commands_exist(documents: list[Document]) -> None:
    """A misspelt setting would stop every pod."""
    known = {f"ASSISTANTD_{name.upper()}" for name in Settings.model_fields}
    known_of_sandbox = {f"ASSISTANTD_SANDBOX_{name.upper()}" for name in SandboxSettings.model_fields}
    for part, _ in pods(documents):
        given = {name for name in environment(documents, part) if name.startswith("ASSISTANTD_")}
        assert given <= (known_of_sandbox if part == "sandbox" else known), part
        command, *options = container(documents, part)["args"]
        shown = CliRunner().invoke(app, [command, "--help"])
        assert shown.exit_code == 0, part
        assert all(option in shown.stdout for option in options if option.startswith("--")), part


def policies(documents: list[Document]) -> dict[str, Document]:
    """By the part that they are for."""
    found = of_kind(documents, "NetworkPolicy")
    return {it["metadata"]["labels"]["app.kubernetes.io/component"]: it["spec"] for it in found}


def test_what_is_not_permitted_is_denied(documents: list[Document]) -> None:
    everybody = policies(documents)["all"]
    assert everybody["policyTypes"] == ["Ingress", "Egress"]
    assert not {"ingress", "egress"} & set(everybody)
    for document in of_kind(documents, "Deployment", "StatefulSet", "Job"):
        labels = document["spec"]["template"]["metadata"]["labels"]
        assert everybody["podSelector"]["matchLabels"].items() <= labels.items()
        own = policies(documents)[labels["app.kubernetes.io/component"]]
        assert own["podSelector"]["matchLabels"].items() <= labels.items()


def test_the_sandbox_reaches_nobody_and_is_reached_by_workers_alone() -> None:
    rendered = render({})
    sandbox = policies(rendered)["sandbox"]
    assert sandbox["policyTypes"] == ["Ingress", "Egress"]
    assert sandbox["egress"] == []
    (door,) = sandbox["ingress"]
    assert door["ports"] == [{"port": 8100}]
    assert door["from"] == [
        {
            "podSelector": {
                "matchLabels": {
                    "app.kubernetes.io/name": "assistantd",
                    "app.kubernetes.io/instance": "demo",
                    "app.kubernetes.io/component": "worker",
                }
            }
        }
    ]
    ways = {part for part, it in policies(rendered).items() if "8100" in str(it.get("egress"))}
    assert ways == {"worker"}


def test_nothing_but_the_api_has_a_door_of_its_own_accord() -> None:
    doors = {part for part, it in policies(render({})).items() if it.get("ingress")}
    assert doors == {"api", "embedder", "sandbox"}


def test_vectors_are_made_where_it_is_said() -> None:
    def told(**values: Any) -> dict[str, Any]:
        rendered = render(values)
        of_part = [
            {
                name.removeprefix("ASSISTANTD_EMBEDDING_"): value
                for name, value in environment(rendered, part).items()
                if "_EMBEDDING_" in name and isinstance(value, str)
            }
            for part in ("api", "worker", "ingest")
        ]
        assert of_part[0] == of_part[1] == of_part[2]
        return of_part[0]

    own = "http://demo-embedder.assistants.svc:8200/v1"
    assert told() == {"BASE_URL": own, "MODEL": embedder.NAME, "WINDOW": str(embedder.WINDOW)}
    there = {"baseUrl": "https://e.example/v1", "model": "m", "settings": {"DIMENSIONS": "512"}}
    assert told(embedder={"enabled": False}, embeddings=there) == (
        {"BASE_URL": "https://e.example/v1", "MODEL": "m", "DIMENSIONS": "512"}
    )
    assert told(embedder={"enabled": False}) == {}
    embedder_policy = policies(render({}))["embedder"]
    assert embedder_policy["egress"] == []
    assert len(embedder_policy["ingress"][0]["from"]) == 3


def test_workers_know_every_sandbox_by_its_pods_name() -> None:
    rendered = render({"sandbox": {"replicas": 2}})
    told = environment(rendered, "worker")["ASSISTANTD_SANDBOX_URL"].split(",")
    assert told == [f"http://demo-sandbox-{number}.demo-sandbox.assistants.svc:8100" for number in range(2)]
    service = named(rendered, "Service", "sandbox")
    sandbox = named(rendered, "StatefulSet", "sandbox")
    assert service["spec"]["clusterIP"] == "None"
    assert sandbox["spec"]["serviceName"] == service["metadata"]["name"]
    assert sandbox["spec"]["replicas"] == 2
    assert "ASSISTANTD_SANDBOX_URL" not in environment(render({"sandbox": {"enabled": False}}), "worker")


def test_pods_speak_tls_where_they_are_told_to() -> None:
    """Each has the files that its settings name, of the Secrets that the values name, and nothing else of them."""
    documents = render(VARIANTS["everything"])
    named_by = {
        ("api", "ASSISTANTD_TLS_CERTIFICATE"): (f"{CERTIFICATE}/tls.crt", "api-tls"),
        ("api", "ASSISTANTD_TLS_KEY"): (f"{CERTIFICATE}/tls.key", "api-tls"),
        ("sandbox", "ASSISTANTD_SANDBOX_CERTIFICATE"): (f"{CERTIFICATE}/tls.crt", "sandbox-tls"),
        ("sandbox", "ASSISTANTD_SANDBOX_KEY"): (f"{CERTIFICATE}/tls.key", "sandbox-tls"),
        **{(part, "ASSISTANTD_CA_FILE"): (f"{AUTHORITIES}/ca.crt", "authorities") for part in WITH_SERVERS},
        **{(part, "AWS_CA_BUNDLE"): (f"{AUTHORITIES}/ca.crt", "authorities") for part in WITH_SERVERS},
    }
    for (part, variable), (path, secret) in named_by.items():
        assert environment(documents, part)[variable] == path
        assert mounted(documents, part)[path.rpartition("/")[0]] == secret
    secrets = {part: set(mounted(documents, part).values()) for part, _ in pods(documents)}
    assert secrets == {
        "api": {"authorities", "api-tls"},
        **{part: {"authorities"} for part in ("worker", "ingest", "flower", "migrate")},
        "embedder": set(),
        "sandbox": {"sandbox-tls"},
    }
    for part, scheme in (("api", "HTTPS"), ("sandbox", "HTTPS"), ("embedder", None), ("flower", None)):
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert container(documents, part)[probe]["httpGet"].get("scheme") == scheme
    assert environment(documents, "worker")["ASSISTANTD_SANDBOX_URL"].startswith("https://demo-sandbox-0.demo-sandbox.")


def test_pods_speak_plainly_otherwise() -> None:
    documents = render({})
    for part, _ in pods(documents):
        assert mounted(documents, part) == {}
        assert not {"ASSISTANTD_CA_FILE", "AWS_CA_BUNDLE"} & environment(documents, part).keys()


def mounted(documents: list[Document], part: str) -> dict[str, str]:
    """Secrets that the part's container sees as files, by directory; it may only read them."""
    spec = dict(pods(documents))[part]
    secrets = {volume["name"]: volume["secret"] for volume in spec["volumes"] if "secret" in volume}
    mounts = {mount["name"]: mount for mount in container(documents, part)["volumeMounts"]}
    assert secrets.keys() <= mounts.keys() <= {volume["name"] for volume in spec["volumes"]}
    assert all(mounts[name]["readOnly"] and secret["defaultMode"] == 0o440 for name, secret in secrets.items())
    return {mounts[name]["mountPath"]: secret["secretName"] for name, secret in secrets.items()}


def test_levels_of_isolation() -> None:
    def sandbox(**values: Any) -> tuple[Document, str]:
        rendered = render({"sandbox": values})
        return dict(pods(rendered))["sandbox"], environment(rendered, "sandbox")["ASSISTANTD_SANDBOX_MINIMUM"]

    pod, minimum = sandbox(isolation="runtimeClass", runtimeClassName="kata")
    assert (pod["runtimeClassName"], minimum) == ("kata", "bwrap")
    pod, minimum = sandbox(isolation="seccomp", userNamespaces=True)
    context = pod["containers"][0]["securityContext"]
    assert (pod["hostUsers"], minimum) == (False, "bwrap")
    assert context["seccompProfile"]["localhostProfile"] == "assistantd/sandbox-seccomp.json"
    assert "runtimeClassName" not in pod
    assert "procMount" not in context
    pod, minimum = sandbox(isolation="landlock")
    assert minimum == "landlock"
    assert not {"runtimeClassName", "hostUsers"} & set(pod)


def test_pods_are_given_longer_than_they_drain() -> None:
    rendered = render({"drainTimeout": 100, "sandbox": {"drainTimeout": 30}})
    grace = {part: pod.get("terminationGracePeriodSeconds", 0) for part, pod in pods(rendered)}
    assert environment(rendered, "worker")["ASSISTANTD_DRAIN_TIMEOUT"] == "100"
    assert min(grace["api"], grace["worker"], grace["ingest"]) >= 110
    assert grace["sandbox"] >= 40


def test_the_schema_comes_before_the_code() -> None:
    job = named(render({}), "Job", "migrate")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert "serviceAccountName" not in job["spec"]["template"]["spec"]  # it would not be there yet
    assert job["spec"]["template"]["spec"]["containers"][0]["args"] == ["migrate"]


def test_what_scales_has_no_fixed_number() -> None:
    rendered = render(SCALED)
    assert "replicas" not in named(rendered, "Deployment", "worker")["spec"]
    assert "replicas" not in named(rendered, "Deployment", "api")["spec"]
    fixed = render({"api": {"autoscaling": {"enabled": False}}})
    assert named(fixed, "Deployment", "worker")["spec"]["replicas"] == 2
    assert named(fixed, "Deployment", "api")["spec"]["replicas"] == 2
    assert of_kind(fixed, "HorizontalPodAutoscaler", *KEDA) == []


def test_keda_is_asked_in_its_own_words() -> None:
    """Its schemas are in no package: these are the fields of keda.sh/v1alpha1 that are used, and their types."""
    prometheus = {"serverAddress": "http://prometheus:9090", "query": "sum(runs)"}
    rendered = render(merged(SCALED, {"worker": {"autoscaling": {"prometheus": prometheus}}}))
    scaled, authentication = (
        named(rendered, "ScaledObject", "worker"),
        named(rendered, "TriggerAuthentication", "worker"),
    )
    assert scaled["apiVersion"] == authentication["apiVersion"] == "keda.sh/v1alpha1"
    spec = scaled["spec"]
    assert spec.pop("scaleTargetRef") == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "demo-worker"}
    triggers = {it["type"]: it for it in spec.pop("triggers")}
    behaviour = spec.pop("advanced").pop("horizontalPodAutoscalerConfig").pop("behavior")
    fallback = spec.pop("fallback")
    assert spec == {"minReplicaCount": 2, "maxReplicaCount": 50, "pollingInterval": 10}
    assert fallback == {"failureThreshold": 6, "replicas": 2, "behavior": "currentReplicasIfHigher"}
    assert behaviour["scaleDown"]["stabilizationWindowSeconds"] == 300
    assert all(isinstance(value, str) for it in triggers.values() for value in it["metadata"].values())
    assert set(triggers["postgresql"]["metadata"]) == {"query", "targetQueryValue"}
    assert triggers["postgresql"]["authenticationRef"]["name"] == authentication["metadata"]["name"]
    assert triggers["prometheus"]["metadata"] == {**prometheus, "threshold": "200"}
    (parameter,) = authentication["spec"]["secretTargetRef"]
    assert parameter == {"parameter": "connection", "name": "scaler", "key": "url"}


def test_the_scaler_may_count_runs_and_read_nothing_else(postgres: Postgres) -> None:
    """With the very statements of infra/README.md."""
    text = (PLACE.parents[1] / "README.md").read_text().split("## In Kubernetes")[1]
    statements = re.findall(r"^ {4}((?:CREATE ROLE|GRANT)[^;]* assistantd_scaler[^;]*);$", text, re.MULTILINE)
    assert len(statements) == 3
    url = create_database(postgres.url, "scaled")
    password = "of-a-test-alone"
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.replace("…", password).encode())
    (trigger,) = named(render(SCALED), "ScaledObject", "worker")["spec"]["triggers"]

    with psycopg.connect(url, user="assistantd_scaler", password=password, autocommit=True) as scaler:
        assert scaler.execute(trigger["metadata"]["query"].encode()).fetchone() == (0,)
        for refused in ("SELECT instructions FROM runs", "SELECT 1 FROM messages", "DELETE FROM runs"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                scaler.execute(refused.encode())

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP OWNED BY assistantd_scaler")
        connection.execute("DROP ROLE assistantd_scaler")


def test_values_are_explained_where_they_have_no_default() -> None:
    values = yaml.safe_load((PLACE / "values.yaml").read_text())
    assert values["sandbox"]["isolation"] == ""
    assert {
        group: values[group]["existingSecret"] for group in ("database", "redis", "model", "sandbox", "flower")
    } == (dict.fromkeys(("database", "redis", "model", "sandbox", "flower"), ""))
