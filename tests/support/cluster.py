"""A stand-in for a Kubernetes API server: takes whatever is created, and says that nothing was there before.

It knows which kinds there are, and nothing of what they mean. Helm's library renders a chart only for a cluster that it
installs it in; this is one, on loopback.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

VERSION = {"major": "1", "minor": "33", "gitVersion": "v1.33.0"}

KINDS: Mapping[str, Mapping[str, str]] = {
    "v1": {"ConfigMap": "configmaps", "Secret": "secrets", "Service": "services", "ServiceAccount": "serviceaccounts"},
    "apps/v1": {"StatefulSet": "statefulsets", "DaemonSet": "daemonsets", "Deployment": "deployments"},
    "policy/v1": {"PodDisruptionBudget": "poddisruptionbudgets"},
    "networking.k8s.io/v1": {"NetworkPolicy": "networkpolicies"},
    "monitoring.coreos.com/v1": {"ServiceMonitor": "servicemonitors", "PrometheusRule": "prometheusrules"},
}


class Cluster:
    """Runs as a context manager; ``created`` is what was created, but for Helm's own books."""

    def __init__(self) -> None:
        self.created: list[dict[str, Any]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def kubeconfig(self) -> str:
        """How to reach it, as kubectl and Helm have it told, in YAML."""
        return f"""
apiVersion: v1
kind: Config
current-context: here
clusters: [{{name: here, cluster: {{server: "http://127.0.0.1:{self._server.server_port}"}}}}]
users: [{{name: me, user: {{}}}}]
contexts: [{{name: here, context: {{cluster: here, user: me}}}}]
"""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def discovered(path: str) -> dict[str, Any] | None:
    """What a client is told at ``path`` of what there is; None where that is no such question."""
    if path == "/version":
        return dict(VERSION)
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        groups = []
        for group_version in KINDS:
            if "/" in group_version:
                entry = {"groupVersion": group_version, "version": group_version.partition("/")[2]}
                name = group_version.partition("/")[0]
                groups.append({"name": name, "versions": [entry], "preferredVersion": entry})
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    group_version = path.removeprefix("/apis/").removeprefix("/api/")
    if group_version in KINDS:
        resources = [
            {"name": plural, "singularName": kind.lower(), "namespaced": True, "kind": kind, "verbs": ["create", "get"]}
            for kind, plural in KINDS[group_version].items()
        ]
        return {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": group_version,
            "resources": resources,
        }
    return None


def _handler(cluster: Cluster) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            found = discovered(path)
            if found is not None:
                self._answer(200, found)
            elif path.rsplit("/", 1)[-1] in ("secrets",):
                self._answer(200, {"kind": "SecretList", "apiVersion": "v1", "metadata": {}, "items": []})
            else:
                self._answer(
                    404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
                )

        def do_POST(self) -> None:
            body = self._body()
            kind = self.headers["Content-Type"]
            if kind == "application/json":  # and not protobuf, in which Helm keeps its own books
                cluster.created.append(json.loads(body))
            self._send(201, kind, body)

        def do_PATCH(self) -> None:
            self._body()
            self._answer(404, {"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404})

        def do_PUT(self) -> None:
            self._send(200, self.headers["Content-Type"], self._body())

        def _body(self) -> bytes:
            return self.rfile.read(int(self.headers["Content-Length"]))

        def _answer(self, code: int, told: dict[str, Any]) -> None:
            self._send(code, "application/json", json.dumps(told).encode())

        def _send(self, code: int, kind: str, body: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
