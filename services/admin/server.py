"""Offers the admin calls at an address; the web process mounts it."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from services.admin.admin import Admin
from services.admin.original import VideoContentAdminServicer
from services.admin.servicer import ClusterServicer
from services.shared.rpc_server import RpcServer, Service, serving
from services.shared.stubs.tritontube import admin_pb2, admin_pb2_grpc
from services.shared.stubs.tritontube.cluster.v1 import cluster_pb2, cluster_pb2_grpc

ADMIN_SERVICE = admin_pb2.DESCRIPTOR.services_by_name["VideoContentAdminService"].full_name
CLUSTER_SERVICE = cluster_pb2.DESCRIPTOR.services_by_name["ClusterService"].full_name


def admin_server(listen: str, admin: Admin, *more: Service) -> AbstractAsyncContextManager[RpcServer]:
    """Serve the admin calls, and `more` services, at `listen` (`host:port`) while the context lasts.

    Raises:
        ConflictError: nobody can listen there.
    """
    original, cluster = VideoContentAdminServicer(admin), ClusterServicer(admin)
    return serving(
        listen,
        Service(
            name=ADMIN_SERVICE,
            register=lambda server: admin_pb2_grpc.add_VideoContentAdminServiceServicer_to_server(
                original, server
            ),
        ),
        Service(
            name=CLUSTER_SERVICE,
            register=lambda server: cluster_pb2_grpc.add_ClusterServiceServicer_to_server(cluster, server),
        ),
        *more,
    )
