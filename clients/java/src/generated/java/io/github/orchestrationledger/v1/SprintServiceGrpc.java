package io.github.orchestrationledger.v1;

import static io.grpc.MethodDescriptor.generateFullMethodName;

/**
 * <pre>
 * Manages sprints. Each write commits the change, its events and its request_id in one transaction.
 * </pre>
 */
@io.grpc.stub.annotations.GrpcGenerated
public final class SprintServiceGrpc {

  private SprintServiceGrpc() {}

  public static final java.lang.String SERVICE_NAME = "orchestration.v1.SprintService";

  // Static method descriptors that strictly reflect the proto.
  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.CreateSprintRequest,
      io.github.orchestrationledger.v1.CreateSprintResponse> getCreateSprintMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "CreateSprint",
      requestType = io.github.orchestrationledger.v1.CreateSprintRequest.class,
      responseType = io.github.orchestrationledger.v1.CreateSprintResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.CreateSprintRequest,
      io.github.orchestrationledger.v1.CreateSprintResponse> getCreateSprintMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.CreateSprintRequest, io.github.orchestrationledger.v1.CreateSprintResponse> getCreateSprintMethod;
    if ((getCreateSprintMethod = SprintServiceGrpc.getCreateSprintMethod) == null) {
      synchronized (SprintServiceGrpc.class) {
        if ((getCreateSprintMethod = SprintServiceGrpc.getCreateSprintMethod) == null) {
          SprintServiceGrpc.getCreateSprintMethod = getCreateSprintMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.CreateSprintRequest, io.github.orchestrationledger.v1.CreateSprintResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "CreateSprint"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.CreateSprintRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.CreateSprintResponse.getDefaultInstance()))
              .setSchemaDescriptor(new SprintServiceMethodDescriptorSupplier("CreateSprint"))
              .build();
        }
      }
    }
    return getCreateSprintMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.GetSprintRequest,
      io.github.orchestrationledger.v1.GetSprintResponse> getGetSprintMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "GetSprint",
      requestType = io.github.orchestrationledger.v1.GetSprintRequest.class,
      responseType = io.github.orchestrationledger.v1.GetSprintResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.GetSprintRequest,
      io.github.orchestrationledger.v1.GetSprintResponse> getGetSprintMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.GetSprintRequest, io.github.orchestrationledger.v1.GetSprintResponse> getGetSprintMethod;
    if ((getGetSprintMethod = SprintServiceGrpc.getGetSprintMethod) == null) {
      synchronized (SprintServiceGrpc.class) {
        if ((getGetSprintMethod = SprintServiceGrpc.getGetSprintMethod) == null) {
          SprintServiceGrpc.getGetSprintMethod = getGetSprintMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.GetSprintRequest, io.github.orchestrationledger.v1.GetSprintResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "GetSprint"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.GetSprintRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.GetSprintResponse.getDefaultInstance()))
              .setSchemaDescriptor(new SprintServiceMethodDescriptorSupplier("GetSprint"))
              .build();
        }
      }
    }
    return getGetSprintMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ListSprintsRequest,
      io.github.orchestrationledger.v1.ListSprintsResponse> getListSprintsMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListSprints",
      requestType = io.github.orchestrationledger.v1.ListSprintsRequest.class,
      responseType = io.github.orchestrationledger.v1.ListSprintsResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ListSprintsRequest,
      io.github.orchestrationledger.v1.ListSprintsResponse> getListSprintsMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ListSprintsRequest, io.github.orchestrationledger.v1.ListSprintsResponse> getListSprintsMethod;
    if ((getListSprintsMethod = SprintServiceGrpc.getListSprintsMethod) == null) {
      synchronized (SprintServiceGrpc.class) {
        if ((getListSprintsMethod = SprintServiceGrpc.getListSprintsMethod) == null) {
          SprintServiceGrpc.getListSprintsMethod = getListSprintsMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.ListSprintsRequest, io.github.orchestrationledger.v1.ListSprintsResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListSprints"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.ListSprintsRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.ListSprintsResponse.getDefaultInstance()))
              .setSchemaDescriptor(new SprintServiceMethodDescriptorSupplier("ListSprints"))
              .build();
        }
      }
    }
    return getListSprintsMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.UpdateSprintRequest,
      io.github.orchestrationledger.v1.UpdateSprintResponse> getUpdateSprintMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "UpdateSprint",
      requestType = io.github.orchestrationledger.v1.UpdateSprintRequest.class,
      responseType = io.github.orchestrationledger.v1.UpdateSprintResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.UpdateSprintRequest,
      io.github.orchestrationledger.v1.UpdateSprintResponse> getUpdateSprintMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.UpdateSprintRequest, io.github.orchestrationledger.v1.UpdateSprintResponse> getUpdateSprintMethod;
    if ((getUpdateSprintMethod = SprintServiceGrpc.getUpdateSprintMethod) == null) {
      synchronized (SprintServiceGrpc.class) {
        if ((getUpdateSprintMethod = SprintServiceGrpc.getUpdateSprintMethod) == null) {
          SprintServiceGrpc.getUpdateSprintMethod = getUpdateSprintMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.UpdateSprintRequest, io.github.orchestrationledger.v1.UpdateSprintResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "UpdateSprint"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.UpdateSprintRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.UpdateSprintResponse.getDefaultInstance()))
              .setSchemaDescriptor(new SprintServiceMethodDescriptorSupplier("UpdateSprint"))
              .build();
        }
      }
    }
    return getUpdateSprintMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.DeleteSprintRequest,
      io.github.orchestrationledger.v1.DeleteSprintResponse> getDeleteSprintMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "DeleteSprint",
      requestType = io.github.orchestrationledger.v1.DeleteSprintRequest.class,
      responseType = io.github.orchestrationledger.v1.DeleteSprintResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.DeleteSprintRequest,
      io.github.orchestrationledger.v1.DeleteSprintResponse> getDeleteSprintMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.DeleteSprintRequest, io.github.orchestrationledger.v1.DeleteSprintResponse> getDeleteSprintMethod;
    if ((getDeleteSprintMethod = SprintServiceGrpc.getDeleteSprintMethod) == null) {
      synchronized (SprintServiceGrpc.class) {
        if ((getDeleteSprintMethod = SprintServiceGrpc.getDeleteSprintMethod) == null) {
          SprintServiceGrpc.getDeleteSprintMethod = getDeleteSprintMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.DeleteSprintRequest, io.github.orchestrationledger.v1.DeleteSprintResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "DeleteSprint"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.DeleteSprintRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.DeleteSprintResponse.getDefaultInstance()))
              .setSchemaDescriptor(new SprintServiceMethodDescriptorSupplier("DeleteSprint"))
              .build();
        }
      }
    }
    return getDeleteSprintMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.CreateSprintFromTemplateRequest,
      io.github.orchestrationledger.v1.CreateSprintFromTemplateResponse> getCreateSprintFromTemplateMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "CreateSprintFromTemplate",
      requestType = io.github.orchestrationledger.v1.CreateSprintFromTemplateRequest.class,
      responseType = io.github.orchestrationledger.v1.CreateSprintFromTemplateResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.CreateSprintFromTemplateRequest,
      io.github.orchestrationledger.v1.CreateSprintFromTemplateResponse> getCreateSprintFromTemplateMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.CreateSprintFromTemplateRequest, io.github.orchestrationledger.v1.CreateSprintFromTemplateResponse> getCreateSprintFromTemplateMethod;
    if ((getCreateSprintFromTemplateMethod = SprintServiceGrpc.getCreateSprintFromTemplateMethod) == null) {
      synchronized (SprintServiceGrpc.class) {
        if ((getCreateSprintFromTemplateMethod = SprintServiceGrpc.getCreateSprintFromTemplateMethod) == null) {
          SprintServiceGrpc.getCreateSprintFromTemplateMethod = getCreateSprintFromTemplateMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.CreateSprintFromTemplateRequest, io.github.orchestrationledger.v1.CreateSprintFromTemplateResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "CreateSprintFromTemplate"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.CreateSprintFromTemplateRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.CreateSprintFromTemplateResponse.getDefaultInstance()))
              .setSchemaDescriptor(new SprintServiceMethodDescriptorSupplier("CreateSprintFromTemplate"))
              .build();
        }
      }
    }
    return getCreateSprintFromTemplateMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.SyncSprintRequest,
      io.github.orchestrationledger.v1.SyncSprintResponse> getSyncSprintMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "SyncSprint",
      requestType = io.github.orchestrationledger.v1.SyncSprintRequest.class,
      responseType = io.github.orchestrationledger.v1.SyncSprintResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.SyncSprintRequest,
      io.github.orchestrationledger.v1.SyncSprintResponse> getSyncSprintMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.SyncSprintRequest, io.github.orchestrationledger.v1.SyncSprintResponse> getSyncSprintMethod;
    if ((getSyncSprintMethod = SprintServiceGrpc.getSyncSprintMethod) == null) {
      synchronized (SprintServiceGrpc.class) {
        if ((getSyncSprintMethod = SprintServiceGrpc.getSyncSprintMethod) == null) {
          SprintServiceGrpc.getSyncSprintMethod = getSyncSprintMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.SyncSprintRequest, io.github.orchestrationledger.v1.SyncSprintResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "SyncSprint"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.SyncSprintRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.SyncSprintResponse.getDefaultInstance()))
              .setSchemaDescriptor(new SprintServiceMethodDescriptorSupplier("SyncSprint"))
              .build();
        }
      }
    }
    return getSyncSprintMethod;
  }

  /**
   * Creates a new async stub that supports all call types for the service
   */
  public static SprintServiceStub newStub(io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<SprintServiceStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<SprintServiceStub>() {
        @java.lang.Override
        public SprintServiceStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new SprintServiceStub(channel, callOptions);
        }
      };
    return SprintServiceStub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports all types of calls on the service
   */
  public static SprintServiceBlockingV2Stub newBlockingV2Stub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<SprintServiceBlockingV2Stub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<SprintServiceBlockingV2Stub>() {
        @java.lang.Override
        public SprintServiceBlockingV2Stub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new SprintServiceBlockingV2Stub(channel, callOptions);
        }
      };
    return SprintServiceBlockingV2Stub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports unary and streaming output calls on the service
   */
  public static SprintServiceBlockingStub newBlockingStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<SprintServiceBlockingStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<SprintServiceBlockingStub>() {
        @java.lang.Override
        public SprintServiceBlockingStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new SprintServiceBlockingStub(channel, callOptions);
        }
      };
    return SprintServiceBlockingStub.newStub(factory, channel);
  }

  /**
   * Creates a new ListenableFuture-style stub that supports unary calls on the service
   */
  public static SprintServiceFutureStub newFutureStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<SprintServiceFutureStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<SprintServiceFutureStub>() {
        @java.lang.Override
        public SprintServiceFutureStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new SprintServiceFutureStub(channel, callOptions);
        }
      };
    return SprintServiceFutureStub.newStub(factory, channel);
  }

  /**
   * <pre>
   * Manages sprints. Each write commits the change, its events and its request_id in one transaction.
   * </pre>
   */
  public interface AsyncService {

    /**
     * <pre>
     * Creates a sprint.
     * Errors:
     * - ALREADY_EXISTS: the code is or was in use in the project.
     * </pre>
     */
    default void createSprint(io.github.orchestrationledger.v1.CreateSprintRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.CreateSprintResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getCreateSprintMethod(), responseObserver);
    }

    /**
     * <pre>
     * Returns a sprint; with view FULL also its task counts and the first page of its tasks.
     * Errors:
     * - NOT_FOUND: the sprint does not exist or is deleted.
     * </pre>
     */
    default void getSprint(io.github.orchestrationledger.v1.GetSprintRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.GetSprintResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getGetSprintMethod(), responseObserver);
    }

    /**
     * <pre>
     * Lists the sprints of the project, newest first.
     * </pre>
     */
    default void listSprints(io.github.orchestrationledger.v1.ListSprintsRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ListSprintsResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListSprintsMethod(), responseObserver);
    }

    /**
     * <pre>
     * Updates the fields of a sprint that update_mask names.
     * Errors:
     * - NOT_FOUND: the sprint does not exist or is deleted.
     * - FAILED_PRECONDITION, reason TRANSITION_REFUSED: the status transition is not allowed. The error names the
     *   allowed statuses.
     * - ABORTED, reason STALE_REVISION: expected_revision is not the current revision, which the error carries.
     * </pre>
     */
    default void updateSprint(io.github.orchestrationledger.v1.UpdateSprintRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.UpdateSprintResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getUpdateSprintMethod(), responseObserver);
    }

    /**
     * <pre>
     * Deletes a sprint. Get and list rpcs no longer return it, its events remain, and its code cannot be reused.
     * Errors:
     * - NOT_FOUND: the sprint does not exist or is deleted.
     * - FAILED_PRECONDITION, reason SPRINT_NOT_EMPTY: the sprint still has tasks.
     * - ABORTED, reason STALE_REVISION: expected_revision is not the current revision, which the error carries.
     * </pre>
     */
    default void deleteSprint(io.github.orchestrationledger.v1.DeleteSprintRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.DeleteSprintResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getDeleteSprintMethod(), responseObserver);
    }

    /**
     * <pre>
     * Creates a sprint and its tasks from a template in one transaction: all or none. It logs the events
     * "orchestration.sprint.generated" and "orchestration.task.generated" in addition to those of the creation.
     * Errors:
     * - NOT_FOUND: the template does not exist.
     * - INVALID_ARGUMENT: the template is not of kind SPRINT; a required variable is missing, which the error names;
     *   rendering exceeds the limits of TemplateService.RenderTemplate; or the result is not a valid sprint or task.
     * - ALREADY_EXISTS: the code of the sprint or of a task is or was in use in the project.
     * </pre>
     */
    default void createSprintFromTemplate(io.github.orchestrationledger.v1.CreateSprintFromTemplateRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.CreateSprintFromTemplateResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getCreateSprintFromTemplateMethod(), responseObserver);
    }

    /**
     * <pre>
     * Queues the writing of the files of a sprint and its tasks to the workspace. An entity that is queued already is
     * not queued twice.
     * Errors:
     * - NOT_FOUND: the sprint does not exist or is deleted.
     * </pre>
     */
    default void syncSprint(io.github.orchestrationledger.v1.SyncSprintRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.SyncSprintResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getSyncSprintMethod(), responseObserver);
    }
  }

  /**
   * Base class for the server implementation of the service SprintService.
   * <pre>
   * Manages sprints. Each write commits the change, its events and its request_id in one transaction.
   * </pre>
   */
  public static abstract class SprintServiceImplBase
      implements io.grpc.BindableService, AsyncService {

    @java.lang.Override public final io.grpc.ServerServiceDefinition bindService() {
      return SprintServiceGrpc.bindService(this);
    }
  }

  /**
   * A stub to allow clients to do asynchronous rpc calls to service SprintService.
   * <pre>
   * Manages sprints. Each write commits the change, its events and its request_id in one transaction.
   * </pre>
   */
  public static final class SprintServiceStub
      extends io.grpc.stub.AbstractAsyncStub<SprintServiceStub> {
    private SprintServiceStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected SprintServiceStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new SprintServiceStub(channel, callOptions);
    }

    /**
     * <pre>
     * Creates a sprint.
     * Errors:
     * - ALREADY_EXISTS: the code is or was in use in the project.
     * </pre>
     */
    public void createSprint(io.github.orchestrationledger.v1.CreateSprintRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.CreateSprintResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getCreateSprintMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Returns a sprint; with view FULL also its task counts and the first page of its tasks.
     * Errors:
     * - NOT_FOUND: the sprint does not exist or is deleted.
     * </pre>
     */
    public void getSprint(io.github.orchestrationledger.v1.GetSprintRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.GetSprintResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getGetSprintMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Lists the sprints of the project, newest first.
     * </pre>
     */
    public void listSprints(io.github.orchestrationledger.v1.ListSprintsRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ListSprintsResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListSprintsMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Updates the fields of a sprint that update_mask names.
     * Errors:
     * - NOT_FOUND: the sprint does not exist or is deleted.
     * - FAILED_PRECONDITION, reason TRANSITION_REFUSED: the status transition is not allowed. The error names the
     *   allowed statuses.
     * - ABORTED, reason STALE_REVISION: expected_revision is not the current revision, which the error carries.
     * </pre>
     */
    public void updateSprint(io.github.orchestrationledger.v1.UpdateSprintRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.UpdateSprintResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getUpdateSprintMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Deletes a sprint. Get and list rpcs no longer return it, its events remain, and its code cannot be reused.
     * Errors:
     * - NOT_FOUND: the sprint does not exist or is deleted.
     * - FAILED_PRECONDITION, reason SPRINT_NOT_EMPTY: the sprint still has tasks.
     * - ABORTED, reason STALE_REVISION: expected_revision is not the current revision, which the error carries.
     * </pre>
     */
    public void deleteSprint(io.github.orchestrationledger.v1.DeleteSprintRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.DeleteSprintResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getDeleteSprintMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Creates a sprint and its tasks from a template in one transaction: all or none. It logs the events
     * "orchestration.sprint.generated" and "orchestration.task.generated" in addition to those of the creation.
     * Errors:
     * - NOT_FOUND: the template does not exist.
     * - INVALID_ARGUMENT: the template is not of kind SPRINT; a required variable is missing, which the error names;
     *   rendering exceeds the limits of TemplateService.RenderTemplate; or the result is not a valid sprint or task.
     * - ALREADY_EXISTS: the code of the sprint or of a task is or was in use in the project.
     * </pre>
     */
    public void createSprintFromTemplate(io.github.orchestrationledger.v1.CreateSprintFromTemplateRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.CreateSprintFromTemplateResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getCreateSprintFromTemplateMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Queues the writing of the files of a sprint and its tasks to the workspace. An entity that is queued already is
     * not queued twice.
     * Errors:
     * - NOT_FOUND: the sprint does not exist or is deleted.
     * </pre>
     */
    public void syncSprint(io.github.orchestrationledger.v1.SyncSprintRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.SyncSprintResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getSyncSprintMethod(), getCallOptions()), request, responseObserver);
    }
  }

  /**
   * A stub to allow clients to do synchronous rpc calls to service SprintService.
   * <pre>
   * Manages sprints. Each write commits the change, its events and its request_id in one transaction.
   * </pre>
   */
  public static final class SprintServiceBlockingV2Stub
      extends io.grpc.stub.AbstractBlockingStub<SprintServiceBlockingV2Stub> {
    private SprintServiceBlockingV2Stub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected SprintServiceBlockingV2Stub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new SprintServiceBlockingV2Stub(channel, callOptions);
    }

    /**
     * <pre>
     * Creates a sprint.
     * Errors:
     * - ALREADY_EXISTS: the code is or was in use in the project.
     * </pre>
     */
    public io.github.orchestrationledger.v1.CreateSprintResponse createSprint(io.github.orchestrationledger.v1.CreateSprintRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getCreateSprintMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Returns a sprint; with view FULL also its task counts and the first page of its tasks.
     * Errors:
     * - NOT_FOUND: the sprint does not exist or is deleted.
     * </pre>
     */
    public io.github.orchestrationledger.v1.GetSprintResponse getSprint(io.github.orchestrationledger.v1.GetSprintRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getGetSprintMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Lists the sprints of the project, newest first.
     * </pre>
     */
    public io.github.orchestrationledger.v1.ListSprintsResponse listSprints(io.github.orchestrationledger.v1.ListSprintsRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListSprintsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Updates the fields of a sprint that update_mask names.
     * Errors:
     * - NOT_FOUND: the sprint does not exist or is deleted.
     * - FAILED_PRECONDITION, reason TRANSITION_REFUSED: the status transition is not allowed. The error names the
     *   allowed statuses.
     * - ABORTED, reason STALE_REVISION: expected_revision is not the current revision, which the error carries.
     * </pre>
     */
    public io.github.orchestrationledger.v1.UpdateSprintResponse updateSprint(io.github.orchestrationledger.v1.UpdateSprintRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getUpdateSprintMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Deletes a sprint. Get and list rpcs no longer return it, its events remain, and its code cannot be reused.
     * Errors:
     * - NOT_FOUND: the sprint does not exist or is deleted.
     * - FAILED_PRECONDITION, reason SPRINT_NOT_EMPTY: the sprint still has tasks.
     * - ABORTED, reason STALE_REVISION: expected_revision is not the current revision, which the error carries.
     * </pre>
     */
    public io.github.orchestrationledger.v1.DeleteSprintResponse deleteSprint(io.github.orchestrationledger.v1.DeleteSprintRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getDeleteSprintMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Creates a sprint and its tasks from a template in one transaction: all or none. It logs the events
     * "orchestration.sprint.generated" and "orchestration.task.generated" in addition to those of the creation.
     * Errors:
     * - NOT_FOUND: the template does not exist.
     * - INVALID_ARGUMENT: the template is not of kind SPRINT; a required variable is missing, which the error names;
     *   rendering exceeds the limits of TemplateService.RenderTemplate; or the result is not a valid sprint or task.
     * - ALREADY_EXISTS: the code of the sprint or of a task is or was in use in the project.
     * </pre>
     */
    public io.github.orchestrationledger.v1.CreateSprintFromTemplateResponse createSprintFromTemplate(io.github.orchestrationledger.v1.CreateSprintFromTemplateRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getCreateSprintFromTemplateMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Queues the writing of the files of a sprint and its tasks to the workspace. An entity that is queued already is
     * not queued twice.
     * Errors:
     * - NOT_FOUND: the sprint does not exist or is deleted.
     * </pre>
     */
    public io.github.orchestrationledger.v1.SyncSprintResponse syncSprint(io.github.orchestrationledger.v1.SyncSprintRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getSyncSprintMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do limited synchronous rpc calls to service SprintService.
   * <pre>
   * Manages sprints. Each write commits the change, its events and its request_id in one transaction.
   * </pre>
   */
  public static final class SprintServiceBlockingStub
      extends io.grpc.stub.AbstractBlockingStub<SprintServiceBlockingStub> {
    private SprintServiceBlockingStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected SprintServiceBlockingStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new SprintServiceBlockingStub(channel, callOptions);
    }

    /**
     * <pre>
     * Creates a sprint.
     * Errors:
     * - ALREADY_EXISTS: the code is or was in use in the project.
     * </pre>
     */
    public io.github.orchestrationledger.v1.CreateSprintResponse createSprint(io.github.orchestrationledger.v1.CreateSprintRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getCreateSprintMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Returns a sprint; with view FULL also its task counts and the first page of its tasks.
     * Errors:
     * - NOT_FOUND: the sprint does not exist or is deleted.
     * </pre>
     */
    public io.github.orchestrationledger.v1.GetSprintResponse getSprint(io.github.orchestrationledger.v1.GetSprintRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getGetSprintMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Lists the sprints of the project, newest first.
     * </pre>
     */
    public io.github.orchestrationledger.v1.ListSprintsResponse listSprints(io.github.orchestrationledger.v1.ListSprintsRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListSprintsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Updates the fields of a sprint that update_mask names.
     * Errors:
     * - NOT_FOUND: the sprint does not exist or is deleted.
     * - FAILED_PRECONDITION, reason TRANSITION_REFUSED: the status transition is not allowed. The error names the
     *   allowed statuses.
     * - ABORTED, reason STALE_REVISION: expected_revision is not the current revision, which the error carries.
     * </pre>
     */
    public io.github.orchestrationledger.v1.UpdateSprintResponse updateSprint(io.github.orchestrationledger.v1.UpdateSprintRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getUpdateSprintMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Deletes a sprint. Get and list rpcs no longer return it, its events remain, and its code cannot be reused.
     * Errors:
     * - NOT_FOUND: the sprint does not exist or is deleted.
     * - FAILED_PRECONDITION, reason SPRINT_NOT_EMPTY: the sprint still has tasks.
     * - ABORTED, reason STALE_REVISION: expected_revision is not the current revision, which the error carries.
     * </pre>
     */
    public io.github.orchestrationledger.v1.DeleteSprintResponse deleteSprint(io.github.orchestrationledger.v1.DeleteSprintRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getDeleteSprintMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Creates a sprint and its tasks from a template in one transaction: all or none. It logs the events
     * "orchestration.sprint.generated" and "orchestration.task.generated" in addition to those of the creation.
     * Errors:
     * - NOT_FOUND: the template does not exist.
     * - INVALID_ARGUMENT: the template is not of kind SPRINT; a required variable is missing, which the error names;
     *   rendering exceeds the limits of TemplateService.RenderTemplate; or the result is not a valid sprint or task.
     * - ALREADY_EXISTS: the code of the sprint or of a task is or was in use in the project.
     * </pre>
     */
    public io.github.orchestrationledger.v1.CreateSprintFromTemplateResponse createSprintFromTemplate(io.github.orchestrationledger.v1.CreateSprintFromTemplateRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getCreateSprintFromTemplateMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Queues the writing of the files of a sprint and its tasks to the workspace. An entity that is queued already is
     * not queued twice.
     * Errors:
     * - NOT_FOUND: the sprint does not exist or is deleted.
     * </pre>
     */
    public io.github.orchestrationledger.v1.SyncSprintResponse syncSprint(io.github.orchestrationledger.v1.SyncSprintRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getSyncSprintMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do ListenableFuture-style rpc calls to service SprintService.
   * <pre>
   * Manages sprints. Each write commits the change, its events and its request_id in one transaction.
   * </pre>
   */
  public static final class SprintServiceFutureStub
      extends io.grpc.stub.AbstractFutureStub<SprintServiceFutureStub> {
    private SprintServiceFutureStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected SprintServiceFutureStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new SprintServiceFutureStub(channel, callOptions);
    }

    /**
     * <pre>
     * Creates a sprint.
     * Errors:
     * - ALREADY_EXISTS: the code is or was in use in the project.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.CreateSprintResponse> createSprint(
        io.github.orchestrationledger.v1.CreateSprintRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getCreateSprintMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Returns a sprint; with view FULL also its task counts and the first page of its tasks.
     * Errors:
     * - NOT_FOUND: the sprint does not exist or is deleted.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.GetSprintResponse> getSprint(
        io.github.orchestrationledger.v1.GetSprintRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getGetSprintMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Lists the sprints of the project, newest first.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.ListSprintsResponse> listSprints(
        io.github.orchestrationledger.v1.ListSprintsRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListSprintsMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Updates the fields of a sprint that update_mask names.
     * Errors:
     * - NOT_FOUND: the sprint does not exist or is deleted.
     * - FAILED_PRECONDITION, reason TRANSITION_REFUSED: the status transition is not allowed. The error names the
     *   allowed statuses.
     * - ABORTED, reason STALE_REVISION: expected_revision is not the current revision, which the error carries.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.UpdateSprintResponse> updateSprint(
        io.github.orchestrationledger.v1.UpdateSprintRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getUpdateSprintMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Deletes a sprint. Get and list rpcs no longer return it, its events remain, and its code cannot be reused.
     * Errors:
     * - NOT_FOUND: the sprint does not exist or is deleted.
     * - FAILED_PRECONDITION, reason SPRINT_NOT_EMPTY: the sprint still has tasks.
     * - ABORTED, reason STALE_REVISION: expected_revision is not the current revision, which the error carries.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.DeleteSprintResponse> deleteSprint(
        io.github.orchestrationledger.v1.DeleteSprintRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getDeleteSprintMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Creates a sprint and its tasks from a template in one transaction: all or none. It logs the events
     * "orchestration.sprint.generated" and "orchestration.task.generated" in addition to those of the creation.
     * Errors:
     * - NOT_FOUND: the template does not exist.
     * - INVALID_ARGUMENT: the template is not of kind SPRINT; a required variable is missing, which the error names;
     *   rendering exceeds the limits of TemplateService.RenderTemplate; or the result is not a valid sprint or task.
     * - ALREADY_EXISTS: the code of the sprint or of a task is or was in use in the project.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.CreateSprintFromTemplateResponse> createSprintFromTemplate(
        io.github.orchestrationledger.v1.CreateSprintFromTemplateRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getCreateSprintFromTemplateMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Queues the writing of the files of a sprint and its tasks to the workspace. An entity that is queued already is
     * not queued twice.
     * Errors:
     * - NOT_FOUND: the sprint does not exist or is deleted.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.SyncSprintResponse> syncSprint(
        io.github.orchestrationledger.v1.SyncSprintRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getSyncSprintMethod(), getCallOptions()), request);
    }
  }

  private static final int METHODID_CREATE_SPRINT = 0;
  private static final int METHODID_GET_SPRINT = 1;
  private static final int METHODID_LIST_SPRINTS = 2;
  private static final int METHODID_UPDATE_SPRINT = 3;
  private static final int METHODID_DELETE_SPRINT = 4;
  private static final int METHODID_CREATE_SPRINT_FROM_TEMPLATE = 5;
  private static final int METHODID_SYNC_SPRINT = 6;

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
        case METHODID_CREATE_SPRINT:
          serviceImpl.createSprint((io.github.orchestrationledger.v1.CreateSprintRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.CreateSprintResponse>) responseObserver);
          break;
        case METHODID_GET_SPRINT:
          serviceImpl.getSprint((io.github.orchestrationledger.v1.GetSprintRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.GetSprintResponse>) responseObserver);
          break;
        case METHODID_LIST_SPRINTS:
          serviceImpl.listSprints((io.github.orchestrationledger.v1.ListSprintsRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ListSprintsResponse>) responseObserver);
          break;
        case METHODID_UPDATE_SPRINT:
          serviceImpl.updateSprint((io.github.orchestrationledger.v1.UpdateSprintRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.UpdateSprintResponse>) responseObserver);
          break;
        case METHODID_DELETE_SPRINT:
          serviceImpl.deleteSprint((io.github.orchestrationledger.v1.DeleteSprintRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.DeleteSprintResponse>) responseObserver);
          break;
        case METHODID_CREATE_SPRINT_FROM_TEMPLATE:
          serviceImpl.createSprintFromTemplate((io.github.orchestrationledger.v1.CreateSprintFromTemplateRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.CreateSprintFromTemplateResponse>) responseObserver);
          break;
        case METHODID_SYNC_SPRINT:
          serviceImpl.syncSprint((io.github.orchestrationledger.v1.SyncSprintRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.SyncSprintResponse>) responseObserver);
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
          getCreateSprintMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.CreateSprintRequest,
              io.github.orchestrationledger.v1.CreateSprintResponse>(
                service, METHODID_CREATE_SPRINT)))
        .addMethod(
          getGetSprintMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.GetSprintRequest,
              io.github.orchestrationledger.v1.GetSprintResponse>(
                service, METHODID_GET_SPRINT)))
        .addMethod(
          getListSprintsMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.ListSprintsRequest,
              io.github.orchestrationledger.v1.ListSprintsResponse>(
                service, METHODID_LIST_SPRINTS)))
        .addMethod(
          getUpdateSprintMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.UpdateSprintRequest,
              io.github.orchestrationledger.v1.UpdateSprintResponse>(
                service, METHODID_UPDATE_SPRINT)))
        .addMethod(
          getDeleteSprintMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.DeleteSprintRequest,
              io.github.orchestrationledger.v1.DeleteSprintResponse>(
                service, METHODID_DELETE_SPRINT)))
        .addMethod(
          getCreateSprintFromTemplateMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.CreateSprintFromTemplateRequest,
              io.github.orchestrationledger.v1.CreateSprintFromTemplateResponse>(
                service, METHODID_CREATE_SPRINT_FROM_TEMPLATE)))
        .addMethod(
          getSyncSprintMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.SyncSprintRequest,
              io.github.orchestrationledger.v1.SyncSprintResponse>(
                service, METHODID_SYNC_SPRINT)))
        .build();
  }

  private static abstract class SprintServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoFileDescriptorSupplier, io.grpc.protobuf.ProtoServiceDescriptorSupplier {
    SprintServiceBaseDescriptorSupplier() {}

    @java.lang.Override
    public com.google.protobuf.Descriptors.FileDescriptor getFileDescriptor() {
      return io.github.orchestrationledger.v1.SprintProto.getDescriptor();
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.ServiceDescriptor getServiceDescriptor() {
      return getFileDescriptor().findServiceByName("SprintService");
    }
  }

  private static final class SprintServiceFileDescriptorSupplier
      extends SprintServiceBaseDescriptorSupplier {
    SprintServiceFileDescriptorSupplier() {}
  }

  private static final class SprintServiceMethodDescriptorSupplier
      extends SprintServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoMethodDescriptorSupplier {
    private final java.lang.String methodName;

    SprintServiceMethodDescriptorSupplier(java.lang.String methodName) {
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
      synchronized (SprintServiceGrpc.class) {
        result = serviceDescriptor;
        if (result == null) {
          serviceDescriptor = result = io.grpc.ServiceDescriptor.newBuilder(SERVICE_NAME)
              .setSchemaDescriptor(new SprintServiceFileDescriptorSupplier())
              .addMethod(getCreateSprintMethod())
              .addMethod(getGetSprintMethod())
              .addMethod(getListSprintsMethod())
              .addMethod(getUpdateSprintMethod())
              .addMethod(getDeleteSprintMethod())
              .addMethod(getCreateSprintFromTemplateMethod())
              .addMethod(getSyncSprintMethod())
              .build();
        }
      }
    }
    return result;
  }
}
