"""What a work pool starts for each flow run: Prefect's base job templates, made in one place.

A pool of kind `process` needs none: its worker's own environment is all. The others start Convoy's
image (`deploy/Dockerfile`). Secrets stand in none of them: a container reads
/run/secrets/convoy, a pod the Kubernetes secret `convoy-worker`. Prefect's own template for
Kubernetes puts `parallelism` where its API knows none, hence one of ours.
"""

import json
import socket
from pathlib import Path
from typing import Any

from convoy.errors import UsageError, nearest

KINDS = ("process", "docker", "kubernetes")
SECRETS = "/etc/convoy/worker.secrets"
"""On a machine with Docker: what `deploy/secrets.example` lists for a worker."""
SECRET = "convoy-worker"
"""The same in Kubernetes, by `kubectl create secret generic convoy-worker --from-env-file`."""
STATE = "/convoy/.convoy"
"""Checkpoints and DVC's cache in the image; without a volume there each run begins anew."""

_TEXT = {"type": "string"}
_FILLED: dict[str, dict[str, Any]] = {
    "command": {**_TEXT, "title": "Command", "description": "Prefect's own, if empty."},
    "name": {**_TEXT, "title": "Name", "description": "Of what is started; Prefect's own."},
    "env": {
        "title": "Environment",
        "description": "Variables of a run; no secrets.",
        "type": "object",
        "additionalProperties": _TEXT,
    },
    "labels": {"title": "Labels", "type": "object", "additionalProperties": _TEXT},
}


def template(kind: str, image: str = "", gpus: int = 0) -> dict[str, Any]:
    """Return the base job template of a pool; an empty one where Prefect's own is right.

    Raises `UsageError` for an unknown kind, and for a container without an image.
    """
    if kind not in KINDS:
        raise UsageError(f"unknown kind of work pool {kind!r}: {nearest(kind, KINDS)}")
    if gpus < 0:
        raise UsageError(f"--gpus is {gpus}: it is the number of GPUs of a run.")
    if kind == "process":
        return {}
    if not image:
        raise UsageError(
            f"a pool of kind {kind} starts an image: name it with --image (deploy/README.md says "
            f"how it is built)."
        )
    return _docker(image, gpus) if kind == "docker" else _kubernetes(image, gpus)


def write(state: Path, pool: str, made: dict[str, Any]) -> Path:
    """Write a template where the worker that makes its pool reads it; return the file."""
    file = state / f"pool-{pool.replace('/', '_')}.json"
    file.write_text(json.dumps(made, indent=1), encoding="utf-8")
    return file


def _docker(image: str, gpus: int) -> dict[str, Any]:
    more: dict[str, Any] = {"shm_size": "2g"}
    if gpus:
        numbers = [str(number) for number in range(gpus)]
        more["device_requests"] = [{"device_ids": numbers, "capabilities": [["gpu"]]}]
    # A container's host name is its own: its devices are those of the machine around it.
    slots = ",".join(f"{socket.gethostname()}:gpu-{number}" for number in range(gpus))
    volumes = [
        f"{SECRETS}:/run/secrets/convoy:ro",
        f"convoy-state:{STATE}",
        "convoy-slots:/var/lock/convoy",
    ]
    return {
        "job_configuration": {
            **{name: f"{{{{ {name} }}}}" for name in (*_FILLED, "image", "volumes", "networks")},
            "image_pull_policy": "IfNotPresent",
            "auto_remove": True,
            "stream_output": True,
            "container_create_kwargs": more,
        },
        "variables": {
            "type": "object",
            "properties": {
                **_FILLED,
                "env": {**_FILLED["env"], "default": {"CONVOY_SLOTS": slots}},
                "image": {**_TEXT, "title": "Image", "default": image},
                "volumes": {
                    "title": "Volumes",
                    "type": "array",
                    "items": _TEXT,
                    "default": volumes,
                },
                "networks": {"title": "Networks", "type": "array", "items": _TEXT, "default": []},
            },
        },
    }


def _kubernetes(image: str, gpus: int) -> dict[str, Any]:
    return {
        "job_configuration": {
            **{name: f"{{{{ {name} }}}}" for name in (*_FILLED, "namespace")},
            "job_manifest": _job(gpus),
            "stream_output": True,
            "pod_watch_timeout_seconds": 600,
        },
        "variables": {
            "type": "object",
            "properties": {
                **_FILLED,
                "namespace": {**_TEXT, "title": "Namespace", "default": "convoy"},
                "image": {**_TEXT, "title": "Image", "default": image},
                "cpu": {**_TEXT, "title": "CPU", "default": "4"},
                "memory": {**_TEXT, "title": "Memory", "default": "16Gi"},
                "claim": {
                    **_TEXT,
                    "title": "Volume claim",
                    "description": "Of .convoy/: checkpoints, and DVC's cache.",
                    "default": "convoy-state",
                },
            },
        },
    }


def _job(gpus: int) -> dict[str, Any]:
    """Return the manifest of a run's Job, with Prefect's places to fill in."""
    # The cluster gives a GPU to one pod alone; so no limit of Prefect's is needed.
    limits = {"memory": "{{ memory }}", **({"nvidia.com/gpu": str(gpus)} if gpus else {})}
    container = {
        "name": "prefect-job",  # Prefect's worker asks for this name
        "image": "{{ image }}",
        "imagePullPolicy": "IfNotPresent",
        "args": "{{ command }}",
        "env": "{{ env }}",
        "envFrom": [{"secretRef": {"name": SECRET}}],
        "resources": {"requests": {"cpu": "{{ cpu }}", "memory": "{{ memory }}"}, "limits": limits},
        "volumeMounts": [
            {"name": "state", "mountPath": STATE},
            {"name": "memory", "mountPath": "/dev/shm"},
        ],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "labels": "{{ labels }}",
            "namespace": "{{ namespace }}",
            "generateName": "{{ name }}-",
        },
        "spec": {
            # A run that was cut off is Prefect's to start again, and goes on from its checkpoint.
            "backoffLimit": 0,
            "parallelism": 1,
            "completions": 1,
            "ttlSecondsAfterFinished": 3600,
            "template": {
                "spec": {
                    "restartPolicy": "Never",
                    "terminationGracePeriodSeconds": 60,
                    "automountServiceAccountToken": False,
                    "containers": [container],
                    "volumes": [
                        {"name": "state", "persistentVolumeClaim": {"claimName": "{{ claim }}"}},
                        {"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}},
                    ],
                }
            },
        },
    }
