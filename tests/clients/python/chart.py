"""Renders the chart in deploy/helm with Helm's own library, and checks the result. Needs no cluster.

Arguments: the chart, its document, the server's binary.
"""

import json
import os
import re
import subprocess
import sys
import tempfile

import helm_python as helm
import kubernetes_validate
import yaml

CHART, DOCUMENT, SERVER = sys.argv[1:]

# The oldest version of Kubernetes that the chart allows, and the newest one with schemas.
VERSIONS = ["1.27.0", "1.37.0"]

# Belongs to the Prometheus operator, so Kubernetes has no schema of it.
FOREIGN = "ServiceMonitor"

# What stands in the pod, with every option that adds something to it.
EVERYTHING = {
    "image": {"digest": "sha256:" + "0" * 64},
    "imagePullSecrets": [{"name": "registry"}],
    "config": "[limits]\ncalls = 100\n",
    "env": [{"name": "FEATURE_SERVER__LOG__FORMAT", "value": "json"}],
    "tls": {"secretName": "certificate", "clientCaSecretName": "clients"},
    "extraSecrets": [{"secretName": "revoked", "mountPath": "/etc/feature-server/revoked"}],
    "service": {"annotations": {"example.com/a": "b"}},
    "persistence": {"storageClassName": "fast"},
    "metrics": {"serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}}},
    "networkPolicy": {"callers": [{"podSelector": {}}], "metricsNamespace": "monitoring"},
    "podDisruptionBudget": {"enabled": True},
    "traces": {"endpoint": "http://collector:4317"},
    "podAnnotations": {"example.com/c": "d"},
    "nodeSelector": {"disk": "fast"},
    "tolerations": [{"key": "disk", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
}
# Several servers on one database.
FLEET = {
    "replicas": 3,
    "store": {
        "url": "postgres://feature@db1.example.com,db2.example.com/feature",
        "passwordSecretName": "database",
        "passwordSecretKey": "pass",
        "caSecretName": "database-ca",
        "keysSecretName": "keys",
    },
}
NOTHING = {"metrics": {"enabled": False}, "networkPolicy": {"enabled": False}}
PLAIN_TLS = {"tls": {"secretName": "certificate"}, **NOTHING}
BARE_FLEET = {"store": {"url": "postgres://feature@db.example.com/feature"}, **NOTHING}


def main():
    table = [
        # name, values, kinds beside those that are always there, the probes' port
        ("defaults", {}, {"StatefulSet", "NetworkPolicy"}, "metrics"),
        ("everything", EVERYTHING, {"StatefulSet", "NetworkPolicy", "PodDisruptionBudget", FOREIGN}, "metrics"),
        ("nothing", NOTHING, {"StatefulSet"}, "grpc"),
        ("TLS without metrics", PLAIN_TLS, {"StatefulSet"}, "grpc"),
        ("a fleet", FLEET, {"Deployment", "NetworkPolicy", "PodDisruptionBudget"}, "metrics"),
        ("a fleet with only a URL", BARE_FLEET, {"Deployment", "PodDisruptionBudget"}, "grpc"),
        (
            "everything of a fleet",
            EVERYTHING | FLEET,
            {"Deployment", "NetworkPolicy", "PodDisruptionBudget", FOREIGN},
            "metrics",
        ),
    ]
    for name, values, more, port in table:
        report = helm.lint(CHART, values, strict=True)
        # Information, such as a recommended icon, is no defect.
        defects = [message for message in report["messages"] if message["severity"] > 1]
        assert not defects and not report["errors"], (name, report)
        resources = render(values)
        kinds = {resource["kind"] for resource in resources}
        assert kinds == {"ConfigMap", "Service", "ServiceAccount"} | more, (name, kinds)
        for resource in resources:
            check_schema(resource)
        pod = one(resources, (more & {"StatefulSet", "Deployment"}).pop())["spec"]["template"]["spec"]
        check_restricted(pod)
        check_probes(pod, port)
        if "Deployment" in more:
            check_fleet(resources, pod, values)
        check_configuration(pod, one(resources, "ConfigMap"), values)
        check_monitoring(resources)
    refused({"tls": {"clientCaSecretName": "clients"}, **NOTHING}, "the probes need metrics.enabled")
    refused({"replicas": 2}, "replicas > 1 needs store.url")
    for name in ["passwordSecretName", "caSecretName", "keysSecretName"]:
        refused({"store": {name: "secret"}}, f"store.{name} needs store.url")
    check_document()
    print("the chart is sound")


def render(values):
    with helm.Chart.load(CHART) as chart:
        files = chart.render(values=values, name="demo", namespace="features")
    files = {name: text for name, text in files.items() if name.endswith(".yaml")}
    documents = [document for text in files.values() for document in yaml.safe_load_all(text)]
    return [document for document in documents if document]


def refused(values, message):
    try:
        render(values)
    except helm.HelmRenderError as error:
        assert message in str(error), error
    else:
        raise AssertionError(f"rendered with {values}")


def one(resources, kind):
    [resource] = [resource for resource in resources if resource["kind"] == kind]
    return resource


def check_schema(resource):
    if resource["kind"] == FOREIGN:
        return
    for version in VERSIONS:
        kubernetes_validate.validate(resource, version, strict=True)


def check_restricted(pod):
    """The rules of the pod security standard 'restricted', and a root file system without writes."""
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    [container] = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    allowed = {"configMap", "emptyDir", "secret"}
    for volume in pod["volumes"]:
        assert set(volume) - {"name"} <= allowed, volume
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]} | {"data"}


def check_fleet(resources, pod, values):
    """A drain and an upgrade take one server at a time, and secrets are files."""
    deployment = one(resources, "Deployment")["spec"]
    assert deployment["replicas"] == values.get("replicas", 1), deployment
    assert deployment["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}, deployment
    assert one(resources, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    for constraint in pod["topologySpreadConstraints"]:
        assert constraint["labelSelector"] == deployment["selector"], constraint
    [container] = pod["containers"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes["data"] == {"name": "data", "emptyDir": {}}, volumes
    mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
    variables = {variable["name"]: variable["value"] for variable in container["env"]}
    assert mounts["data"]["mountPath"] == variables["FEATURE_SERVER__SERVER__DATA"], mounts
    table = [
        # value, its volume, a file that the server expects in there
        ("passwordSecretName", "store-password", variables.get("FEATURE_SERVER__STORE__PASSWORD_FILE")),
        ("caSecretName", "store-ca", variables.get("FEATURE_SERVER__STORE__CA_FILE")),
        ("keysSecretName", "keys", variables["FEATURE_SERVER__SERVER__DATA"] + "/keys/1.pem"),
    ]
    for value, volume, path in table:
        secret = values["store"].get(value)
        assert (volume in mounts) == bool(secret), (value, mounts)
        if secret:
            assert volumes[volume]["secret"]["secretName"] == secret, volumes
            assert mounts[volume]["readOnly"] and os.path.dirname(path) == mounts[volume]["mountPath"], (path, mounts)
    for item in volumes.get("store-password", {}).get("secret", {}).get("items", []):
        file = os.path.basename(variables["FEATURE_SERVER__STORE__PASSWORD_FILE"])
        assert item == {"key": values["store"]["passwordSecretKey"], "path": file}, item


def check_probes(pod, port):
    [container] = pod["containers"]
    ports = {port["name"] for port in container["ports"]}
    paths = {"startupProbe": "/readyz", "readinessProbe": "/readyz", "livenessProbe": "/healthz"}
    for probe, path in paths.items():
        asked = container[probe]["httpGet"]
        assert (asked["path"], asked["port"]) == (path, port) and port in ports, (probe, asked)
        encrypted = port == "grpc" and any(volume["name"] == "tls" for volume in pod["volumes"])
        assert asked.get("scheme", "HTTP") == ("HTTPS" if encrypted else "HTTP"), (probe, asked)
    assert container["startupProbe"]["periodSeconds"] == 1, "failureThreshold counts seconds"


def check_monitoring(resources):
    """Prometheus finds the metrics, callers do not."""
    with_metrics = [
        service["metadata"]["name"]
        for service in resources
        if service["kind"] == "Service" and "metrics" in {port["name"] for port in service["spec"]["ports"]}
    ]
    assert all(name.endswith("-headless") for name in with_metrics), with_metrics
    for monitor in (resource for resource in resources if resource["kind"] == FOREIGN):
        assert with_metrics and monitor["spec"]["jobLabel"] == "app.kubernetes.io/name", monitor


def check_configuration(pod, config_map, values):
    """The server itself reads the file and the variables of the container."""
    [container] = pod["containers"]
    variables = {variable["name"]: variable["value"] for variable in container["env"]}
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "feature-server.toml"), "w") as file:
            file.write(config_map["data"]["feature-server.toml"])
        command = [SERVER, "config"]
        output = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True)
    assert output.returncode == 0, (output.stderr, json.dumps(variables))
    url = values.get("store", {}).get("url")
    folder = "/var/lib/feature-server" if url else "/var/lib/feature-server/data"
    assert f'data = "{folder}"' in output.stdout, output.stdout
    assert not url or f'url = "{url}"' in output.stdout, output.stdout
    endpoint = values.get("traces", {}).get("endpoint", "")
    assert f'endpoint = "{endpoint}"' in output.stdout, output.stdout


def check_document():
    """The table of values in the document has each value with its default, and no other."""
    with open(os.path.join(CHART, "values.yaml")) as file:
        expected = flat(yaml.safe_load(file))
    with open(DOCUMENT) as file:
        rows = re.findall(r"^\| `([^`]+)` \| `([^`]*)` \|", file.read(), re.MULTILINE)
    written = {name: yaml.safe_load(default) for name, default in rows}
    for name in expected.keys() | written.keys():
        assert name in written, f"{DOCUMENT} has no row for {name}"
        assert name in expected, f"{DOCUMENT} has a row for {name}, which values.yaml does not have"
        assert written[name] == expected[name], f"{DOCUMENT}: the default of {name} is {expected[name]!r}"


def flat(values, prefix=""):
    found = {}
    for name, value in values.items():
        if isinstance(value, dict) and value:
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


main()
