"""Helm itself, from its library, in a process of its own: installs a chart in a cluster that only takes notes.

    python -m support.helm CHART VALUES [NAME]

prints what was ``created`` and the ``notes`` that Helm shows to who installed it, as JSON, or says what Helm says and
exits 1.
"""

from __future__ import annotations

import asyncio
import json
import sys

from support.cluster import Cluster


def main(chart: str, values: str, name: str = "release") -> int:
    import helm_sdkpy  # a hundred megabytes, for this process only

    with Cluster() as cluster:
        configuration = helm_sdkpy.Configuration(namespace="logs", kubeconfig=cluster.kubeconfig)
        install = helm_sdkpy.Install(configuration)
        try:
            release = asyncio.run(install.run(name, chart, values=json.loads(values), wait=False))
        except helm_sdkpy.HelmError as error:
            print(error, file=sys.stderr)
            return 1
        print(json.dumps({"created": cluster.created, "notes": release["info"].get("notes", "")}))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
