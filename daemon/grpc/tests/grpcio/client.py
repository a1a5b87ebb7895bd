"""A portal in Python: orders a tenant over the Unix socket, by the descriptors that the API ships.

usage: client.py SOCKET DESCRIPTORS
"""

import sys

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

socket, descriptors = sys.argv[1:]

pool = descriptor_pool.DescriptorPool()
files = descriptor_pb2.FileDescriptorSet.FromString(open(descriptors, "rb").read())
for file in files.file:
    pool.Add(file)


def message(type_name, /, **fields):
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(type_name))(**fields)


def call(channel, service, method, request, **options):
    descriptor = pool.FindServiceByName(service).FindMethodByName(method)
    response = message_factory.GetMessageClass(descriptor.output_type)
    rpc = channel.unary_unary(
        f"/{service}/{method}", request_serializer=lambda m: m.SerializeToString(), response_deserializer=response.FromString
    )
    return rpc(request, timeout=20, **options)


TENANTS = "landlord.v1.TenantService"


def order(tenant_id, **fields):
    tenant = message("landlord.v1.Tenant", domain=f"{tenant_id}.example.com", storage_gib=10, **fields)
    return message("landlord.v1.CreateTenantRequest", parent="customers/acme", tenant_id=tenant_id, tenant=tenant)


def refused(channel, request, code, reason, **options):
    """The call fails with a code, and with an ErrorInfo that the shipped descriptors can read."""
    try:
        call(channel, TENANTS, "CreateTenant", request, **options)
    except grpc.RpcError as error:
        assert error.code() == code, (error.code(), error.details())
        status = message("google.rpc.Status")
        status.ParseFromString(dict(error.trailing_metadata())["grpc-status-details-bin"])
        info = message("google.rpc.ErrorInfo")
        info.ParseFromString(status.details[0].value)
        assert (info.domain, info.reason) == ("landlord.dev", reason), info
        return
    raise AssertionError(f"not refused with {reason}")


with grpc.insecure_channel(f"unix:{socket}") as channel:
    operation = call(channel, TENANTS, "CreateTenant", order("plain"))
    assert operation.name.startswith("operations/"), operation
    # What is sent compressed is inflated, within bounds.
    call(channel, TENANTS, "CreateTenant", order("zipped", display_name="Zipped"), compression=grpc.Compression.Gzip)
    got = call(channel, TENANTS, "GetTenant", message("landlord.v1.GetTenantRequest", name="customers/acme/tenants/zipped"))
    assert got.display_name == "Zipped", got
    bomb = order("bomb", display_name="x" * (64 << 20))
    refused(channel, bomb, grpc.StatusCode.RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE", compression=grpc.Compression.Gzip)
    refused(channel, bomb, grpc.StatusCode.RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE")
    refused(
        channel, order("deflated"), grpc.StatusCode.UNIMPLEMENTED, "UNKNOWN_COMPRESSION", compression=grpc.Compression.Deflate
    )
    # A stream, over the same connection.
    watch = pool.FindServiceByName(TENANTS).FindMethodByName("WatchTenants")
    response = message_factory.GetMessageClass(watch.output_type)
    stream = channel.unary_stream(
        f"/{TENANTS}/WatchTenants", request_serializer=lambda m: m.SerializeToString(), response_deserializer=response.FromString
    )(message("landlord.v1.WatchTenantsRequest", parent="customers/acme"), timeout=20)
    assert next(iter(stream)).resume_token
    stream.cancel()
print("served")
