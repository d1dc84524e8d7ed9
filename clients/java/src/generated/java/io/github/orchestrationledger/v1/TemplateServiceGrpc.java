package io.github.orchestrationledger.v1;

import static io.grpc.MethodDescriptor.generateFullMethodName;

/**
 * <pre>
 * Lists and renders templates: those built into the server and those in its templates directory, which take
 * precedence if the names are equal. SprintService.CreateSprintFromTemplate and TaskService.CreateTasksFromTemplate
 * create entities from them.
 * </pre>
 */
@io.grpc.stub.annotations.GrpcGenerated
public final class TemplateServiceGrpc {

  private TemplateServiceGrpc() {}

  public static final java.lang.String SERVICE_NAME = "orchestration.v1.TemplateService";

  // Static method descriptors that strictly reflect the proto.
  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ListTemplatesRequest,
      io.github.orchestrationledger.v1.ListTemplatesResponse> getListTemplatesMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListTemplates",
      requestType = io.github.orchestrationledger.v1.ListTemplatesRequest.class,
      responseType = io.github.orchestrationledger.v1.ListTemplatesResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ListTemplatesRequest,
      io.github.orchestrationledger.v1.ListTemplatesResponse> getListTemplatesMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ListTemplatesRequest, io.github.orchestrationledger.v1.ListTemplatesResponse> getListTemplatesMethod;
    if ((getListTemplatesMethod = TemplateServiceGrpc.getListTemplatesMethod) == null) {
      synchronized (TemplateServiceGrpc.class) {
        if ((getListTemplatesMethod = TemplateServiceGrpc.getListTemplatesMethod) == null) {
          TemplateServiceGrpc.getListTemplatesMethod = getListTemplatesMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.ListTemplatesRequest, io.github.orchestrationledger.v1.ListTemplatesResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListTemplates"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.ListTemplatesRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.ListTemplatesResponse.getDefaultInstance()))
              .setSchemaDescriptor(new TemplateServiceMethodDescriptorSupplier("ListTemplates"))
              .build();
        }
      }
    }
    return getListTemplatesMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.GetTemplateRequest,
      io.github.orchestrationledger.v1.GetTemplateResponse> getGetTemplateMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "GetTemplate",
      requestType = io.github.orchestrationledger.v1.GetTemplateRequest.class,
      responseType = io.github.orchestrationledger.v1.GetTemplateResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.GetTemplateRequest,
      io.github.orchestrationledger.v1.GetTemplateResponse> getGetTemplateMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.GetTemplateRequest, io.github.orchestrationledger.v1.GetTemplateResponse> getGetTemplateMethod;
    if ((getGetTemplateMethod = TemplateServiceGrpc.getGetTemplateMethod) == null) {
      synchronized (TemplateServiceGrpc.class) {
        if ((getGetTemplateMethod = TemplateServiceGrpc.getGetTemplateMethod) == null) {
          TemplateServiceGrpc.getGetTemplateMethod = getGetTemplateMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.GetTemplateRequest, io.github.orchestrationledger.v1.GetTemplateResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "GetTemplate"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.GetTemplateRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.GetTemplateResponse.getDefaultInstance()))
              .setSchemaDescriptor(new TemplateServiceMethodDescriptorSupplier("GetTemplate"))
              .build();
        }
      }
    }
    return getGetTemplateMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.RenderTemplateRequest,
      io.github.orchestrationledger.v1.RenderTemplateResponse> getRenderTemplateMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "RenderTemplate",
      requestType = io.github.orchestrationledger.v1.RenderTemplateRequest.class,
      responseType = io.github.orchestrationledger.v1.RenderTemplateResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.RenderTemplateRequest,
      io.github.orchestrationledger.v1.RenderTemplateResponse> getRenderTemplateMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.RenderTemplateRequest, io.github.orchestrationledger.v1.RenderTemplateResponse> getRenderTemplateMethod;
    if ((getRenderTemplateMethod = TemplateServiceGrpc.getRenderTemplateMethod) == null) {
      synchronized (TemplateServiceGrpc.class) {
        if ((getRenderTemplateMethod = TemplateServiceGrpc.getRenderTemplateMethod) == null) {
          TemplateServiceGrpc.getRenderTemplateMethod = getRenderTemplateMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.RenderTemplateRequest, io.github.orchestrationledger.v1.RenderTemplateResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "RenderTemplate"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.RenderTemplateRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.RenderTemplateResponse.getDefaultInstance()))
              .setSchemaDescriptor(new TemplateServiceMethodDescriptorSupplier("RenderTemplate"))
              .build();
        }
      }
    }
    return getRenderTemplateMethod;
  }

  /**
   * Creates a new async stub that supports all call types for the service
   */
  public static TemplateServiceStub newStub(io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<TemplateServiceStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<TemplateServiceStub>() {
        @java.lang.Override
        public TemplateServiceStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new TemplateServiceStub(channel, callOptions);
        }
      };
    return TemplateServiceStub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports all types of calls on the service
   */
  public static TemplateServiceBlockingV2Stub newBlockingV2Stub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<TemplateServiceBlockingV2Stub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<TemplateServiceBlockingV2Stub>() {
        @java.lang.Override
        public TemplateServiceBlockingV2Stub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new TemplateServiceBlockingV2Stub(channel, callOptions);
        }
      };
    return TemplateServiceBlockingV2Stub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports unary and streaming output calls on the service
   */
  public static TemplateServiceBlockingStub newBlockingStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<TemplateServiceBlockingStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<TemplateServiceBlockingStub>() {
        @java.lang.Override
        public TemplateServiceBlockingStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new TemplateServiceBlockingStub(channel, callOptions);
        }
      };
    return TemplateServiceBlockingStub.newStub(factory, channel);
  }

  /**
   * Creates a new ListenableFuture-style stub that supports unary calls on the service
   */
  public static TemplateServiceFutureStub newFutureStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<TemplateServiceFutureStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<TemplateServiceFutureStub>() {
        @java.lang.Override
        public TemplateServiceFutureStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new TemplateServiceFutureStub(channel, callOptions);
        }
      };
    return TemplateServiceFutureStub.newStub(factory, channel);
  }

  /**
   * <pre>
   * Lists and renders templates: those built into the server and those in its templates directory, which take
   * precedence if the names are equal. SprintService.CreateSprintFromTemplate and TaskService.CreateTasksFromTemplate
   * create entities from them.
   * </pre>
   */
  public interface AsyncService {

    /**
     * <pre>
     * Lists the templates by name, without their bodies.
     * </pre>
     */
    default void listTemplates(io.github.orchestrationledger.v1.ListTemplatesRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ListTemplatesResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListTemplatesMethod(), responseObserver);
    }

    /**
     * <pre>
     * Returns a template with its body.
     * Errors:
     * - NOT_FOUND: the template does not exist.
     * </pre>
     */
    default void getTemplate(io.github.orchestrationledger.v1.GetTemplateRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.GetTemplateResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getGetTemplateMethod(), responseObserver);
    }

    /**
     * <pre>
     * Renders a template without creating anything.
     * Errors:
     * - NOT_FOUND: the template does not exist.
     * - INVALID_ARGUMENT: a variable is missing, unknown or of the wrong type, which the error names; or the template
     *   prints a list or an object as text, at the line that the error names.
     * - INVALID_ARGUMENT, reason TEMPLATE_LIMIT: rendering takes longer than 50 ms or produces more than 1 MiB.
     * - FAILED_PRECONDITION, reason TEMPLATE_BROKEN: the template itself is faulty.
     * </pre>
     */
    default void renderTemplate(io.github.orchestrationledger.v1.RenderTemplateRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.RenderTemplateResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getRenderTemplateMethod(), responseObserver);
    }
  }

  /**
   * Base class for the server implementation of the service TemplateService.
   * <pre>
   * Lists and renders templates: those built into the server and those in its templates directory, which take
   * precedence if the names are equal. SprintService.CreateSprintFromTemplate and TaskService.CreateTasksFromTemplate
   * create entities from them.
   * </pre>
   */
  public static abstract class TemplateServiceImplBase
      implements io.grpc.BindableService, AsyncService {

    @java.lang.Override public final io.grpc.ServerServiceDefinition bindService() {
      return TemplateServiceGrpc.bindService(this);
    }
  }

  /**
   * A stub to allow clients to do asynchronous rpc calls to service TemplateService.
   * <pre>
   * Lists and renders templates: those built into the server and those in its templates directory, which take
   * precedence if the names are equal. SprintService.CreateSprintFromTemplate and TaskService.CreateTasksFromTemplate
   * create entities from them.
   * </pre>
   */
  public static final class TemplateServiceStub
      extends io.grpc.stub.AbstractAsyncStub<TemplateServiceStub> {
    private TemplateServiceStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected TemplateServiceStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new TemplateServiceStub(channel, callOptions);
    }

    /**
     * <pre>
     * Lists the templates by name, without their bodies.
     * </pre>
     */
    public void listTemplates(io.github.orchestrationledger.v1.ListTemplatesRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ListTemplatesResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListTemplatesMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Returns a template with its body.
     * Errors:
     * - NOT_FOUND: the template does not exist.
     * </pre>
     */
    public void getTemplate(io.github.orchestrationledger.v1.GetTemplateRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.GetTemplateResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getGetTemplateMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Renders a template without creating anything.
     * Errors:
     * - NOT_FOUND: the template does not exist.
     * - INVALID_ARGUMENT: a variable is missing, unknown or of the wrong type, which the error names; or the template
     *   prints a list or an object as text, at the line that the error names.
     * - INVALID_ARGUMENT, reason TEMPLATE_LIMIT: rendering takes longer than 50 ms or produces more than 1 MiB.
     * - FAILED_PRECONDITION, reason TEMPLATE_BROKEN: the template itself is faulty.
     * </pre>
     */
    public void renderTemplate(io.github.orchestrationledger.v1.RenderTemplateRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.RenderTemplateResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getRenderTemplateMethod(), getCallOptions()), request, responseObserver);
    }
  }

  /**
   * A stub to allow clients to do synchronous rpc calls to service TemplateService.
   * <pre>
   * Lists and renders templates: those built into the server and those in its templates directory, which take
   * precedence if the names are equal. SprintService.CreateSprintFromTemplate and TaskService.CreateTasksFromTemplate
   * create entities from them.
   * </pre>
   */
  public static final class TemplateServiceBlockingV2Stub
      extends io.grpc.stub.AbstractBlockingStub<TemplateServiceBlockingV2Stub> {
    private TemplateServiceBlockingV2Stub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected TemplateServiceBlockingV2Stub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new TemplateServiceBlockingV2Stub(channel, callOptions);
    }

    /**
     * <pre>
     * Lists the templates by name, without their bodies.
     * </pre>
     */
    public io.github.orchestrationledger.v1.ListTemplatesResponse listTemplates(io.github.orchestrationledger.v1.ListTemplatesRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListTemplatesMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Returns a template with its body.
     * Errors:
     * - NOT_FOUND: the template does not exist.
     * </pre>
     */
    public io.github.orchestrationledger.v1.GetTemplateResponse getTemplate(io.github.orchestrationledger.v1.GetTemplateRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getGetTemplateMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Renders a template without creating anything.
     * Errors:
     * - NOT_FOUND: the template does not exist.
     * - INVALID_ARGUMENT: a variable is missing, unknown or of the wrong type, which the error names; or the template
     *   prints a list or an object as text, at the line that the error names.
     * - INVALID_ARGUMENT, reason TEMPLATE_LIMIT: rendering takes longer than 50 ms or produces more than 1 MiB.
     * - FAILED_PRECONDITION, reason TEMPLATE_BROKEN: the template itself is faulty.
     * </pre>
     */
    public io.github.orchestrationledger.v1.RenderTemplateResponse renderTemplate(io.github.orchestrationledger.v1.RenderTemplateRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getRenderTemplateMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do limited synchronous rpc calls to service TemplateService.
   * <pre>
   * Lists and renders templates: those built into the server and those in its templates directory, which take
   * precedence if the names are equal. SprintService.CreateSprintFromTemplate and TaskService.CreateTasksFromTemplate
   * create entities from them.
   * </pre>
   */
  public static final class TemplateServiceBlockingStub
      extends io.grpc.stub.AbstractBlockingStub<TemplateServiceBlockingStub> {
    private TemplateServiceBlockingStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected TemplateServiceBlockingStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new TemplateServiceBlockingStub(channel, callOptions);
    }

    /**
     * <pre>
     * Lists the templates by name, without their bodies.
     * </pre>
     */
    public io.github.orchestrationledger.v1.ListTemplatesResponse listTemplates(io.github.orchestrationledger.v1.ListTemplatesRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListTemplatesMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Returns a template with its body.
     * Errors:
     * - NOT_FOUND: the template does not exist.
     * </pre>
     */
    public io.github.orchestrationledger.v1.GetTemplateResponse getTemplate(io.github.orchestrationledger.v1.GetTemplateRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getGetTemplateMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Renders a template without creating anything.
     * Errors:
     * - NOT_FOUND: the template does not exist.
     * - INVALID_ARGUMENT: a variable is missing, unknown or of the wrong type, which the error names; or the template
     *   prints a list or an object as text, at the line that the error names.
     * - INVALID_ARGUMENT, reason TEMPLATE_LIMIT: rendering takes longer than 50 ms or produces more than 1 MiB.
     * - FAILED_PRECONDITION, reason TEMPLATE_BROKEN: the template itself is faulty.
     * </pre>
     */
    public io.github.orchestrationledger.v1.RenderTemplateResponse renderTemplate(io.github.orchestrationledger.v1.RenderTemplateRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getRenderTemplateMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do ListenableFuture-style rpc calls to service TemplateService.
   * <pre>
   * Lists and renders templates: those built into the server and those in its templates directory, which take
   * precedence if the names are equal. SprintService.CreateSprintFromTemplate and TaskService.CreateTasksFromTemplate
   * create entities from them.
   * </pre>
   */
  public static final class TemplateServiceFutureStub
      extends io.grpc.stub.AbstractFutureStub<TemplateServiceFutureStub> {
    private TemplateServiceFutureStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected TemplateServiceFutureStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new TemplateServiceFutureStub(channel, callOptions);
    }

    /**
     * <pre>
     * Lists the templates by name, without their bodies.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.ListTemplatesResponse> listTemplates(
        io.github.orchestrationledger.v1.ListTemplatesRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListTemplatesMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Returns a template with its body.
     * Errors:
     * - NOT_FOUND: the template does not exist.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.GetTemplateResponse> getTemplate(
        io.github.orchestrationledger.v1.GetTemplateRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getGetTemplateMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Renders a template without creating anything.
     * Errors:
     * - NOT_FOUND: the template does not exist.
     * - INVALID_ARGUMENT: a variable is missing, unknown or of the wrong type, which the error names; or the template
     *   prints a list or an object as text, at the line that the error names.
     * - INVALID_ARGUMENT, reason TEMPLATE_LIMIT: rendering takes longer than 50 ms or produces more than 1 MiB.
     * - FAILED_PRECONDITION, reason TEMPLATE_BROKEN: the template itself is faulty.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.RenderTemplateResponse> renderTemplate(
        io.github.orchestrationledger.v1.RenderTemplateRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getRenderTemplateMethod(), getCallOptions()), request);
    }
  }

  private static final int METHODID_LIST_TEMPLATES = 0;
  private static final int METHODID_GET_TEMPLATE = 1;
  private static final int METHODID_RENDER_TEMPLATE = 2;

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
        case METHODID_LIST_TEMPLATES:
          serviceImpl.listTemplates((io.github.orchestrationledger.v1.ListTemplatesRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ListTemplatesResponse>) responseObserver);
          break;
        case METHODID_GET_TEMPLATE:
          serviceImpl.getTemplate((io.github.orchestrationledger.v1.GetTemplateRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.GetTemplateResponse>) responseObserver);
          break;
        case METHODID_RENDER_TEMPLATE:
          serviceImpl.renderTemplate((io.github.orchestrationledger.v1.RenderTemplateRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.RenderTemplateResponse>) responseObserver);
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
          getListTemplatesMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.ListTemplatesRequest,
              io.github.orchestrationledger.v1.ListTemplatesResponse>(
                service, METHODID_LIST_TEMPLATES)))
        .addMethod(
          getGetTemplateMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.GetTemplateRequest,
              io.github.orchestrationledger.v1.GetTemplateResponse>(
                service, METHODID_GET_TEMPLATE)))
        .addMethod(
          getRenderTemplateMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.RenderTemplateRequest,
              io.github.orchestrationledger.v1.RenderTemplateResponse>(
                service, METHODID_RENDER_TEMPLATE)))
        .build();
  }

  private static abstract class TemplateServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoFileDescriptorSupplier, io.grpc.protobuf.ProtoServiceDescriptorSupplier {
    TemplateServiceBaseDescriptorSupplier() {}

    @java.lang.Override
    public com.google.protobuf.Descriptors.FileDescriptor getFileDescriptor() {
      return io.github.orchestrationledger.v1.TemplateProto.getDescriptor();
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.ServiceDescriptor getServiceDescriptor() {
      return getFileDescriptor().findServiceByName("TemplateService");
    }
  }

  private static final class TemplateServiceFileDescriptorSupplier
      extends TemplateServiceBaseDescriptorSupplier {
    TemplateServiceFileDescriptorSupplier() {}
  }

  private static final class TemplateServiceMethodDescriptorSupplier
      extends TemplateServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoMethodDescriptorSupplier {
    private final java.lang.String methodName;

    TemplateServiceMethodDescriptorSupplier(java.lang.String methodName) {
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
      synchronized (TemplateServiceGrpc.class) {
        result = serviceDescriptor;
        if (result == null) {
          serviceDescriptor = result = io.grpc.ServiceDescriptor.newBuilder(SERVICE_NAME)
              .setSchemaDescriptor(new TemplateServiceFileDescriptorSupplier())
              .addMethod(getListTemplatesMethod())
              .addMethod(getGetTemplateMethod())
              .addMethod(getRenderTemplateMethod())
              .build();
        }
      }
    }
    return result;
  }
}
