package io.github.orchestrationledger.v1;

import static io.grpc.MethodDescriptor.generateFullMethodName;

/**
 * <pre>
 * Serves operators. All rpcs but GetServerInfo are about the ledger as a whole, with all its projects.
 * </pre>
 */
@io.grpc.stub.annotations.GrpcGenerated
public final class AdminServiceGrpc {

  private AdminServiceGrpc() {}

  public static final java.lang.String SERVICE_NAME = "orchestration.v1.AdminService";

  // Static method descriptors that strictly reflect the proto.
  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.GetServerInfoRequest,
      io.github.orchestrationledger.v1.GetServerInfoResponse> getGetServerInfoMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "GetServerInfo",
      requestType = io.github.orchestrationledger.v1.GetServerInfoRequest.class,
      responseType = io.github.orchestrationledger.v1.GetServerInfoResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.GetServerInfoRequest,
      io.github.orchestrationledger.v1.GetServerInfoResponse> getGetServerInfoMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.GetServerInfoRequest, io.github.orchestrationledger.v1.GetServerInfoResponse> getGetServerInfoMethod;
    if ((getGetServerInfoMethod = AdminServiceGrpc.getGetServerInfoMethod) == null) {
      synchronized (AdminServiceGrpc.class) {
        if ((getGetServerInfoMethod = AdminServiceGrpc.getGetServerInfoMethod) == null) {
          AdminServiceGrpc.getGetServerInfoMethod = getGetServerInfoMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.GetServerInfoRequest, io.github.orchestrationledger.v1.GetServerInfoResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "GetServerInfo"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.GetServerInfoRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.GetServerInfoResponse.getDefaultInstance()))
              .setSchemaDescriptor(new AdminServiceMethodDescriptorSupplier("GetServerInfo"))
              .build();
        }
      }
    }
    return getGetServerInfoMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ArchiveEventsRequest,
      io.github.orchestrationledger.v1.ArchiveEventsResponse> getArchiveEventsMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ArchiveEvents",
      requestType = io.github.orchestrationledger.v1.ArchiveEventsRequest.class,
      responseType = io.github.orchestrationledger.v1.ArchiveEventsResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ArchiveEventsRequest,
      io.github.orchestrationledger.v1.ArchiveEventsResponse> getArchiveEventsMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ArchiveEventsRequest, io.github.orchestrationledger.v1.ArchiveEventsResponse> getArchiveEventsMethod;
    if ((getArchiveEventsMethod = AdminServiceGrpc.getArchiveEventsMethod) == null) {
      synchronized (AdminServiceGrpc.class) {
        if ((getArchiveEventsMethod = AdminServiceGrpc.getArchiveEventsMethod) == null) {
          AdminServiceGrpc.getArchiveEventsMethod = getArchiveEventsMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.ArchiveEventsRequest, io.github.orchestrationledger.v1.ArchiveEventsResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ArchiveEvents"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.ArchiveEventsRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.ArchiveEventsResponse.getDefaultInstance()))
              .setSchemaDescriptor(new AdminServiceMethodDescriptorSupplier("ArchiveEvents"))
              .build();
        }
      }
    }
    return getArchiveEventsMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.GetStorageStatsRequest,
      io.github.orchestrationledger.v1.GetStorageStatsResponse> getGetStorageStatsMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "GetStorageStats",
      requestType = io.github.orchestrationledger.v1.GetStorageStatsRequest.class,
      responseType = io.github.orchestrationledger.v1.GetStorageStatsResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.GetStorageStatsRequest,
      io.github.orchestrationledger.v1.GetStorageStatsResponse> getGetStorageStatsMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.GetStorageStatsRequest, io.github.orchestrationledger.v1.GetStorageStatsResponse> getGetStorageStatsMethod;
    if ((getGetStorageStatsMethod = AdminServiceGrpc.getGetStorageStatsMethod) == null) {
      synchronized (AdminServiceGrpc.class) {
        if ((getGetStorageStatsMethod = AdminServiceGrpc.getGetStorageStatsMethod) == null) {
          AdminServiceGrpc.getGetStorageStatsMethod = getGetStorageStatsMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.GetStorageStatsRequest, io.github.orchestrationledger.v1.GetStorageStatsResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "GetStorageStats"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.GetStorageStatsRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.GetStorageStatsResponse.getDefaultInstance()))
              .setSchemaDescriptor(new AdminServiceMethodDescriptorSupplier("GetStorageStats"))
              .build();
        }
      }
    }
    return getGetStorageStatsMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ListAlertsRequest,
      io.github.orchestrationledger.v1.ListAlertsResponse> getListAlertsMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListAlerts",
      requestType = io.github.orchestrationledger.v1.ListAlertsRequest.class,
      responseType = io.github.orchestrationledger.v1.ListAlertsResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ListAlertsRequest,
      io.github.orchestrationledger.v1.ListAlertsResponse> getListAlertsMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ListAlertsRequest, io.github.orchestrationledger.v1.ListAlertsResponse> getListAlertsMethod;
    if ((getListAlertsMethod = AdminServiceGrpc.getListAlertsMethod) == null) {
      synchronized (AdminServiceGrpc.class) {
        if ((getListAlertsMethod = AdminServiceGrpc.getListAlertsMethod) == null) {
          AdminServiceGrpc.getListAlertsMethod = getListAlertsMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.ListAlertsRequest, io.github.orchestrationledger.v1.ListAlertsResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListAlerts"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.ListAlertsRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.ListAlertsResponse.getDefaultInstance()))
              .setSchemaDescriptor(new AdminServiceMethodDescriptorSupplier("ListAlerts"))
              .build();
        }
      }
    }
    return getListAlertsMethod;
  }

  /**
   * Creates a new async stub that supports all call types for the service
   */
  public static AdminServiceStub newStub(io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<AdminServiceStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<AdminServiceStub>() {
        @java.lang.Override
        public AdminServiceStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new AdminServiceStub(channel, callOptions);
        }
      };
    return AdminServiceStub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports all types of calls on the service
   */
  public static AdminServiceBlockingV2Stub newBlockingV2Stub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<AdminServiceBlockingV2Stub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<AdminServiceBlockingV2Stub>() {
        @java.lang.Override
        public AdminServiceBlockingV2Stub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new AdminServiceBlockingV2Stub(channel, callOptions);
        }
      };
    return AdminServiceBlockingV2Stub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports unary and streaming output calls on the service
   */
  public static AdminServiceBlockingStub newBlockingStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<AdminServiceBlockingStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<AdminServiceBlockingStub>() {
        @java.lang.Override
        public AdminServiceBlockingStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new AdminServiceBlockingStub(channel, callOptions);
        }
      };
    return AdminServiceBlockingStub.newStub(factory, channel);
  }

  /**
   * Creates a new ListenableFuture-style stub that supports unary calls on the service
   */
  public static AdminServiceFutureStub newFutureStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<AdminServiceFutureStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<AdminServiceFutureStub>() {
        @java.lang.Override
        public AdminServiceFutureStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new AdminServiceFutureStub(channel, callOptions);
        }
      };
    return AdminServiceFutureStub.newStub(factory, channel);
  }

  /**
   * <pre>
   * Serves operators. All rpcs but GetServerInfo are about the ledger as a whole, with all its projects.
   * </pre>
   */
  public interface AsyncService {

    /**
     * <pre>
     * Returns the version, schema and limits of this server.
     * </pre>
     */
    default void getServerInfo(io.github.orchestrationledger.v1.GetServerInfoRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.GetServerInfoResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getGetServerInfoMethod(), responseObserver);
    }

    /**
     * <pre>
     * Moves old events of P2 and below to the archive, where queries find them with include_archived. Events of P0 and
     * P1 stay live.
     * The call works until shortly before its deadline, or for 10 minutes without one, and then reports what it moved
     * and whether more is left. It can be repeated: events that have moved are no longer old. Only one call works at a
     * time; the response of another one says so in held.
     * </pre>
     */
    default void archiveEvents(io.github.orchestrationledger.v1.ArchiveEventsRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ArchiveEventsResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getArchiveEventsMethod(), responseObserver);
    }

    /**
     * <pre>
     * Returns the size of the ledger and of its parts, over all projects. The server measures at most once a minute,
     * for all callers and servers together, so a response may be a minute old; measure_time says how old it is.
     * </pre>
     */
    default void getStorageStats(io.github.orchestrationledger.v1.GetStorageStatsRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.GetStorageStatsResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getGetStorageStatsMethod(), responseObserver);
    }

    /**
     * <pre>
     * Lists the alerts of the ledger, over all projects: those that fire, those whose condition does not hold for long
     * enough yet, and, if requested, those that were resolved within the last day. Within each of these, the ones that
     * began last come first. One of all running servers evaluates alerts, about every 15 seconds.
     * </pre>
     */
    default void listAlerts(io.github.orchestrationledger.v1.ListAlertsRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ListAlertsResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListAlertsMethod(), responseObserver);
    }
  }

  /**
   * Base class for the server implementation of the service AdminService.
   * <pre>
   * Serves operators. All rpcs but GetServerInfo are about the ledger as a whole, with all its projects.
   * </pre>
   */
  public static abstract class AdminServiceImplBase
      implements io.grpc.BindableService, AsyncService {

    @java.lang.Override public final io.grpc.ServerServiceDefinition bindService() {
      return AdminServiceGrpc.bindService(this);
    }
  }

  /**
   * A stub to allow clients to do asynchronous rpc calls to service AdminService.
   * <pre>
   * Serves operators. All rpcs but GetServerInfo are about the ledger as a whole, with all its projects.
   * </pre>
   */
  public static final class AdminServiceStub
      extends io.grpc.stub.AbstractAsyncStub<AdminServiceStub> {
    private AdminServiceStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected AdminServiceStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new AdminServiceStub(channel, callOptions);
    }

    /**
     * <pre>
     * Returns the version, schema and limits of this server.
     * </pre>
     */
    public void getServerInfo(io.github.orchestrationledger.v1.GetServerInfoRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.GetServerInfoResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getGetServerInfoMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Moves old events of P2 and below to the archive, where queries find them with include_archived. Events of P0 and
     * P1 stay live.
     * The call works until shortly before its deadline, or for 10 minutes without one, and then reports what it moved
     * and whether more is left. It can be repeated: events that have moved are no longer old. Only one call works at a
     * time; the response of another one says so in held.
     * </pre>
     */
    public void archiveEvents(io.github.orchestrationledger.v1.ArchiveEventsRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ArchiveEventsResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getArchiveEventsMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Returns the size of the ledger and of its parts, over all projects. The server measures at most once a minute,
     * for all callers and servers together, so a response may be a minute old; measure_time says how old it is.
     * </pre>
     */
    public void getStorageStats(io.github.orchestrationledger.v1.GetStorageStatsRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.GetStorageStatsResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getGetStorageStatsMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Lists the alerts of the ledger, over all projects: those that fire, those whose condition does not hold for long
     * enough yet, and, if requested, those that were resolved within the last day. Within each of these, the ones that
     * began last come first. One of all running servers evaluates alerts, about every 15 seconds.
     * </pre>
     */
    public void listAlerts(io.github.orchestrationledger.v1.ListAlertsRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ListAlertsResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListAlertsMethod(), getCallOptions()), request, responseObserver);
    }
  }

  /**
   * A stub to allow clients to do synchronous rpc calls to service AdminService.
   * <pre>
   * Serves operators. All rpcs but GetServerInfo are about the ledger as a whole, with all its projects.
   * </pre>
   */
  public static final class AdminServiceBlockingV2Stub
      extends io.grpc.stub.AbstractBlockingStub<AdminServiceBlockingV2Stub> {
    private AdminServiceBlockingV2Stub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected AdminServiceBlockingV2Stub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new AdminServiceBlockingV2Stub(channel, callOptions);
    }

    /**
     * <pre>
     * Returns the version, schema and limits of this server.
     * </pre>
     */
    public io.github.orchestrationledger.v1.GetServerInfoResponse getServerInfo(io.github.orchestrationledger.v1.GetServerInfoRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getGetServerInfoMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Moves old events of P2 and below to the archive, where queries find them with include_archived. Events of P0 and
     * P1 stay live.
     * The call works until shortly before its deadline, or for 10 minutes without one, and then reports what it moved
     * and whether more is left. It can be repeated: events that have moved are no longer old. Only one call works at a
     * time; the response of another one says so in held.
     * </pre>
     */
    public io.github.orchestrationledger.v1.ArchiveEventsResponse archiveEvents(io.github.orchestrationledger.v1.ArchiveEventsRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getArchiveEventsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Returns the size of the ledger and of its parts, over all projects. The server measures at most once a minute,
     * for all callers and servers together, so a response may be a minute old; measure_time says how old it is.
     * </pre>
     */
    public io.github.orchestrationledger.v1.GetStorageStatsResponse getStorageStats(io.github.orchestrationledger.v1.GetStorageStatsRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getGetStorageStatsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Lists the alerts of the ledger, over all projects: those that fire, those whose condition does not hold for long
     * enough yet, and, if requested, those that were resolved within the last day. Within each of these, the ones that
     * began last come first. One of all running servers evaluates alerts, about every 15 seconds.
     * </pre>
     */
    public io.github.orchestrationledger.v1.ListAlertsResponse listAlerts(io.github.orchestrationledger.v1.ListAlertsRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListAlertsMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do limited synchronous rpc calls to service AdminService.
   * <pre>
   * Serves operators. All rpcs but GetServerInfo are about the ledger as a whole, with all its projects.
   * </pre>
   */
  public static final class AdminServiceBlockingStub
      extends io.grpc.stub.AbstractBlockingStub<AdminServiceBlockingStub> {
    private AdminServiceBlockingStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected AdminServiceBlockingStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new AdminServiceBlockingStub(channel, callOptions);
    }

    /**
     * <pre>
     * Returns the version, schema and limits of this server.
     * </pre>
     */
    public io.github.orchestrationledger.v1.GetServerInfoResponse getServerInfo(io.github.orchestrationledger.v1.GetServerInfoRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getGetServerInfoMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Moves old events of P2 and below to the archive, where queries find them with include_archived. Events of P0 and
     * P1 stay live.
     * The call works until shortly before its deadline, or for 10 minutes without one, and then reports what it moved
     * and whether more is left. It can be repeated: events that have moved are no longer old. Only one call works at a
     * time; the response of another one says so in held.
     * </pre>
     */
    public io.github.orchestrationledger.v1.ArchiveEventsResponse archiveEvents(io.github.orchestrationledger.v1.ArchiveEventsRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getArchiveEventsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Returns the size of the ledger and of its parts, over all projects. The server measures at most once a minute,
     * for all callers and servers together, so a response may be a minute old; measure_time says how old it is.
     * </pre>
     */
    public io.github.orchestrationledger.v1.GetStorageStatsResponse getStorageStats(io.github.orchestrationledger.v1.GetStorageStatsRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getGetStorageStatsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Lists the alerts of the ledger, over all projects: those that fire, those whose condition does not hold for long
     * enough yet, and, if requested, those that were resolved within the last day. Within each of these, the ones that
     * began last come first. One of all running servers evaluates alerts, about every 15 seconds.
     * </pre>
     */
    public io.github.orchestrationledger.v1.ListAlertsResponse listAlerts(io.github.orchestrationledger.v1.ListAlertsRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListAlertsMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do ListenableFuture-style rpc calls to service AdminService.
   * <pre>
   * Serves operators. All rpcs but GetServerInfo are about the ledger as a whole, with all its projects.
   * </pre>
   */
  public static final class AdminServiceFutureStub
      extends io.grpc.stub.AbstractFutureStub<AdminServiceFutureStub> {
    private AdminServiceFutureStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected AdminServiceFutureStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new AdminServiceFutureStub(channel, callOptions);
    }

    /**
     * <pre>
     * Returns the version, schema and limits of this server.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.GetServerInfoResponse> getServerInfo(
        io.github.orchestrationledger.v1.GetServerInfoRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getGetServerInfoMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Moves old events of P2 and below to the archive, where queries find them with include_archived. Events of P0 and
     * P1 stay live.
     * The call works until shortly before its deadline, or for 10 minutes without one, and then reports what it moved
     * and whether more is left. It can be repeated: events that have moved are no longer old. Only one call works at a
     * time; the response of another one says so in held.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.ArchiveEventsResponse> archiveEvents(
        io.github.orchestrationledger.v1.ArchiveEventsRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getArchiveEventsMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Returns the size of the ledger and of its parts, over all projects. The server measures at most once a minute,
     * for all callers and servers together, so a response may be a minute old; measure_time says how old it is.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.GetStorageStatsResponse> getStorageStats(
        io.github.orchestrationledger.v1.GetStorageStatsRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getGetStorageStatsMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Lists the alerts of the ledger, over all projects: those that fire, those whose condition does not hold for long
     * enough yet, and, if requested, those that were resolved within the last day. Within each of these, the ones that
     * began last come first. One of all running servers evaluates alerts, about every 15 seconds.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.ListAlertsResponse> listAlerts(
        io.github.orchestrationledger.v1.ListAlertsRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListAlertsMethod(), getCallOptions()), request);
    }
  }

  private static final int METHODID_GET_SERVER_INFO = 0;
  private static final int METHODID_ARCHIVE_EVENTS = 1;
  private static final int METHODID_GET_STORAGE_STATS = 2;
  private static final int METHODID_LIST_ALERTS = 3;

  private static final class MethodHandlers<Req, Resp> implements
      io.grpc.stub.ServerCalls.UnaryMethod<Req, Resp>,
      io.grpc.stub.ServerCalls.ServerStreamingMethod<Req, Resp>,
      io.grpc.stub.ServerCalls.ClientStreamingMethod<Req, Resp>,
      io.grpc.stub.ServerCalls.BidiStreamingMethod<Req, Resp> {
    private final AsyncService serviceImpl;
    private final int methodId;

    MethodHandlers(AsyncService serviceImpl, int methodId) {
      this.serviceImpl = serviceImpl;
      this.methodId = methodId;
    }

    @java.lang.Override
    @java.lang.SuppressWarnings("unchecked")
    public void invoke(Req request, io.grpc.stub.StreamObserver<Resp> responseObserver) {
      switch (methodId) {
        case METHODID_GET_SERVER_INFO:
          serviceImpl.getServerInfo((io.github.orchestrationledger.v1.GetServerInfoRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.GetServerInfoResponse>) responseObserver);
          break;
        case METHODID_ARCHIVE_EVENTS:
          serviceImpl.archiveEvents((io.github.orchestrationledger.v1.ArchiveEventsRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ArchiveEventsResponse>) responseObserver);
          break;
        case METHODID_GET_STORAGE_STATS:
          serviceImpl.getStorageStats((io.github.orchestrationledger.v1.GetStorageStatsRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.GetStorageStatsResponse>) responseObserver);
          break;
        case METHODID_LIST_ALERTS:
          serviceImpl.listAlerts((io.github.orchestrationledger.v1.ListAlertsRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ListAlertsResponse>) responseObserver);
          break;
        default:
          throw new AssertionError();
      }
    }

    @java.lang.Override
    @java.lang.SuppressWarnings("unchecked")
    public io.grpc.stub.StreamObserver<Req> invoke(
        io.grpc.stub.StreamObserver<Resp> responseObserver) {
      switch (methodId) {
        default:
          throw new AssertionError();
      }
    }
  }

  public static final io.grpc.ServerServiceDefinition bindService(AsyncService service) {
    return io.grpc.ServerServiceDefinition.builder(getServiceDescriptor())
        .addMethod(
          getGetServerInfoMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.GetServerInfoRequest,
              io.github.orchestrationledger.v1.GetServerInfoResponse>(
                service, METHODID_GET_SERVER_INFO)))
        .addMethod(
          getArchiveEventsMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.ArchiveEventsRequest,
              io.github.orchestrationledger.v1.ArchiveEventsResponse>(
                service, METHODID_ARCHIVE_EVENTS)))
        .addMethod(
          getGetStorageStatsMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.GetStorageStatsRequest,
              io.github.orchestrationledger.v1.GetStorageStatsResponse>(
                service, METHODID_GET_STORAGE_STATS)))
        .addMethod(
          getListAlertsMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.ListAlertsRequest,
              io.github.orchestrationledger.v1.ListAlertsResponse>(
                service, METHODID_LIST_ALERTS)))
        .build();
  }

  private static abstract class AdminServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoFileDescriptorSupplier, io.grpc.protobuf.ProtoServiceDescriptorSupplier {
    AdminServiceBaseDescriptorSupplier() {}

    @java.lang.Override
    public com.google.protobuf.Descriptors.FileDescriptor getFileDescriptor() {
      return io.github.orchestrationledger.v1.AdminProto.getDescriptor();
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.ServiceDescriptor getServiceDescriptor() {
      return getFileDescriptor().findServiceByName("AdminService");
    }
  }

  private static final class AdminServiceFileDescriptorSupplier
      extends AdminServiceBaseDescriptorSupplier {
    AdminServiceFileDescriptorSupplier() {}
  }

  private static final class AdminServiceMethodDescriptorSupplier
      extends AdminServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoMethodDescriptorSupplier {
    private final java.lang.String methodName;

    AdminServiceMethodDescriptorSupplier(java.lang.String methodName) {
      this.methodName = methodName;
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.MethodDescriptor getMethodDescriptor() {
      return getServiceDescriptor().findMethodByName(methodName);
    }
  }

  private static volatile io.grpc.ServiceDescriptor serviceDescriptor;

  public static io.grpc.ServiceDescriptor getServiceDescriptor() {
    io.grpc.ServiceDescriptor result = serviceDescriptor;
    if (result == null) {
      synchronized (AdminServiceGrpc.class) {
        result = serviceDescriptor;
        if (result == null) {
          serviceDescriptor = result = io.grpc.ServiceDescriptor.newBuilder(SERVICE_NAME)
              .setSchemaDescriptor(new AdminServiceFileDescriptorSupplier())
              .addMethod(getGetServerInfoMethod())
              .addMethod(getArchiveEventsMethod())
              .addMethod(getGetStorageStatsMethod())
              .addMethod(getListAlertsMethod())
              .build();
        }
      }
    }
    return result;
  }
}
