package io.github.orchestrationledger.v1;

import static io.grpc.MethodDescriptor.generateFullMethodName;

/**
 * <pre>
 * Creates reports and documents. Each write commits the change, its events and its request_id in one transaction.
 * </pre>
 */
@io.grpc.stub.annotations.GrpcGenerated
public final class ReportServiceGrpc {

  private ReportServiceGrpc() {}

  public static final java.lang.String SERVICE_NAME = "orchestration.v1.ReportService";

  // Static method descriptors that strictly reflect the proto.
  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.GetSprintStatusReportRequest,
      io.github.orchestrationledger.v1.GetSprintStatusReportResponse> getGetSprintStatusReportMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "GetSprintStatusReport",
      requestType = io.github.orchestrationledger.v1.GetSprintStatusReportRequest.class,
      responseType = io.github.orchestrationledger.v1.GetSprintStatusReportResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.GetSprintStatusReportRequest,
      io.github.orchestrationledger.v1.GetSprintStatusReportResponse> getGetSprintStatusReportMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.GetSprintStatusReportRequest, io.github.orchestrationledger.v1.GetSprintStatusReportResponse> getGetSprintStatusReportMethod;
    if ((getGetSprintStatusReportMethod = ReportServiceGrpc.getGetSprintStatusReportMethod) == null) {
      synchronized (ReportServiceGrpc.class) {
        if ((getGetSprintStatusReportMethod = ReportServiceGrpc.getGetSprintStatusReportMethod) == null) {
          ReportServiceGrpc.getGetSprintStatusReportMethod = getGetSprintStatusReportMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.GetSprintStatusReportRequest, io.github.orchestrationledger.v1.GetSprintStatusReportResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "GetSprintStatusReport"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.GetSprintStatusReportRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.GetSprintStatusReportResponse.getDefaultInstance()))
              .setSchemaDescriptor(new ReportServiceMethodDescriptorSupplier("GetSprintStatusReport"))
              .build();
        }
      }
    }
    return getGetSprintStatusReportMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.CreateAdrRequest,
      io.github.orchestrationledger.v1.CreateAdrResponse> getCreateAdrMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "CreateAdr",
      requestType = io.github.orchestrationledger.v1.CreateAdrRequest.class,
      responseType = io.github.orchestrationledger.v1.CreateAdrResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.CreateAdrRequest,
      io.github.orchestrationledger.v1.CreateAdrResponse> getCreateAdrMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.CreateAdrRequest, io.github.orchestrationledger.v1.CreateAdrResponse> getCreateAdrMethod;
    if ((getCreateAdrMethod = ReportServiceGrpc.getCreateAdrMethod) == null) {
      synchronized (ReportServiceGrpc.class) {
        if ((getCreateAdrMethod = ReportServiceGrpc.getCreateAdrMethod) == null) {
          ReportServiceGrpc.getCreateAdrMethod = getCreateAdrMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.CreateAdrRequest, io.github.orchestrationledger.v1.CreateAdrResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "CreateAdr"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.CreateAdrRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.CreateAdrResponse.getDefaultInstance()))
              .setSchemaDescriptor(new ReportServiceMethodDescriptorSupplier("CreateAdr"))
              .build();
        }
      }
    }
    return getCreateAdrMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.CreateBugReportRequest,
      io.github.orchestrationledger.v1.CreateBugReportResponse> getCreateBugReportMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "CreateBugReport",
      requestType = io.github.orchestrationledger.v1.CreateBugReportRequest.class,
      responseType = io.github.orchestrationledger.v1.CreateBugReportResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.CreateBugReportRequest,
      io.github.orchestrationledger.v1.CreateBugReportResponse> getCreateBugReportMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.CreateBugReportRequest, io.github.orchestrationledger.v1.CreateBugReportResponse> getCreateBugReportMethod;
    if ((getCreateBugReportMethod = ReportServiceGrpc.getCreateBugReportMethod) == null) {
      synchronized (ReportServiceGrpc.class) {
        if ((getCreateBugReportMethod = ReportServiceGrpc.getCreateBugReportMethod) == null) {
          ReportServiceGrpc.getCreateBugReportMethod = getCreateBugReportMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.CreateBugReportRequest, io.github.orchestrationledger.v1.CreateBugReportResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "CreateBugReport"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.CreateBugReportRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.CreateBugReportResponse.getDefaultInstance()))
              .setSchemaDescriptor(new ReportServiceMethodDescriptorSupplier("CreateBugReport"))
              .build();
        }
      }
    }
    return getCreateBugReportMethod;
  }

  /**
   * Creates a new async stub that supports all call types for the service
   */
  public static ReportServiceStub newStub(io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<ReportServiceStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<ReportServiceStub>() {
        @java.lang.Override
        public ReportServiceStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new ReportServiceStub(channel, callOptions);
        }
      };
    return ReportServiceStub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports all types of calls on the service
   */
  public static ReportServiceBlockingV2Stub newBlockingV2Stub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<ReportServiceBlockingV2Stub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<ReportServiceBlockingV2Stub>() {
        @java.lang.Override
        public ReportServiceBlockingV2Stub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new ReportServiceBlockingV2Stub(channel, callOptions);
        }
      };
    return ReportServiceBlockingV2Stub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports unary and streaming output calls on the service
   */
  public static ReportServiceBlockingStub newBlockingStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<ReportServiceBlockingStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<ReportServiceBlockingStub>() {
        @java.lang.Override
        public ReportServiceBlockingStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new ReportServiceBlockingStub(channel, callOptions);
        }
      };
    return ReportServiceBlockingStub.newStub(factory, channel);
  }

  /**
   * Creates a new ListenableFuture-style stub that supports unary calls on the service
   */
  public static ReportServiceFutureStub newFutureStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<ReportServiceFutureStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<ReportServiceFutureStub>() {
        @java.lang.Override
        public ReportServiceFutureStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new ReportServiceFutureStub(channel, callOptions);
        }
      };
    return ReportServiceFutureStub.newStub(factory, channel);
  }

  /**
   * <pre>
   * Creates reports and documents. Each write commits the change, its events and its request_id in one transaction.
   * </pre>
   */
  public interface AsyncService {

    /**
     * <pre>
     * Returns a status report of a sprint.
     * Errors:
     * - NOT_FOUND: the sprint does not exist or is deleted.
     * </pre>
     */
    default void getSprintStatusReport(io.github.orchestrationledger.v1.GetSprintStatusReportRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.GetSprintStatusReportResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getGetSprintStatusReportMethod(), responseObserver);
    }

    /**
     * <pre>
     * Records an architecture decision under the next number of the project, from 1, without gaps. The event is
     * "orchestration.adr.created".
     * Errors:
     * - NOT_FOUND: the sprint, task or template does not exist.
     * - INVALID_ARGUMENT, FAILED_PRECONDITION: the template cannot be rendered, as with
     *   TemplateService.RenderTemplate.
     * </pre>
     */
    default void createAdr(io.github.orchestrationledger.v1.CreateAdrRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.CreateAdrResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getCreateAdrMethod(), responseObserver);
    }

    /**
     * <pre>
     * Records a bug. If the project already has a bug with the same fingerprint, the server counts the report and keeps
     * the first document. The event is "orchestration.bug_report.created" or "orchestration.bug_report.seen_again". The
     * errors are those of CreateAdr.
     * </pre>
     */
    default void createBugReport(io.github.orchestrationledger.v1.CreateBugReportRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.CreateBugReportResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getCreateBugReportMethod(), responseObserver);
    }
  }

  /**
   * Base class for the server implementation of the service ReportService.
   * <pre>
   * Creates reports and documents. Each write commits the change, its events and its request_id in one transaction.
   * </pre>
   */
  public static abstract class ReportServiceImplBase
      implements io.grpc.BindableService, AsyncService {

    @java.lang.Override public final io.grpc.ServerServiceDefinition bindService() {
      return ReportServiceGrpc.bindService(this);
    }
  }

  /**
   * A stub to allow clients to do asynchronous rpc calls to service ReportService.
   * <pre>
   * Creates reports and documents. Each write commits the change, its events and its request_id in one transaction.
   * </pre>
   */
  public static final class ReportServiceStub
      extends io.grpc.stub.AbstractAsyncStub<ReportServiceStub> {
    private ReportServiceStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected ReportServiceStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new ReportServiceStub(channel, callOptions);
    }

    /**
     * <pre>
     * Returns a status report of a sprint.
     * Errors:
     * - NOT_FOUND: the sprint does not exist or is deleted.
     * </pre>
     */
    public void getSprintStatusReport(io.github.orchestrationledger.v1.GetSprintStatusReportRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.GetSprintStatusReportResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getGetSprintStatusReportMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Records an architecture decision under the next number of the project, from 1, without gaps. The event is
     * "orchestration.adr.created".
     * Errors:
     * - NOT_FOUND: the sprint, task or template does not exist.
     * - INVALID_ARGUMENT, FAILED_PRECONDITION: the template cannot be rendered, as with
     *   TemplateService.RenderTemplate.
     * </pre>
     */
    public void createAdr(io.github.orchestrationledger.v1.CreateAdrRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.CreateAdrResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getCreateAdrMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Records a bug. If the project already has a bug with the same fingerprint, the server counts the report and keeps
     * the first document. The event is "orchestration.bug_report.created" or "orchestration.bug_report.seen_again". The
     * errors are those of CreateAdr.
     * </pre>
     */
    public void createBugReport(io.github.orchestrationledger.v1.CreateBugReportRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.CreateBugReportResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getCreateBugReportMethod(), getCallOptions()), request, responseObserver);
    }
  }

  /**
   * A stub to allow clients to do synchronous rpc calls to service ReportService.
   * <pre>
   * Creates reports and documents. Each write commits the change, its events and its request_id in one transaction.
   * </pre>
   */
  public static final class ReportServiceBlockingV2Stub
      extends io.grpc.stub.AbstractBlockingStub<ReportServiceBlockingV2Stub> {
    private ReportServiceBlockingV2Stub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected ReportServiceBlockingV2Stub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new ReportServiceBlockingV2Stub(channel, callOptions);
    }

    /**
     * <pre>
     * Returns a status report of a sprint.
     * Errors:
     * - NOT_FOUND: the sprint does not exist or is deleted.
     * </pre>
     */
    public io.github.orchestrationledger.v1.GetSprintStatusReportResponse getSprintStatusReport(io.github.orchestrationledger.v1.GetSprintStatusReportRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getGetSprintStatusReportMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Records an architecture decision under the next number of the project, from 1, without gaps. The event is
     * "orchestration.adr.created".
     * Errors:
     * - NOT_FOUND: the sprint, task or template does not exist.
     * - INVALID_ARGUMENT, FAILED_PRECONDITION: the template cannot be rendered, as with
     *   TemplateService.RenderTemplate.
     * </pre>
     */
    public io.github.orchestrationledger.v1.CreateAdrResponse createAdr(io.github.orchestrationledger.v1.CreateAdrRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getCreateAdrMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Records a bug. If the project already has a bug with the same fingerprint, the server counts the report and keeps
     * the first document. The event is "orchestration.bug_report.created" or "orchestration.bug_report.seen_again". The
     * errors are those of CreateAdr.
     * </pre>
     */
    public io.github.orchestrationledger.v1.CreateBugReportResponse createBugReport(io.github.orchestrationledger.v1.CreateBugReportRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getCreateBugReportMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do limited synchronous rpc calls to service ReportService.
   * <pre>
   * Creates reports and documents. Each write commits the change, its events and its request_id in one transaction.
   * </pre>
   */
  public static final class ReportServiceBlockingStub
      extends io.grpc.stub.AbstractBlockingStub<ReportServiceBlockingStub> {
    private ReportServiceBlockingStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected ReportServiceBlockingStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new ReportServiceBlockingStub(channel, callOptions);
    }

    /**
     * <pre>
     * Returns a status report of a sprint.
     * Errors:
     * - NOT_FOUND: the sprint does not exist or is deleted.
     * </pre>
     */
    public io.github.orchestrationledger.v1.GetSprintStatusReportResponse getSprintStatusReport(io.github.orchestrationledger.v1.GetSprintStatusReportRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getGetSprintStatusReportMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Records an architecture decision under the next number of the project, from 1, without gaps. The event is
     * "orchestration.adr.created".
     * Errors:
     * - NOT_FOUND: the sprint, task or template does not exist.
     * - INVALID_ARGUMENT, FAILED_PRECONDITION: the template cannot be rendered, as with
     *   TemplateService.RenderTemplate.
     * </pre>
     */
    public io.github.orchestrationledger.v1.CreateAdrResponse createAdr(io.github.orchestrationledger.v1.CreateAdrRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getCreateAdrMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Records a bug. If the project already has a bug with the same fingerprint, the server counts the report and keeps
     * the first document. The event is "orchestration.bug_report.created" or "orchestration.bug_report.seen_again". The
     * errors are those of CreateAdr.
     * </pre>
     */
    public io.github.orchestrationledger.v1.CreateBugReportResponse createBugReport(io.github.orchestrationledger.v1.CreateBugReportRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getCreateBugReportMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do ListenableFuture-style rpc calls to service ReportService.
   * <pre>
   * Creates reports and documents. Each write commits the change, its events and its request_id in one transaction.
   * </pre>
   */
  public static final class ReportServiceFutureStub
      extends io.grpc.stub.AbstractFutureStub<ReportServiceFutureStub> {
    private ReportServiceFutureStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected ReportServiceFutureStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new ReportServiceFutureStub(channel, callOptions);
    }

    /**
     * <pre>
     * Returns a status report of a sprint.
     * Errors:
     * - NOT_FOUND: the sprint does not exist or is deleted.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.GetSprintStatusReportResponse> getSprintStatusReport(
        io.github.orchestrationledger.v1.GetSprintStatusReportRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getGetSprintStatusReportMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Records an architecture decision under the next number of the project, from 1, without gaps. The event is
     * "orchestration.adr.created".
     * Errors:
     * - NOT_FOUND: the sprint, task or template does not exist.
     * - INVALID_ARGUMENT, FAILED_PRECONDITION: the template cannot be rendered, as with
     *   TemplateService.RenderTemplate.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.CreateAdrResponse> createAdr(
        io.github.orchestrationledger.v1.CreateAdrRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getCreateAdrMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Records a bug. If the project already has a bug with the same fingerprint, the server counts the report and keeps
     * the first document. The event is "orchestration.bug_report.created" or "orchestration.bug_report.seen_again". The
     * errors are those of CreateAdr.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.CreateBugReportResponse> createBugReport(
        io.github.orchestrationledger.v1.CreateBugReportRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getCreateBugReportMethod(), getCallOptions()), request);
    }
  }

  private static final int METHODID_GET_SPRINT_STATUS_REPORT = 0;
  private static final int METHODID_CREATE_ADR = 1;
  private static final int METHODID_CREATE_BUG_REPORT = 2;

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
        case METHODID_GET_SPRINT_STATUS_REPORT:
          serviceImpl.getSprintStatusReport((io.github.orchestrationledger.v1.GetSprintStatusReportRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.GetSprintStatusReportResponse>) responseObserver);
          break;
        case METHODID_CREATE_ADR:
          serviceImpl.createAdr((io.github.orchestrationledger.v1.CreateAdrRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.CreateAdrResponse>) responseObserver);
          break;
        case METHODID_CREATE_BUG_REPORT:
          serviceImpl.createBugReport((io.github.orchestrationledger.v1.CreateBugReportRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.CreateBugReportResponse>) responseObserver);
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
          getGetSprintStatusReportMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.GetSprintStatusReportRequest,
              io.github.orchestrationledger.v1.GetSprintStatusReportResponse>(
                service, METHODID_GET_SPRINT_STATUS_REPORT)))
        .addMethod(
          getCreateAdrMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.CreateAdrRequest,
              io.github.orchestrationledger.v1.CreateAdrResponse>(
                service, METHODID_CREATE_ADR)))
        .addMethod(
          getCreateBugReportMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.CreateBugReportRequest,
              io.github.orchestrationledger.v1.CreateBugReportResponse>(
                service, METHODID_CREATE_BUG_REPORT)))
        .build();
  }

  private static abstract class ReportServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoFileDescriptorSupplier, io.grpc.protobuf.ProtoServiceDescriptorSupplier {
    ReportServiceBaseDescriptorSupplier() {}

    @java.lang.Override
    public com.google.protobuf.Descriptors.FileDescriptor getFileDescriptor() {
      return io.github.orchestrationledger.v1.ReportProto.getDescriptor();
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.ServiceDescriptor getServiceDescriptor() {
      return getFileDescriptor().findServiceByName("ReportService");
    }
  }

  private static final class ReportServiceFileDescriptorSupplier
      extends ReportServiceBaseDescriptorSupplier {
    ReportServiceFileDescriptorSupplier() {}
  }

  private static final class ReportServiceMethodDescriptorSupplier
      extends ReportServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoMethodDescriptorSupplier {
    private final java.lang.String methodName;

    ReportServiceMethodDescriptorSupplier(java.lang.String methodName) {
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
      synchronized (ReportServiceGrpc.class) {
        result = serviceDescriptor;
        if (result == null) {
          serviceDescriptor = result = io.grpc.ServiceDescriptor.newBuilder(SERVICE_NAME)
              .setSchemaDescriptor(new ReportServiceFileDescriptorSupplier())
              .addMethod(getGetSprintStatusReportMethod())
              .addMethod(getCreateAdrMethod())
              .addMethod(getCreateBugReportMethod())
              .build();
        }
      }
    }
    return result;
  }
}
