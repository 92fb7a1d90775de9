"""Pods, as a kubelet has containerd run them: the Container Runtime Interface."""

import importlib
import itertools
import uuid
from typing import Any

from tests.runtimes import image
from tests.runtimes.containerd import SOCKET, Containerd
from tests.runtimes.machine import Machine, W

_TIMEOUT = 60


class RefusedError(Exception):
    """The runtime did not do what it was asked for; says why."""


class CRI(Containerd):
    """A client of what containerd offers to a kubelet."""

    def __init__(self, machine: Machine) -> None:
        # Not for those who only collect tests: gRPC has threads.  Nor has it types.
        grpc: Any = importlib.import_module("grpc")
        api: Any = importlib.import_module("cri_api.v1.api_pb2_grpc")
        self.started = 0
        self._pb: Any = importlib.import_module("cri_api.v1.api_pb2")
        self._numbers = itertools.count()
        self._error: Any = grpc.RpcError
        self._channel: Any = grpc.insecure_channel(f"unix://{SOCKET}")
        self._service: Any = api.RuntimeServiceStub(self._channel)
        super().__init__(machine, "k8s.io")

    def _is_ready(self) -> bool:
        try:
            status = self.call("Status", "StatusRequest").status
        except RefusedError:
            return False
        return all(condition.status for condition in status.conditions)

    def call(self, method: str, request: str, **fields: Any) -> Any:
        """Call a method of the interface."""
        try:
            return getattr(self._service, method)(
                getattr(self._pb, request)(**fields), timeout=_TIMEOUT
            )
        except self._error as err:
            raise RefusedError(err.details()) from err

    def pod(self, name: str, *, ports: dict[int, int] | None = None) -> str:
        """Start a pod and return its ID."""
        config = self._pod_config(name, ports or {})
        ident: str = self.call(
            "RunPodSandbox", "RunPodSandboxRequest", config=config
        ).pod_sandbox_id
        return ident

    def _pod_config(self, name: str, ports: dict[int, int]) -> Any:
        pb = self._pb
        options = pb.NamespaceOption(network=pb.POD, pid=pb.CONTAINER, ipc=pb.POD)
        context = pb.LinuxSandboxSecurityContext(namespace_options=options)
        return pb.PodSandboxConfig(
            metadata=pb.PodSandboxMetadata(name=name, uid=str(uuid.uuid4()), namespace="ns1"),
            hostname=name,
            log_directory=str(W / "logs"),
            port_mappings=[
                pb.PortMapping(protocol=pb.TCP, container_port=inner, host_port=outer)
                for outer, inner in ports.items()
            ],
            linux=pb.LinuxPodSandboxConfig(cgroup_parent="/pods", security_context=context),
        )

    def container(self, pod: str, *argv: str) -> str:
        """Start a container in a pod and return its ID."""
        pb = self._pb
        name = f"c{next(self._numbers)}"
        config = pb.ContainerConfig(
            metadata=pb.ContainerMetadata(name=name),
            image=pb.ImageSpec(image=image.NAME),
            command=list(argv),
            log_path=f"{name}.log",
        )
        fields = {"config": config, "sandbox_config": self._pod_config("pod", {})}
        created = self.call(
            "CreateContainer", "CreateContainerRequest", pod_sandbox_id=pod, **fields
        )
        ident: str = created.container_id
        self.call("StartContainer", "StartContainerRequest", container_id=ident)
        self.started += 1
        return ident

    def exec(self, container: str, *argv: str) -> str:
        """Execute a program in a container, which must succeed."""
        done = self.call(
            "ExecSync", "ExecSyncRequest", container_id=container, cmd=list(argv), timeout=20
        )
        assert done.exit_code == 0, done
        return str(done.stdout, "utf-8")

    def address(self, pod: str) -> str:
        """Return the address that the runtime says the pod has."""
        status = self.call("PodSandboxStatus", "PodSandboxStatusRequest", pod_sandbox_id=pod)
        return str(status.status.network.ip)

    def state(self, container: str) -> str:
        """Return the state of a container."""
        status = self.call("ContainerStatus", "ContainerStatusRequest", container_id=container)
        return str(self._pb.ContainerState.Name(status.status.state))

    def stop(self, pod: str) -> None:
        """Stop a pod, which takes its network away."""
        self.call("StopPodSandbox", "StopPodSandboxRequest", pod_sandbox_id=pod)

    def remove(self, pod: str) -> None:
        """Remove a pod."""
        self.call("RemovePodSandbox", "RemovePodSandboxRequest", pod_sandbox_id=pod)

    def clear(self) -> None:
        """Stop and remove every pod, as long as there is a daemon to ask."""
        if not self.daemon.is_running:
            return
        for pod in self.call("ListPodSandbox", "ListPodSandboxRequest").items:
            self.stop(pod.id)
            self.remove(pod.id)

    def close(self) -> None:
        """End the daemon and leave it."""
        super().close()
        self._channel.close()
