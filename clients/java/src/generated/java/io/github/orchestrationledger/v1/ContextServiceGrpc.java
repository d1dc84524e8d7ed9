package io.github.orchestrationledger.v1;

import static io.grpc.MethodDescriptor.generateFullMethodName;

/**
 * <pre>
 * Assembles contexts. Equal states and options give equal bytes.
 * </pre>
 */
@io.grpc.stub.annotations.GrpcGenerated
public final class ContextServiceGrpc {

  private ContextServiceGrpc() {}

  public static final java.lang.String SERVICE_NAME = "orchestration.v1.ContextService";

  // Static method descriptors that strictly reflect the proto.
  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.AssembleContextRequest,
      io.github.orchestrationledger.v1.AssembleContextResponse> getAssembleContextMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "AssembleContext",
      requestType = io.github.orchestrationledger.v1.AssembleContextRequest.class,
      responseType = io.github.orchestrationledger.v1.AssembleContextResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.AssembleContextRequest,
      io.github.orchestrationledger.v1.AssembleContextResponse> getAssembleContextMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.AssembleContextRequest, io.github.orchestrationledger.v1.AssembleContextResponse> getAssembleContextMethod;
    if ((getAssembleContextMethod = ContextServiceGrpc.getAssembleContextMethod) == null) {
      synchronized (ContextServiceGrpc.class) {
        if ((getAssembleContextMethod = ContextServiceGrpc.getAssembleContextMethod) == null) {
          ContextServiceGrpc.getAssembleContextMethod = getAssembleContextMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.AssembleContextRequest, io.github.orchestrationledger.v1.AssembleContextResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "AssembleContext"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.AssembleContextRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.AssembleContextResponse.getDefaultInstance()))
              .setSchemaDescriptor(new ContextServiceMethodDescriptorSupplier("AssembleContext"))
              .build();
        }
      }
    }
    return getAssembleContextMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ReadContextFileRequest,
      io.github.orchestrationledger.v1.ReadContextFileResponse> getReadContextFileMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ReadContextFile",
      requestType = io.github.orchestrationledger.v1.ReadContextFileRequest.class,
      responseType = io.github.orchestrationledger.v1.ReadContextFileResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ReadContextFileRequest,
      io.github.orchestrationledger.v1.ReadContextFileResponse> getReadContextFileMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ReadContextFileRequest, io.github.orchestrationledger.v1.ReadContextFileResponse> getReadContextFileMethod;
    if ((getReadContextFileMethod = ContextServiceGrpc.getReadContextFileMethod) == null) {
      synchronized (ContextServiceGrpc.class) {
        if ((getReadContextFileMethod = ContextServiceGrpc.getReadContextFileMethod) == null) {
          ContextServiceGrpc.getReadContextFileMethod = getReadContextFileMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.ReadContextFileRequest, io.github.orchestrationledger.v1.ReadContextFileResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ReadContextFile"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.ReadContextFileRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.ReadContextFileResponse.getDefaultInstance()))
              .setSchemaDescriptor(new ContextServiceMethodDescriptorSupplier("ReadContextFile"))
              .build();
        }
      }
    }
    return getReadContextFileMethod;
  }

  /**
   * Creates a new async stub that supports all call types for the service
   */
  public static ContextServiceStub newStub(io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<ContextServiceStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<ContextServiceStub>() {
        @java.lang.Override
        public ContextServiceStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new ContextServiceStub(channel, callOptions);
        }
      };
    return ContextServiceStub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports all types of calls on the service
   */
  public static ContextServiceBlockingV2Stub newBlockingV2Stub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<ContextServiceBlockingV2Stub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<ContextServiceBlockingV2Stub>() {
        @java.lang.Override
        public ContextServiceBlockingV2Stub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new ContextServiceBlockingV2Stub(channel, callOptions);
        }
      };
    return ContextServiceBlockingV2Stub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports unary and streaming output calls on the service
   */
  public static ContextServiceBlockingStub newBlockingStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<ContextServiceBlockingStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<ContextServiceBlockingStub>() {
        @java.lang.Override
        public ContextServiceBlockingStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new ContextServiceBlockingStub(channel, callOptions);
        }
      };
    return ContextServiceBlockingStub.newStub(factory, channel);
  }

  /**
   * Creates a new ListenableFuture-style stub that supports unary calls on the service
   */
  public static ContextServiceFutureStub newFutureStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<ContextServiceFutureStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<ContextServiceFutureStub>() {
        @java.lang.Override
        public ContextServiceFutureStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new ContextServiceFutureStub(channel, callOptions);
        }
      };
    return ContextServiceFutureStub.newStub(factory, channel);
  }

  /**
   * <pre>
   * Assembles contexts. Equal states and options give equal bytes.
   * </pre>
   */
  public interface AsyncService {

    /**
     * <pre>
     * Assembles the context of a task, a sprint or a session.
     * Errors:
     * - NOT_FOUND: the target does not exist.
     * - INVALID_ARGUMENT, reason CURSOR_INVALID, CURSOR_FOREIGN or CURSOR_OF_ANOTHER_PROJECT: since_cursor is not a
     *   cursor of this project's log.
     * </pre>
     */
    default void assembleContext(io.github.orchestrationledger.v1.AssembleContextRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.AssembleContextResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getAssembleContextMethod(), responseObserver);
    }

    /**
     * <pre>
     * Streams one of the files that a context names. The server cancels a stream that its client has not read within 60
     * seconds, with CANCELLED.
     * Errors:
     * - INVALID_ARGUMENT: the path leaves the workspace, directly or through a link.
     * - NOT_FOUND: the target has no such file.
     * - FAILED_PRECONDITION, reason NO_WORKSPACE: this server has no workspace.
     * - FAILED_PRECONDITION, reason FILE_TOO_LARGE: the file has more than 16 MiB.
     * - ABORTED, reason FILE_CHANGED: the file changed while it was read.
     * - RESOURCE_EXHAUSTED, reason TOO_MANY_STREAMS: the server's limit of streams is reached.
     * </pre>
     */
    default void readContextFile(io.github.orchestrationledger.v1.ReadContextFileRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ReadContextFileResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getReadContextFileMethod(), responseObserver);
    }
  }

  /**
   * Base class for the server implementation of the service ContextService.
   * <pre>
   * Assembles contexts. Equal states and options give equal bytes.
   * </pre>
   */
  public static abstract class ContextServiceImplBase
      implements io.grpc.BindableService, AsyncService {

    @java.lang.Override public final io.grpc.ServerServiceDefinition bindService() {
      return ContextServiceGrpc.bindService(this);
    }
  }

  /**
   * A stub to allow clients to do asynchronous rpc calls to service ContextService.
   * <pre>
   * Assembles contexts. Equal states and options give equal bytes.
   * </pre>
   */
  public static final class ContextServiceStub
      extends io.grpc.stub.AbstractAsyncStub<ContextServiceStub> {
    private ContextServiceStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected ContextServiceStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new ContextServiceStub(channel, callOptions);
    }

    /**
     * <pre>
     * Assembles the context of a task, a sprint or a session.
     * Errors:
     * - NOT_FOUND: the target does not exist.
     * - INVALID_ARGUMENT, reason CURSOR_INVALID, CURSOR_FOREIGN or CURSOR_OF_ANOTHER_PROJECT: since_cursor is not a
     *   cursor of this project's log.
     * </pre>
     */
    public void assembleContext(io.github.orchestrationledger.v1.AssembleContextRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.AssembleContextResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getAssembleContextMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Streams one of the files that a context names. The server cancels a stream that its client has not read within 60
     * seconds, with CANCELLED.
     * Errors:
     * - INVALID_ARGUMENT: the path leaves the workspace, directly or through a link.
     * - NOT_FOUND: the target has no such file.
     * - FAILED_PRECONDITION, reason NO_WORKSPACE: this server has no workspace.
     * - FAILED_PRECONDITION, reason FILE_TOO_LARGE: the file has more than 16 MiB.
     * - ABORTED, reason FILE_CHANGED: the file changed while it was read.
     * - RESOURCE_EXHAUSTED, reason TOO_MANY_STREAMS: the server's limit of streams is reached.
     * </pre>
     */
    public void readContextFile(io.github.orchestrationledger.v1.ReadContextFileRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ReadContextFileResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncServerStreamingCall(
          getChannel().newCall(getReadContextFileMethod(), getCallOptions()), request, responseObserver);
    }
  }

  /**
   * A stub to allow clients to do synchronous rpc calls to service ContextService.
   * <pre>
   * Assembles contexts. Equal states and options give equal bytes.
   * </pre>
   */
  public static final class ContextServiceBlockingV2Stub
      extends io.grpc.stub.AbstractBlockingStub<ContextServiceBlockingV2Stub> {
    private ContextServiceBlockingV2Stub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected ContextServiceBlockingV2Stub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new ContextServiceBlockingV2Stub(channel, callOptions);
    }

    /**
     * <pre>
     * Assembles the context of a task, a sprint or a session.
     * Errors:
     * - NOT_FOUND: the target does not exist.
     * - INVALID_ARGUMENT, reason CURSOR_INVALID, CURSOR_FOREIGN or CURSOR_OF_ANOTHER_PROJECT: since_cursor is not a
     *   cursor of this project's log.
     * </pre>
     */
    public io.github.orchestrationledger.v1.AssembleContextResponse assembleContext(io.github.orchestrationledger.v1.AssembleContextRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getAssembleContextMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Streams one of the files that a context names. The server cancels a stream that its client has not read within 60
     * seconds, with CANCELLED.
     * Errors:
     * - INVALID_ARGUMENT: the path leaves the workspace, directly or through a link.
     * - NOT_FOUND: the target has no such file.
     * - FAILED_PRECONDITION, reason NO_WORKSPACE: this server has no workspace.
     * - FAILED_PRECONDITION, reason FILE_TOO_LARGE: the file has more than 16 MiB.
     * - ABORTED, reason FILE_CHANGED: the file changed while it was read.
     * - RESOURCE_EXHAUSTED, reason TOO_MANY_STREAMS: the server's limit of streams is reached.
     * </pre>
     */
    @io.grpc.ExperimentalApi("https://github.com/grpc/grpc-java/issues/10918")
    public io.grpc.stub.BlockingClientCall<?, io.github.orchestrationledger.v1.ReadContextFileResponse>
        readContextFile(io.github.orchestrationledger.v1.ReadContextFileRequest request) {
      return io.grpc.stub.ClientCalls.blockingV2ServerStreamingCall(
          getChannel(), getReadContextFileMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do limited synchronous rpc calls to service ContextService.
   * <pre>
   * Assembles contexts. Equal states and options give equal bytes.
   * </pre>
   */
  public static final class ContextServiceBlockingStub
      extends io.grpc.stub.AbstractBlockingStub<ContextServiceBlockingStub> {
    private ContextServiceBlockingStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected ContextServiceBlockingStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new ContextServiceBlockingStub(channel, callOptions);
    }

    /**
     * <pre>
     * Assembles the context of a task, a sprint or a session.
     * Errors:
     * - NOT_FOUND: the target does not exist.
     * - INVALID_ARGUMENT, reason CURSOR_INVALID, CURSOR_FOREIGN or CURSOR_OF_ANOTHER_PROJECT: since_cursor is not a
     *   cursor of this project's log.
     * </pre>
     */
    public io.github.orchestrationledger.v1.AssembleContextResponse assembleContext(io.github.orchestrationledger.v1.AssembleContextRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getAssembleContextMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Streams one of the files that a context names. The server cancels a stream that its client has not read within 60
     * seconds, with CANCELLED.
     * Errors:
     * - INVALID_ARGUMENT: the path leaves the workspace, directly or through a link.
     * - NOT_FOUND: the target has no such file.
     * - FAILED_PRECONDITION, reason NO_WORKSPACE: this server has no workspace.
     * - FAILED_PRECONDITION, reason FILE_TOO_LARGE: the file has more than 16 MiB.
     * - ABORTED, reason FILE_CHANGED: the file changed while it was read.
     * - RESOURCE_EXHAUSTED, reason TOO_MANY_STREAMS: the server's limit of streams is reached.
     * </pre>
     */
    public java.util.Iterator<io.github.orchestrationledger.v1.ReadContextFileResponse> readContextFile(
        io.github.orchestrationledger.v1.ReadContextFileRequest request) {
      return io.grpc.stub.ClientCalls.blockingServerStreamingCall(
          getChannel(), getReadContextFileMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do ListenableFuture-style rpc calls to service ContextService.
   * <pre>
   * Assembles contexts. Equal states and options give equal bytes.
   * </pre>
   */
  public static final class ContextServiceFutureStub
      extends io.grpc.stub.AbstractFutureStub<ContextServiceFutureStub> {
    private ContextServiceFutureStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected ContextServiceFutureStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new ContextServiceFutureStub(channel, callOptions);
    }

    /**
     * <pre>
     * Assembles the context of a task, a sprint or a session.
     * Errors:
     * - NOT_FOUND: the target does not exist.
     * - INVALID_ARGUMENT, reason CURSOR_INVALID, CURSOR_FOREIGN or CURSOR_OF_ANOTHER_PROJECT: since_cursor is not a
     *   cursor of this project's log.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.AssembleContextResponse> assembleContext(
        io.github.orchestrationledger.v1.AssembleContextRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getAssembleContextMethod(), getCallOptions()), request);
    }
  }

  private static final int METHODID_ASSEMBLE_CONTEXT = 0;
  private static final int METHODID_READ_CONTEXT_FILE = 1;

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
        case METHODID_ASSEMBLE_CONTEXT:
          serviceImpl.assembleContext((io.github.orchestrationledger.v1.AssembleContextRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.AssembleContextResponse>) responseObserver);
          break;
        case METHODID_READ_CONTEXT_FILE:
          serviceImpl.readContextFile((io.github.orchestrationledger.v1.ReadContextFileRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ReadContextFileResponse>) responseObserver);
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
          getAssembleContextMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.AssembleContextRequest,
              io.github.orchestrationledger.v1.AssembleContextResponse>(
                service, METHODID_ASSEMBLE_CONTEXT)))
        .addMethod(
          getReadContextFileMethod(),
          io.grpc.stub.ServerCalls.asyncServerStreamingCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.ReadContextFileRequest,
              io.github.orchestrationledger.v1.ReadContextFileResponse>(
                service, METHODID_READ_CONTEXT_FILE)))
        .build();
  }

  private static abstract class ContextServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoFileDescriptorSupplier, io.grpc.protobuf.ProtoServiceDescriptorSupplier {
    ContextServiceBaseDescriptorSupplier() {}

    @java.lang.Override
    public com.google.protobuf.Descriptors.FileDescriptor getFileDescriptor() {
      return io.github.orchestrationledger.v1.ContextProto.getDescriptor();
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.ServiceDescriptor getServiceDescriptor() {
      return getFileDescriptor().findServiceByName("ContextService");
    }
  }

  private static final class ContextServiceFileDescriptorSupplier
      extends ContextServiceBaseDescriptorSupplier {
    ContextServiceFileDescriptorSupplier() {}
  }

  private static final class ContextServiceMethodDescriptorSupplier
      extends ContextServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoMethodDescriptorSupplier {
    private final java.lang.String methodName;

    ContextServiceMethodDescriptorSupplier(java.lang.String methodName) {
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
      synchronized (ContextServiceGrpc.class) {
        result = serviceDescriptor;
        if (result == null) {
          serviceDescriptor = result = io.grpc.ServiceDescriptor.newBuilder(SERVICE_NAME)
              .setSchemaDescriptor(new ContextServiceFileDescriptorSupplier())
              .addMethod(getAssembleContextMethod())
              .addMethod(getReadContextFileMethod())
              .build();
        }
      }
    }
    return result;
  }
}
