"""Health per concern, and reflection."""

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from impressions.formats.generation_paths import HostPaths
from serving.health import BATCH, READY, SERVICE, SPEED, Health
from tests.serving.support import install, serving, settings_in, until

SERVING, NOT_SERVING, UNKNOWN = (
    health_pb2.HealthCheckResponse.SERVING,
    health_pb2.HealthCheckResponse.NOT_SERVING,
    health_pb2.HealthCheckResponse.UNKNOWN,
)


def health_of(channel, concern):
    request = health_pb2.HealthCheckRequest(service=concern)
    return health_pb2_grpc.HealthStub(channel).Check(request, timeout=5).status


def test_a_server_is_ready_once_a_generation_is_loaded(tmp_path):
    """Not before; and there is no stream to be fresh or stale."""
    settings = settings_in(tmp_path)
    with serving(settings) as server, grpc.insecure_channel(server.address) as channel:
        for concern in (READY, SERVICE, BATCH):
            assert health_of(channel, concern) == NOT_SERVING
        install(settings)
        for concern in (READY, SERVICE, BATCH):
            until(lambda c=concern: health_of(channel, c) == SERVING, f"{concern!r} serves")
        assert health_of(channel, SPEED) == UNKNOWN


def test_a_damaged_pointer_changes_no_health(tmp_path, caplog):
    """The generation that answers goes on."""
    settings = settings_in(tmp_path)
    install(settings)
    with serving(settings) as server, grpc.insecure_channel(server.address) as channel:
        HostPaths(settings.host_dir).current.write_bytes(b"?")
        until(lambda: "generation-kept" in caplog.text, "the watcher met the damage")
        assert health_of(channel, READY) == health_of(channel, BATCH) == SERVING


def test_a_watcher_of_health_learns_that_the_server_stops(tmp_path):
    """Before it stops: that is what balancers wait for."""
    settings = settings_in(tmp_path)
    install(settings)
    seen = []
    with serving(settings) as server, grpc.insecure_channel(server.address) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(
            health_pb2.HealthCheckRequest(service=READY), timeout=20
        )
        seen.append(next(watch).status)
        server.stop(drain_s=0.5)
        seen.append(next(watch).status)
    assert seen == [SERVING, NOT_SERVING]


def test_a_watcher_that_leaves_while_another_is_informed_blocks_nobody():
    """grpcio's own servicer sends under its lock, for which the end of a watch waits: the server
    could not stop. gRPC's thread is played here, so that the moment is always met."""

    def added(callback):
        leave.append(callback)
        return True

    health, leave, informed = Health(ThreadPoolExecutor(1)), [], threading.Event()
    context = SimpleNamespace(add_callback=added, peer=lambda: "ipv4:127.0.0.1:1")
    request = health_pb2.HealthCheckRequest(service=READY)

    def send(response):
        """Waits, as gRPC does, until the completion thread has run the callbacks of the end."""
        informed.set()
        done.wait(20)

    done = threading.Event()
    health._watch(request, context, send)
    change = threading.Thread(target=health.loaded)
    change.start()
    assert informed.wait(20)
    ended = threading.Thread(target=leave[-1])
    ended.start()
    ended.join(5)
    change.join(5)
    blocked = ended.is_alive() or change.is_alive()
    done.set()
    assert not blocked


def test_reflection_lists_the_service_and_its_messages(server):
    """Enough for a generic client to call without the proto files."""
    requests = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE),
    ]
    with grpc.insecure_channel(server.address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        listed, described = list(stub.ServerReflectionInfo(iter(requests), timeout=10))
    names = {service.name for service in listed.list_services_response.service}
    assert {SERVICE, "grpc.health.v1.Health"} <= names
    assert b"BatchGetProfiles" in described.file_descriptor_response.file_descriptor_proto[0]
