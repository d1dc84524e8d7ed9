package io.github.orchestrationledger.v1;

import static io.grpc.MethodDescriptor.generateFullMethodName;

/**
 * <pre>
 * Creates tasks and sprints at the times of a cron line. A background service fires a schedule about a second after
 * its time: once, with any number of servers and workers, and after crashes.
 * </pre>
 */
@io.grpc.stub.annotations.GrpcGenerated
public final class ScheduleServiceGrpc {

  private ScheduleServiceGrpc() {}

  public static final java.lang.String SERVICE_NAME = "orchestration.v1.ScheduleService";

  // Static method descriptors that strictly reflect the proto.
  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.CreateScheduleRequest,
      io.github.orchestrationledger.v1.CreateScheduleResponse> getCreateScheduleMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "CreateSchedule",
      requestType = io.github.orchestrationledger.v1.CreateScheduleRequest.class,
      responseType = io.github.orchestrationledger.v1.CreateScheduleResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.CreateScheduleRequest,
      io.github.orchestrationledger.v1.CreateScheduleResponse> getCreateScheduleMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.CreateScheduleRequest, io.github.orchestrationledger.v1.CreateScheduleResponse> getCreateScheduleMethod;
    if ((getCreateScheduleMethod = ScheduleServiceGrpc.getCreateScheduleMethod) == null) {
      synchronized (ScheduleServiceGrpc.class) {
        if ((getCreateScheduleMethod = ScheduleServiceGrpc.getCreateScheduleMethod) == null) {
          ScheduleServiceGrpc.getCreateScheduleMethod = getCreateScheduleMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.CreateScheduleRequest, io.github.orchestrationledger.v1.CreateScheduleResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "CreateSchedule"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.CreateScheduleRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.CreateScheduleResponse.getDefaultInstance()))
              .setSchemaDescriptor(new ScheduleServiceMethodDescriptorSupplier("CreateSchedule"))
              .build();
        }
      }
    }
    return getCreateScheduleMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.GetScheduleRequest,
      io.github.orchestrationledger.v1.GetScheduleResponse> getGetScheduleMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "GetSchedule",
      requestType = io.github.orchestrationledger.v1.GetScheduleRequest.class,
      responseType = io.github.orchestrationledger.v1.GetScheduleResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.GetScheduleRequest,
      io.github.orchestrationledger.v1.GetScheduleResponse> getGetScheduleMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.GetScheduleRequest, io.github.orchestrationledger.v1.GetScheduleResponse> getGetScheduleMethod;
    if ((getGetScheduleMethod = ScheduleServiceGrpc.getGetScheduleMethod) == null) {
      synchronized (ScheduleServiceGrpc.class) {
        if ((getGetScheduleMethod = ScheduleServiceGrpc.getGetScheduleMethod) == null) {
          ScheduleServiceGrpc.getGetScheduleMethod = getGetScheduleMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.GetScheduleRequest, io.github.orchestrationledger.v1.GetScheduleResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "GetSchedule"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.GetScheduleRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.GetScheduleResponse.getDefaultInstance()))
              .setSchemaDescriptor(new ScheduleServiceMethodDescriptorSupplier("GetSchedule"))
              .build();
        }
      }
    }
    return getGetScheduleMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ListSchedulesRequest,
      io.github.orchestrationledger.v1.ListSchedulesResponse> getListSchedulesMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListSchedules",
      requestType = io.github.orchestrationledger.v1.ListSchedulesRequest.class,
      responseType = io.github.orchestrationledger.v1.ListSchedulesResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ListSchedulesRequest,
      io.github.orchestrationledger.v1.ListSchedulesResponse> getListSchedulesMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ListSchedulesRequest, io.github.orchestrationledger.v1.ListSchedulesResponse> getListSchedulesMethod;
    if ((getListSchedulesMethod = ScheduleServiceGrpc.getListSchedulesMethod) == null) {
      synchronized (ScheduleServiceGrpc.class) {
        if ((getListSchedulesMethod = ScheduleServiceGrpc.getListSchedulesMethod) == null) {
          ScheduleServiceGrpc.getListSchedulesMethod = getListSchedulesMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.ListSchedulesRequest, io.github.orchestrationledger.v1.ListSchedulesResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListSchedules"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.ListSchedulesRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.ListSchedulesResponse.getDefaultInstance()))
              .setSchemaDescriptor(new ScheduleServiceMethodDescriptorSupplier("ListSchedules"))
              .build();
        }
      }
    }
    return getListSchedulesMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.UpdateScheduleRequest,
      io.github.orchestrationledger.v1.UpdateScheduleResponse> getUpdateScheduleMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "UpdateSchedule",
      requestType = io.github.orchestrationledger.v1.UpdateScheduleRequest.class,
      responseType = io.github.orchestrationledger.v1.UpdateScheduleResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.UpdateScheduleRequest,
      io.github.orchestrationledger.v1.UpdateScheduleResponse> getUpdateScheduleMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.UpdateScheduleRequest, io.github.orchestrationledger.v1.UpdateScheduleResponse> getUpdateScheduleMethod;
    if ((getUpdateScheduleMethod = ScheduleServiceGrpc.getUpdateScheduleMethod) == null) {
      synchronized (ScheduleServiceGrpc.class) {
        if ((getUpdateScheduleMethod = ScheduleServiceGrpc.getUpdateScheduleMethod) == null) {
          ScheduleServiceGrpc.getUpdateScheduleMethod = getUpdateScheduleMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.UpdateScheduleRequest, io.github.orchestrationledger.v1.UpdateScheduleResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "UpdateSchedule"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.UpdateScheduleRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.UpdateScheduleResponse.getDefaultInstance()))
              .setSchemaDescriptor(new ScheduleServiceMethodDescriptorSupplier("UpdateSchedule"))
              .build();
        }
      }
    }
    return getUpdateScheduleMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.DeleteScheduleRequest,
      io.github.orchestrationledger.v1.DeleteScheduleResponse> getDeleteScheduleMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "DeleteSchedule",
      requestType = io.github.orchestrationledger.v1.DeleteScheduleRequest.class,
      responseType = io.github.orchestrationledger.v1.DeleteScheduleResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.DeleteScheduleRequest,
      io.github.orchestrationledger.v1.DeleteScheduleResponse> getDeleteScheduleMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.DeleteScheduleRequest, io.github.orchestrationledger.v1.DeleteScheduleResponse> getDeleteScheduleMethod;
    if ((getDeleteScheduleMethod = ScheduleServiceGrpc.getDeleteScheduleMethod) == null) {
      synchronized (ScheduleServiceGrpc.class) {
        if ((getDeleteScheduleMethod = ScheduleServiceGrpc.getDeleteScheduleMethod) == null) {
          ScheduleServiceGrpc.getDeleteScheduleMethod = getDeleteScheduleMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.DeleteScheduleRequest, io.github.orchestrationledger.v1.DeleteScheduleResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "DeleteSchedule"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.DeleteScheduleRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.DeleteScheduleResponse.getDefaultInstance()))
              .setSchemaDescriptor(new ScheduleServiceMethodDescriptorSupplier("DeleteSchedule"))
              .build();
        }
      }
    }
    return getDeleteScheduleMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.TriggerScheduleRequest,
      io.github.orchestrationledger.v1.TriggerScheduleResponse> getTriggerScheduleMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "TriggerSchedule",
      requestType = io.github.orchestrationledger.v1.TriggerScheduleRequest.class,
      responseType = io.github.orchestrationledger.v1.TriggerScheduleResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.TriggerScheduleRequest,
      io.github.orchestrationledger.v1.TriggerScheduleResponse> getTriggerScheduleMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.TriggerScheduleRequest, io.github.orchestrationledger.v1.TriggerScheduleResponse> getTriggerScheduleMethod;
    if ((getTriggerScheduleMethod = ScheduleServiceGrpc.getTriggerScheduleMethod) == null) {
      synchronized (ScheduleServiceGrpc.class) {
        if ((getTriggerScheduleMethod = ScheduleServiceGrpc.getTriggerScheduleMethod) == null) {
          ScheduleServiceGrpc.getTriggerScheduleMethod = getTriggerScheduleMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.TriggerScheduleRequest, io.github.orchestrationledger.v1.TriggerScheduleResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "TriggerSchedule"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.TriggerScheduleRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.TriggerScheduleResponse.getDefaultInstance()))
              .setSchemaDescriptor(new ScheduleServiceMethodDescriptorSupplier("TriggerSchedule"))
              .build();
        }
      }
    }
    return getTriggerScheduleMethod;
  }

  /**
   * Creates a new async stub that supports all call types for the service
   */
  public static ScheduleServiceStub newStub(io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<ScheduleServiceStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<ScheduleServiceStub>() {
        @java.lang.Override
        public ScheduleServiceStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new ScheduleServiceStub(channel, callOptions);
        }
      };
    return ScheduleServiceStub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports all types of calls on the service
   */
  public static ScheduleServiceBlockingV2Stub newBlockingV2Stub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<ScheduleServiceBlockingV2Stub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<ScheduleServiceBlockingV2Stub>() {
        @java.lang.Override
        public ScheduleServiceBlockingV2Stub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new ScheduleServiceBlockingV2Stub(channel, callOptions);
        }
      };
    return ScheduleServiceBlockingV2Stub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports unary and streaming output calls on the service
   */
  public static ScheduleServiceBlockingStub newBlockingStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<ScheduleServiceBlockingStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<ScheduleServiceBlockingStub>() {
        @java.lang.Override
        public ScheduleServiceBlockingStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new ScheduleServiceBlockingStub(channel, callOptions);
        }
      };
    return ScheduleServiceBlockingStub.newStub(factory, channel);
  }

  /**
   * Creates a new ListenableFuture-style stub that supports unary calls on the service
   */
  public static ScheduleServiceFutureStub newFutureStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<ScheduleServiceFutureStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<ScheduleServiceFutureStub>() {
        @java.lang.Override
        public ScheduleServiceFutureStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new ScheduleServiceFutureStub(channel, callOptions);
        }
      };
    return ScheduleServiceFutureStub.newStub(factory, channel);
  }

  /**
   * <pre>
   * Creates tasks and sprints at the times of a cron line. A background service fires a schedule about a second after
   * its time: once, with any number of servers and workers, and after crashes.
   * </pre>
   */
  public interface AsyncService {

    /**
     * <pre>
     * Creates a schedule, and renders its template once to see that it can.
     * Errors:
     * - ALREADY_EXISTS: the code is or was in use.
     * - NOT_FOUND: the template or the sprint does not exist.
     * - INVALID_ARGUMENT: the cron line or the time zone is not one, the cron line never fires, or the template cannot
     *   be rendered with these variables.
     * - RESOURCE_EXHAUSTED, reason TOO_MANY_SCHEDULES: the project has 1,000 schedules.
     * </pre>
     */
    default void createSchedule(io.github.orchestrationledger.v1.CreateScheduleRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.CreateScheduleResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getCreateScheduleMethod(), responseObserver);
    }

    /**
     * <pre>
     * Returns a schedule.
     * Errors:
     * - NOT_FOUND: the schedule does not exist, or is deleted.
     * </pre>
     */
    default void getSchedule(io.github.orchestrationledger.v1.GetScheduleRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.GetScheduleResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getGetScheduleMethod(), responseObserver);
    }

    /**
     * <pre>
     * Lists the schedules of the project by code.
     * </pre>
     */
    default void listSchedules(io.github.orchestrationledger.v1.ListSchedulesRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ListSchedulesResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListSchedulesMethod(), responseObserver);
    }

    /**
     * <pre>
     * Updates the fields in update_mask. A change of cron or time_zone, or the end of a pause, sets next_time to the
     * next time from now on: times that have passed are not made up for.
     * Errors:
     * - NOT_FOUND: the schedule, its template or its sprint does not exist.
     * - ABORTED, reason STALE_REVISION: expected_revision is not the current revision.
     * - INVALID_ARGUMENT: as for CreateSchedule.
     * </pre>
     */
    default void updateSchedule(io.github.orchestrationledger.v1.UpdateScheduleRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.UpdateScheduleResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getUpdateScheduleMethod(), responseObserver);
    }

    /**
     * <pre>
     * Deletes a schedule. What it has created stays. Its code is not given out again.
     * Errors:
     * - NOT_FOUND: the schedule does not exist, or is deleted.
     * - ABORTED, reason STALE_REVISION: expected_revision is not the current revision.
     * </pre>
     */
    default void deleteSchedule(io.github.orchestrationledger.v1.DeleteScheduleRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.DeleteScheduleResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getDeleteScheduleMethod(), responseObserver);
    }

    /**
     * <pre>
     * Creates the task or sprint of a schedule now, whatever its times, its overlap policy, its pause and the pauses of
     * work say. next_time stays as it is.
     * Errors:
     * - NOT_FOUND: the schedule, its template or its sprint does not exist.
     * - ABORTED: the schedule was changed meanwhile.
     * - INVALID_ARGUMENT, ALREADY_EXISTS, FAILED_PRECONDITION: as for CreateTasksFromTemplate and
     *   CreateSprintFromTemplate.
     * </pre>
     */
    default void triggerSchedule(io.github.orchestrationledger.v1.TriggerScheduleRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.TriggerScheduleResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getTriggerScheduleMethod(), responseObserver);
    }
  }

  /**
   * Base class for the server implementation of the service ScheduleService.
   * <pre>
   * Creates tasks and sprints at the times of a cron line. A background service fires a schedule about a second after
   * its time: once, with any number of servers and workers, and after crashes.
   * </pre>
   */
  public static abstract class ScheduleServiceImplBase
      implements io.grpc.BindableService, AsyncService {

    @java.lang.Override public final io.grpc.ServerServiceDefinition bindService() {
      return ScheduleServiceGrpc.bindService(this);
    }
  }

  /**
   * A stub to allow clients to do asynchronous rpc calls to service ScheduleService.
   * <pre>
   * Creates tasks and sprints at the times of a cron line. A background service fires a schedule about a second after
   * its time: once, with any number of servers and workers, and after crashes.
   * </pre>
   */
  public static final class ScheduleServiceStub
      extends io.grpc.stub.AbstractAsyncStub<ScheduleServiceStub> {
    private ScheduleServiceStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected ScheduleServiceStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new ScheduleServiceStub(channel, callOptions);
    }

    /**
     * <pre>
     * Creates a schedule, and renders its template once to see that it can.
     * Errors:
     * - ALREADY_EXISTS: the code is or was in use.
     * - NOT_FOUND: the template or the sprint does not exist.
     * - INVALID_ARGUMENT: the cron line or the time zone is not one, the cron line never fires, or the template cannot
     *   be rendered with these variables.
     * - RESOURCE_EXHAUSTED, reason TOO_MANY_SCHEDULES: the project has 1,000 schedules.
     * </pre>
     */
    public void createSchedule(io.github.orchestrationledger.v1.CreateScheduleRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.CreateScheduleResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getCreateScheduleMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Returns a schedule.
     * Errors:
     * - NOT_FOUND: the schedule does not exist, or is deleted.
     * </pre>
     */
    public void getSchedule(io.github.orchestrationledger.v1.GetScheduleRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.GetScheduleResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getGetScheduleMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Lists the schedules of the project by code.
     * </pre>
     */
    public void listSchedules(io.github.orchestrationledger.v1.ListSchedulesRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ListSchedulesResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListSchedulesMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Updates the fields in update_mask. A change of cron or time_zone, or the end of a pause, sets next_time to the
     * next time from now on: times that have passed are not made up for.
     * Errors:
     * - NOT_FOUND: the schedule, its template or its sprint does not exist.
     * - ABORTED, reason STALE_REVISION: expected_revision is not the current revision.
     * - INVALID_ARGUMENT: as for CreateSchedule.
     * </pre>
     */
    public void updateSchedule(io.github.orchestrationledger.v1.UpdateScheduleRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.UpdateScheduleResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getUpdateScheduleMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Deletes a schedule. What it has created stays. Its code is not given out again.
     * Errors:
     * - NOT_FOUND: the schedule does not exist, or is deleted.
     * - ABORTED, reason STALE_REVISION: expected_revision is not the current revision.
     * </pre>
     */
    public void deleteSchedule(io.github.orchestrationledger.v1.DeleteScheduleRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.DeleteScheduleResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getDeleteScheduleMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Creates the task or sprint of a schedule now, whatever its times, its overlap policy, its pause and the pauses of
     * work say. next_time stays as it is.
     * Errors:
     * - NOT_FOUND: the schedule, its template or its sprint does not exist.
     * - ABORTED: the schedule was changed meanwhile.
     * - INVALID_ARGUMENT, ALREADY_EXISTS, FAILED_PRECONDITION: as for CreateTasksFromTemplate and
     *   CreateSprintFromTemplate.
     * </pre>
     */
    public void triggerSchedule(io.github.orchestrationledger.v1.TriggerScheduleRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.TriggerScheduleResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getTriggerScheduleMethod(), getCallOptions()), request, responseObserver);
    }
  }

  /**
   * A stub to allow clients to do synchronous rpc calls to service ScheduleService.
   * <pre>
   * Creates tasks and sprints at the times of a cron line. A background service fires a schedule about a second after
   * its time: once, with any number of servers and workers, and after crashes.
   * </pre>
   */
  public static final class ScheduleServiceBlockingV2Stub
      extends io.grpc.stub.AbstractBlockingStub<ScheduleServiceBlockingV2Stub> {
    private ScheduleServiceBlockingV2Stub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected ScheduleServiceBlockingV2Stub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new ScheduleServiceBlockingV2Stub(channel, callOptions);
    }

    /**
     * <pre>
     * Creates a schedule, and renders its template once to see that it can.
     * Errors:
     * - ALREADY_EXISTS: the code is or was in use.
     * - NOT_FOUND: the template or the sprint does not exist.
     * - INVALID_ARGUMENT: the cron line or the time zone is not one, the cron line never fires, or the template cannot
     *   be rendered with these variables.
     * - RESOURCE_EXHAUSTED, reason TOO_MANY_SCHEDULES: the project has 1,000 schedules.
     * </pre>
     */
    public io.github.orchestrationledger.v1.CreateScheduleResponse createSchedule(io.github.orchestrationledger.v1.CreateScheduleRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getCreateScheduleMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Returns a schedule.
     * Errors:
     * - NOT_FOUND: the schedule does not exist, or is deleted.
     * </pre>
     */
    public io.github.orchestrationledger.v1.GetScheduleResponse getSchedule(io.github.orchestrationledger.v1.GetScheduleRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getGetScheduleMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Lists the schedules of the project by code.
     * </pre>
     */
    public io.github.orchestrationledger.v1.ListSchedulesResponse listSchedules(io.github.orchestrationledger.v1.ListSchedulesRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListSchedulesMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Updates the fields in update_mask. A change of cron or time_zone, or the end of a pause, sets next_time to the
     * next time from now on: times that have passed are not made up for.
     * Errors:
     * - NOT_FOUND: the schedule, its template or its sprint does not exist.
     * - ABORTED, reason STALE_REVISION: expected_revision is not the current revision.
     * - INVALID_ARGUMENT: as for CreateSchedule.
     * </pre>
     */
    public io.github.orchestrationledger.v1.UpdateScheduleResponse updateSchedule(io.github.orchestrationledger.v1.UpdateScheduleRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getUpdateScheduleMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Deletes a schedule. What it has created stays. Its code is not given out again.
     * Errors:
     * - NOT_FOUND: the schedule does not exist, or is deleted.
     * - ABORTED, reason STALE_REVISION: expected_revision is not the current revision.
     * </pre>
     */
    public io.github.orchestrationledger.v1.DeleteScheduleResponse deleteSchedule(io.github.orchestrationledger.v1.DeleteScheduleRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getDeleteScheduleMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Creates the task or sprint of a schedule now, whatever its times, its overlap policy, its pause and the pauses of
     * work say. next_time stays as it is.
     * Errors:
     * - NOT_FOUND: the schedule, its template or its sprint does not exist.
     * - ABORTED: the schedule was changed meanwhile.
     * - INVALID_ARGUMENT, ALREADY_EXISTS, FAILED_PRECONDITION: as for CreateTasksFromTemplate and
     *   CreateSprintFromTemplate.
     * </pre>
     */
    public io.github.orchestrationledger.v1.TriggerScheduleResponse triggerSchedule(io.github.orchestrationledger.v1.TriggerScheduleRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getTriggerScheduleMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do limited synchronous rpc calls to service ScheduleService.
   * <pre>
   * Creates tasks and sprints at the times of a cron line. A background service fires a schedule about a second after
   * its time: once, with any number of servers and workers, and after crashes.
   * </pre>
   */
  public static final class ScheduleServiceBlockingStub
      extends io.grpc.stub.AbstractBlockingStub<ScheduleServiceBlockingStub> {
    private ScheduleServiceBlockingStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected ScheduleServiceBlockingStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new ScheduleServiceBlockingStub(channel, callOptions);
    }

    /**
     * <pre>
     * Creates a schedule, and renders its template once to see that it can.
     * Errors:
     * - ALREADY_EXISTS: the code is or was in use.
     * - NOT_FOUND: the template or the sprint does not exist.
     * - INVALID_ARGUMENT: the cron line or the time zone is not one, the cron line never fires, or the template cannot
     *   be rendered with these variables.
     * - RESOURCE_EXHAUSTED, reason TOO_MANY_SCHEDULES: the project has 1,000 schedules.
     * </pre>
     */
    public io.github.orchestrationledger.v1.CreateScheduleResponse createSchedule(io.github.orchestrationledger.v1.CreateScheduleRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getCreateScheduleMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Returns a schedule.
     * Errors:
     * - NOT_FOUND: the schedule does not exist, or is deleted.
     * </pre>
     */
    public io.github.orchestrationledger.v1.GetScheduleResponse getSchedule(io.github.orchestrationledger.v1.GetScheduleRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getGetScheduleMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Lists the schedules of the project by code.
     * </pre>
     */
    public io.github.orchestrationledger.v1.ListSchedulesResponse listSchedules(io.github.orchestrationledger.v1.ListSchedulesRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListSchedulesMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Updates the fields in update_mask. A change of cron or time_zone, or the end of a pause, sets next_time to the
     * next time from now on: times that have passed are not made up for.
     * Errors:
     * - NOT_FOUND: the schedule, its template or its sprint does not exist.
     * - ABORTED, reason STALE_REVISION: expected_revision is not the current revision.
     * - INVALID_ARGUMENT: as for CreateSchedule.
     * </pre>
     */
    public io.github.orchestrationledger.v1.UpdateScheduleResponse updateSchedule(io.github.orchestrationledger.v1.UpdateScheduleRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getUpdateScheduleMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Deletes a schedule. What it has created stays. Its code is not given out again.
     * Errors:
     * - NOT_FOUND: the schedule does not exist, or is deleted.
     * - ABORTED, reason STALE_REVISION: expected_revision is not the current revision.
     * </pre>
     */
    public io.github.orchestrationledger.v1.DeleteScheduleResponse deleteSchedule(io.github.orchestrationledger.v1.DeleteScheduleRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getDeleteScheduleMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Creates the task or sprint of a schedule now, whatever its times, its overlap policy, its pause and the pauses of
     * work say. next_time stays as it is.
     * Errors:
     * - NOT_FOUND: the schedule, its template or its sprint does not exist.
     * - ABORTED: the schedule was changed meanwhile.
     * - INVALID_ARGUMENT, ALREADY_EXISTS, FAILED_PRECONDITION: as for CreateTasksFromTemplate and
     *   CreateSprintFromTemplate.
     * </pre>
     */
    public io.github.orchestrationledger.v1.TriggerScheduleResponse triggerSchedule(io.github.orchestrationledger.v1.TriggerScheduleRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getTriggerScheduleMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do ListenableFuture-style rpc calls to service ScheduleService.
   * <pre>
   * Creates tasks and sprints at the times of a cron line. A background service fires a schedule about a second after
   * its time: once, with any number of servers and workers, and after crashes.
   * </pre>
   */
  public static final class ScheduleServiceFutureStub
      extends io.grpc.stub.AbstractFutureStub<ScheduleServiceFutureStub> {
    private ScheduleServiceFutureStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected ScheduleServiceFutureStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new ScheduleServiceFutureStub(channel, callOptions);
    }

    /**
     * <pre>
     * Creates a schedule, and renders its template once to see that it can.
     * Errors:
     * - ALREADY_EXISTS: the code is or was in use.
     * - NOT_FOUND: the template or the sprint does not exist.
     * - INVALID_ARGUMENT: the cron line or the time zone is not one, the cron line never fires, or the template cannot
     *   be rendered with these variables.
     * - RESOURCE_EXHAUSTED, reason TOO_MANY_SCHEDULES: the project has 1,000 schedules.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.CreateScheduleResponse> createSchedule(
        io.github.orchestrationledger.v1.CreateScheduleRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getCreateScheduleMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Returns a schedule.
     * Errors:
     * - NOT_FOUND: the schedule does not exist, or is deleted.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.GetScheduleResponse> getSchedule(
        io.github.orchestrationledger.v1.GetScheduleRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getGetScheduleMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Lists the schedules of the project by code.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.ListSchedulesResponse> listSchedules(
        io.github.orchestrationledger.v1.ListSchedulesRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListSchedulesMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Updates the fields in update_mask. A change of cron or time_zone, or the end of a pause, sets next_time to the
     * next time from now on: times that have passed are not made up for.
     * Errors:
     * - NOT_FOUND: the schedule, its template or its sprint does not exist.
     * - ABORTED, reason STALE_REVISION: expected_revision is not the current revision.
     * - INVALID_ARGUMENT: as for CreateSchedule.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.UpdateScheduleResponse> updateSchedule(
        io.github.orchestrationledger.v1.UpdateScheduleRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getUpdateScheduleMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Deletes a schedule. What it has created stays. Its code is not given out again.
     * Errors:
     * - NOT_FOUND: the schedule does not exist, or is deleted.
     * - ABORTED, reason STALE_REVISION: expected_revision is not the current revision.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.DeleteScheduleResponse> deleteSchedule(
        io.github.orchestrationledger.v1.DeleteScheduleRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getDeleteScheduleMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Creates the task or sprint of a schedule now, whatever its times, its overlap policy, its pause and the pauses of
     * work say. next_time stays as it is.
     * Errors:
     * - NOT_FOUND: the schedule, its template or its sprint does not exist.
     * - ABORTED: the schedule was changed meanwhile.
     * - INVALID_ARGUMENT, ALREADY_EXISTS, FAILED_PRECONDITION: as for CreateTasksFromTemplate and
     *   CreateSprintFromTemplate.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.TriggerScheduleResponse> triggerSchedule(
        io.github.orchestrationledger.v1.TriggerScheduleRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getTriggerScheduleMethod(), getCallOptions()), request);
    }
  }

  private static final int METHODID_CREATE_SCHEDULE = 0;
  private static final int METHODID_GET_SCHEDULE = 1;
  private static final int METHODID_LIST_SCHEDULES = 2;
  private static final int METHODID_UPDATE_SCHEDULE = 3;
  private static final int METHODID_DELETE_SCHEDULE = 4;
  private static final int METHODID_TRIGGER_SCHEDULE = 5;

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
        case METHODID_CREATE_SCHEDULE:
          serviceImpl.createSchedule((io.github.orchestrationledger.v1.CreateScheduleRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.CreateScheduleResponse>) responseObserver);
          break;
        case METHODID_GET_SCHEDULE:
          serviceImpl.getSchedule((io.github.orchestrationledger.v1.GetScheduleRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.GetScheduleResponse>) responseObserver);
          break;
        case METHODID_LIST_SCHEDULES:
          serviceImpl.listSchedules((io.github.orchestrationledger.v1.ListSchedulesRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ListSchedulesResponse>) responseObserver);
          break;
        case METHODID_UPDATE_SCHEDULE:
          serviceImpl.updateSchedule((io.github.orchestrationledger.v1.UpdateScheduleRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.UpdateScheduleResponse>) responseObserver);
          break;
        case METHODID_DELETE_SCHEDULE:
          serviceImpl.deleteSchedule((io.github.orchestrationledger.v1.DeleteScheduleRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.DeleteScheduleResponse>) responseObserver);
          break;
        case METHODID_TRIGGER_SCHEDULE:
          serviceImpl.triggerSchedule((io.github.orchestrationledger.v1.TriggerScheduleRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.TriggerScheduleResponse>) responseObserver);
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
          getCreateScheduleMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.CreateScheduleRequest,
              io.github.orchestrationledger.v1.CreateScheduleResponse>(
                service, METHODID_CREATE_SCHEDULE)))
        .addMethod(
          getGetScheduleMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.GetScheduleRequest,
              io.github.orchestrationledger.v1.GetScheduleResponse>(
                service, METHODID_GET_SCHEDULE)))
        .addMethod(
          getListSchedulesMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.ListSchedulesRequest,
              io.github.orchestrationledger.v1.ListSchedulesResponse>(
                service, METHODID_LIST_SCHEDULES)))
        .addMethod(
          getUpdateScheduleMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.UpdateScheduleRequest,
              io.github.orchestrationledger.v1.UpdateScheduleResponse>(
                service, METHODID_UPDATE_SCHEDULE)))
        .addMethod(
          getDeleteScheduleMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.DeleteScheduleRequest,
              io.github.orchestrationledger.v1.DeleteScheduleResponse>(
                service, METHODID_DELETE_SCHEDULE)))
        .addMethod(
          getTriggerScheduleMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.TriggerScheduleRequest,
              io.github.orchestrationledger.v1.TriggerScheduleResponse>(
                service, METHODID_TRIGGER_SCHEDULE)))
        .build();
  }

  private static abstract class ScheduleServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoFileDescriptorSupplier, io.grpc.protobuf.ProtoServiceDescriptorSupplier {
    ScheduleServiceBaseDescriptorSupplier() {}

    @java.lang.Override
    public com.google.protobuf.Descriptors.FileDescriptor getFileDescriptor() {
      return io.github.orchestrationledger.v1.ScheduleProto.getDescriptor();
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.ServiceDescriptor getServiceDescriptor() {
      return getFileDescriptor().findServiceByName("ScheduleService");
    }
  }

  private static final class ScheduleServiceFileDescriptorSupplier
      extends ScheduleServiceBaseDescriptorSupplier {
    ScheduleServiceFileDescriptorSupplier() {}
  }

  private static final class ScheduleServiceMethodDescriptorSupplier
      extends ScheduleServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoMethodDescriptorSupplier {
    private final java.lang.String methodName;

    ScheduleServiceMethodDescriptorSupplier(java.lang.String methodName) {
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
      synchronized (ScheduleServiceGrpc.class) {
        result = serviceDescriptor;
        if (result == null) {
          serviceDescriptor = result = io.grpc.ServiceDescriptor.newBuilder(SERVICE_NAME)
              .setSchemaDescriptor(new ScheduleServiceFileDescriptorSupplier())
              .addMethod(getCreateScheduleMethod())
              .addMethod(getGetScheduleMethod())
              .addMethod(getListSchedulesMethod())
              .addMethod(getUpdateScheduleMethod())
              .addMethod(getDeleteScheduleMethod())
              .addMethod(getTriggerScheduleMethod())
              .build();
        }
      }
    }
    return result;
  }
}
