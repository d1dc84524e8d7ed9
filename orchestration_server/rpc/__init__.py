"""The gRPC transport: server, interceptor, threads, streams, health, TLS. It knows no SQL and no servicer."""
