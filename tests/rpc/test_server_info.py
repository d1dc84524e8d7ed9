"""GetServerInfo."""

from datetime import UTC, datetime
from importlib import resources

from orchestration.v1.admin_pb2 import GetServerInfoRequest
from orchestration.v1.admin_pb2_grpc import AdminServiceStub
from orchestration_server import __version__


def test_a_server_returns_its_version_and_limits(admin: AdminServiceStub) -> None:
    before = datetime.now(UTC)
    info = admin.GetServerInfo(GetServerInfoRequest())
    last = max(
        file.name for file in resources.files("orchestration_server.migrations").iterdir()
        if file.name.endswith(".sql")
    )  # fmt: skip
    assert info.version == __version__
    assert info.schema + ".sql" == last
    assert info.start_time.ToDatetime(UTC) < before < info.server_time.ToDatetime(UTC)
    assert info.max_batch_events == 500
    assert info.max_message_bytes == 16 * 1024 * 1024
