package io.github.orchestrationledger.v1;

import static io.grpc.MethodDescriptor.generateFullMethodName;

/**
 * <pre>
 * Manages tasks. Each write commits the change, its events and its request_id in one transaction.
 * </pre>
 */
@io.grpc.stub.annotations.GrpcGenerated
public final class TaskServiceGrpc {

  private TaskServiceGrpc() {}

  public static final java.lang.String SERVICE_NAME = "orchestration.v1.TaskService";

  // Static method descriptors that strictly reflect the proto.
  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.CreateTaskRequest,
      io.github.orchestrationledger.v1.CreateTaskResponse> getCreateTaskMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "CreateTask",
      requestType = io.github.orchestrationledger.v1.CreateTaskRequest.class,
      responseType = io.github.orchestrationledger.v1.CreateTaskResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.CreateTaskRequest,
      io.github.orchestrationledger.v1.CreateTaskResponse> getCreateTaskMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.CreateTaskRequest, io.github.orchestrationledger.v1.CreateTaskResponse> getCreateTaskMethod;
    if ((getCreateTaskMethod = TaskServiceGrpc.getCreateTaskMethod) == null) {
      synchronized (TaskServiceGrpc.class) {
        if ((getCreateTaskMethod = TaskServiceGrpc.getCreateTaskMethod) == null) {
          TaskServiceGrpc.getCreateTaskMethod = getCreateTaskMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.CreateTaskRequest, io.github.orchestrationledger.v1.CreateTaskResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "CreateTask"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.CreateTaskRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.CreateTaskResponse.getDefaultInstance()))
              .setSchemaDescriptor(new TaskServiceMethodDescriptorSupplier("CreateTask"))
              .build();
        }
      }
    }
    return getCreateTaskMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.GetTaskRequest,
      io.github.orchestrationledger.v1.GetTaskResponse> getGetTaskMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "GetTask",
      requestType = io.github.orchestrationledger.v1.GetTaskRequest.class,
      responseType = io.github.orchestrationledger.v1.GetTaskResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.GetTaskRequest,
      io.github.orchestrationledger.v1.GetTaskResponse> getGetTaskMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.GetTaskRequest, io.github.orchestrationledger.v1.GetTaskResponse> getGetTaskMethod;
    if ((getGetTaskMethod = TaskServiceGrpc.getGetTaskMethod) == null) {
      synchronized (TaskServiceGrpc.class) {
        if ((getGetTaskMethod = TaskServiceGrpc.getGetTaskMethod) == null) {
          TaskServiceGrpc.getGetTaskMethod = getGetTaskMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.GetTaskRequest, io.github.orchestrationledger.v1.GetTaskResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "GetTask"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.GetTaskRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.GetTaskResponse.getDefaultInstance()))
              .setSchemaDescriptor(new TaskServiceMethodDescriptorSupplier("GetTask"))
              .build();
        }
      }
    }
    return getGetTaskMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ListTasksRequest,
      io.github.orchestrationledger.v1.ListTasksResponse> getListTasksMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListTasks",
      requestType = io.github.orchestrationledger.v1.ListTasksRequest.class,
      responseType = io.github.orchestrationledger.v1.ListTasksResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ListTasksRequest,
      io.github.orchestrationledger.v1.ListTasksResponse> getListTasksMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ListTasksRequest, io.github.orchestrationledger.v1.ListTasksResponse> getListTasksMethod;
    if ((getListTasksMethod = TaskServiceGrpc.getListTasksMethod) == null) {
      synchronized (TaskServiceGrpc.class) {
        if ((getListTasksMethod = TaskServiceGrpc.getListTasksMethod) == null) {
          TaskServiceGrpc.getListTasksMethod = getListTasksMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.ListTasksRequest, io.github.orchestrationledger.v1.ListTasksResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListTasks"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.ListTasksRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.ListTasksResponse.getDefaultInstance()))
              .setSchemaDescriptor(new TaskServiceMethodDescriptorSupplier("ListTasks"))
              .build();
        }
      }
    }
    return getListTasksMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.UpdateTaskRequest,
      io.github.orchestrationledger.v1.UpdateTaskResponse> getUpdateTaskMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "UpdateTask",
      requestType = io.github.orchestrationledger.v1.UpdateTaskRequest.class,
      responseType = io.github.orchestrationledger.v1.UpdateTaskResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.UpdateTaskRequest,
      io.github.orchestrationledger.v1.UpdateTaskResponse> getUpdateTaskMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.UpdateTaskRequest, io.github.orchestrationledger.v1.UpdateTaskResponse> getUpdateTaskMethod;
    if ((getUpdateTaskMethod = TaskServiceGrpc.getUpdateTaskMethod) == null) {
      synchronized (TaskServiceGrpc.class) {
        if ((getUpdateTaskMethod = TaskServiceGrpc.getUpdateTaskMethod) == null) {
          TaskServiceGrpc.getUpdateTaskMethod = getUpdateTaskMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.UpdateTaskRequest, io.github.orchestrationledger.v1.UpdateTaskResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "UpdateTask"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.UpdateTaskRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.UpdateTaskResponse.getDefaultInstance()))
              .setSchemaDescriptor(new TaskServiceMethodDescriptorSupplier("UpdateTask"))
              .build();
        }
      }
    }
    return getUpdateTaskMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.UpdateTaskStatusRequest,
      io.github.orchestrationledger.v1.UpdateTaskStatusResponse> getUpdateTaskStatusMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "UpdateTaskStatus",
      requestType = io.github.orchestrationledger.v1.UpdateTaskStatusRequest.class,
      responseType = io.github.orchestrationledger.v1.UpdateTaskStatusResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.UpdateTaskStatusRequest,
      io.github.orchestrationledger.v1.UpdateTaskStatusResponse> getUpdateTaskStatusMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.UpdateTaskStatusRequest, io.github.orchestrationledger.v1.UpdateTaskStatusResponse> getUpdateTaskStatusMethod;
    if ((getUpdateTaskStatusMethod = TaskServiceGrpc.getUpdateTaskStatusMethod) == null) {
      synchronized (TaskServiceGrpc.class) {
        if ((getUpdateTaskStatusMethod = TaskServiceGrpc.getUpdateTaskStatusMethod) == null) {
          TaskServiceGrpc.getUpdateTaskStatusMethod = getUpdateTaskStatusMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.UpdateTaskStatusRequest, io.github.orchestrationledger.v1.UpdateTaskStatusResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "UpdateTaskStatus"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.UpdateTaskStatusRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.UpdateTaskStatusResponse.getDefaultInstance()))
              .setSchemaDescriptor(new TaskServiceMethodDescriptorSupplier("UpdateTaskStatus"))
              .build();
        }
      }
    }
    return getUpdateTaskStatusMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.DeleteTaskRequest,
      io.github.orchestrationledger.v1.DeleteTaskResponse> getDeleteTaskMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "DeleteTask",
      requestType = io.github.orchestrationledger.v1.DeleteTaskRequest.class,
      responseType = io.github.orchestrationledger.v1.DeleteTaskResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.DeleteTaskRequest,
      io.github.orchestrationledger.v1.DeleteTaskResponse> getDeleteTaskMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.DeleteTaskRequest, io.github.orchestrationledger.v1.DeleteTaskResponse> getDeleteTaskMethod;
    if ((getDeleteTaskMethod = TaskServiceGrpc.getDeleteTaskMethod) == null) {
      synchronized (TaskServiceGrpc.class) {
        if ((getDeleteTaskMethod = TaskServiceGrpc.getDeleteTaskMethod) == null) {
          TaskServiceGrpc.getDeleteTaskMethod = getDeleteTaskMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.DeleteTaskRequest, io.github.orchestrationledger.v1.DeleteTaskResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "DeleteTask"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.DeleteTaskRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.DeleteTaskResponse.getDefaultInstance()))
              .setSchemaDescriptor(new TaskServiceMethodDescriptorSupplier("DeleteTask"))
              .build();
        }
      }
    }
    return getDeleteTaskMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.BatchCreateTasksRequest,
      io.github.orchestrationledger.v1.BatchCreateTasksResponse> getBatchCreateTasksMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "BatchCreateTasks",
      requestType = io.github.orchestrationledger.v1.BatchCreateTasksRequest.class,
      responseType = io.github.orchestrationledger.v1.BatchCreateTasksResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.BatchCreateTasksRequest,
      io.github.orchestrationledger.v1.BatchCreateTasksResponse> getBatchCreateTasksMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.BatchCreateTasksRequest, io.github.orchestrationledger.v1.BatchCreateTasksResponse> getBatchCreateTasksMethod;
    if ((getBatchCreateTasksMethod = TaskServiceGrpc.getBatchCreateTasksMethod) == null) {
      synchronized (TaskServiceGrpc.class) {
        if ((getBatchCreateTasksMethod = TaskServiceGrpc.getBatchCreateTasksMethod) == null) {
          TaskServiceGrpc.getBatchCreateTasksMethod = getBatchCreateTasksMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.BatchCreateTasksRequest, io.github.orchestrationledger.v1.BatchCreateTasksResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "BatchCreateTasks"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.BatchCreateTasksRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.BatchCreateTasksResponse.getDefaultInstance()))
              .setSchemaDescriptor(new TaskServiceMethodDescriptorSupplier("BatchCreateTasks"))
              .build();
        }
      }
    }
    return getBatchCreateTasksMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.BatchUpdateTaskStatusRequest,
      io.github.orchestrationledger.v1.BatchUpdateTaskStatusResponse> getBatchUpdateTaskStatusMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "BatchUpdateTaskStatus",
      requestType = io.github.orchestrationledger.v1.BatchUpdateTaskStatusRequest.class,
      responseType = io.github.orchestrationledger.v1.BatchUpdateTaskStatusResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.BatchUpdateTaskStatusRequest,
      io.github.orchestrationledger.v1.BatchUpdateTaskStatusResponse> getBatchUpdateTaskStatusMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.BatchUpdateTaskStatusRequest, io.github.orchestrationledger.v1.BatchUpdateTaskStatusResponse> getBatchUpdateTaskStatusMethod;
    if ((getBatchUpdateTaskStatusMethod = TaskServiceGrpc.getBatchUpdateTaskStatusMethod) == null) {
      synchronized (TaskServiceGrpc.class) {
        if ((getBatchUpdateTaskStatusMethod = TaskServiceGrpc.getBatchUpdateTaskStatusMethod) == null) {
          TaskServiceGrpc.getBatchUpdateTaskStatusMethod = getBatchUpdateTaskStatusMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.BatchUpdateTaskStatusRequest, io.github.orchestrationledger.v1.BatchUpdateTaskStatusResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "BatchUpdateTaskStatus"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.BatchUpdateTaskStatusRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.BatchUpdateTaskStatusResponse.getDefaultInstance()))
              .setSchemaDescriptor(new TaskServiceMethodDescriptorSupplier("BatchUpdateTaskStatus"))
              .build();
        }
      }
    }
    return getBatchUpdateTaskStatusMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.CreateTasksFromTemplateRequest,
      io.github.orchestrationledger.v1.CreateTasksFromTemplateResponse> getCreateTasksFromTemplateMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "CreateTasksFromTemplate",
      requestType = io.github.orchestrationledger.v1.CreateTasksFromTemplateRequest.class,
      responseType = io.github.orchestrationledger.v1.CreateTasksFromTemplateResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.CreateTasksFromTemplateRequest,
      io.github.orchestrationledger.v1.CreateTasksFromTemplateResponse> getCreateTasksFromTemplateMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.CreateTasksFromTemplateRequest, io.github.orchestrationledger.v1.CreateTasksFromTemplateResponse> getCreateTasksFromTemplateMethod;
    if ((getCreateTasksFromTemplateMethod = TaskServiceGrpc.getCreateTasksFromTemplateMethod) == null) {
      synchronized (TaskServiceGrpc.class) {
        if ((getCreateTasksFromTemplateMethod = TaskServiceGrpc.getCreateTasksFromTemplateMethod) == null) {
          TaskServiceGrpc.getCreateTasksFromTemplateMethod = getCreateTasksFromTemplateMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.CreateTasksFromTemplateRequest, io.github.orchestrationledger.v1.CreateTasksFromTemplateResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "CreateTasksFromTemplate"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.CreateTasksFromTemplateRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.CreateTasksFromTemplateResponse.getDefaultInstance()))
              .setSchemaDescriptor(new TaskServiceMethodDescriptorSupplier("CreateTasksFromTemplate"))
              .build();
        }
      }
    }
    return getCreateTasksFromTemplateMethod;
  }

  /**
   * Creates a new async stub that supports all call types for the service
   */
  public static TaskServiceStub newStub(io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<TaskServiceStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<TaskServiceStub>() {
        @java.lang.Override
        public TaskServiceStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new TaskServiceStub(channel, callOptions);
        }
      };
    return TaskServiceStub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports all types of calls on the service
   */
  public static TaskServiceBlockingV2Stub newBlockingV2Stub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<TaskServiceBlockingV2Stub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<TaskServiceBlockingV2Stub>() {
        @java.lang.Override
        public TaskServiceBlockingV2Stub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new TaskServiceBlockingV2Stub(channel, callOptions);
        }
      };
    return TaskServiceBlockingV2Stub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports unary and streaming output calls on the service
   */
  public static TaskServiceBlockingStub newBlockingStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<TaskServiceBlockingStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<TaskServiceBlockingStub>() {
        @java.lang.Override
        public TaskServiceBlockingStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new TaskServiceBlockingStub(channel, callOptions);
        }
      };
    return TaskServiceBlockingStub.newStub(factory, channel);
  }

  /**
   * Creates a new ListenableFuture-style stub that supports unary calls on the service
   */
  public static TaskServiceFutureStub newFutureStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<TaskServiceFutureStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<TaskServiceFutureStub>() {
        @java.lang.Override
        public TaskServiceFutureStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new TaskServiceFutureStub(channel, callOptions);
        }
      };
    return TaskServiceFutureStub.newStub(factory, channel);
  }

  /**
   * <pre>
   * Manages tasks. Each write commits the change, its events and its request_id in one transaction.
   * </pre>
   */
  public interface AsyncService {

    /**
     * <pre>
     * Creates a task.
     * Errors:
     * - ALREADY_EXISTS: the code is or was in use in the project.
     * - NOT_FOUND: sprint_code names no sprint.
     * </pre>
     */
    default void createTask(io.github.orchestrationledger.v1.CreateTaskRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.CreateTaskResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getCreateTaskMethod(), responseObserver);
    }

    /**
     * <pre>
     * Returns a task.
     * Errors:
     * - NOT_FOUND: the task does not exist or is deleted.
     * </pre>
     */
    default void getTask(io.github.orchestrationledger.v1.GetTaskRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.GetTaskResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getGetTaskMethod(), responseObserver);
    }

    /**
     * <pre>
     * Lists the tasks of the project.
     * </pre>
     */
    default void listTasks(io.github.orchestrationledger.v1.ListTasksRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ListTasksResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListTasksMethod(), responseObserver);
    }

    /**
     * <pre>
     * Updates the fields of a task that update_mask names.
     * Errors:
     * - NOT_FOUND: the task does not exist or is deleted.
     * - FAILED_PRECONDITION, reason TRANSITION_REFUSED: the status transition is not allowed. The error names the
     *   allowed statuses.
     * - ABORTED, reason STALE_REVISION: expected_revision is not the current revision, which the error carries.
     * - FAILED_PRECONDITION, reason TASK_HELD: another holder has a lease of the task, and the request changes its
     *   status or assignee. The error carries holder, session_key and expire_time.
     * - FAILED_PRECONDITION, reason STALE_FENCE: the lease of the given fence has ended.
     * </pre>
     */
    default void updateTask(io.github.orchestrationledger.v1.UpdateTaskRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.UpdateTaskResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getUpdateTaskMethod(), responseObserver);
    }

    /**
     * <pre>
     * Updates the status of a task. The errors are those of UpdateTask.
     * Dependencies do not restrict the status: a task with open blockers can be started and completed. To start only
     * work that is ready, call CoordinationService.ListReadyTasks first.
     * </pre>
     */
    default void updateTaskStatus(io.github.orchestrationledger.v1.UpdateTaskStatusRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.UpdateTaskStatusResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getUpdateTaskStatusMethod(), responseObserver);
    }

    /**
     * <pre>
     * Deletes a task. Get and list rpcs no longer return it, it no longer blocks other tasks, its events remain, and
     * its code cannot be reused.
     * Errors:
     * - NOT_FOUND: the task does not exist or is deleted.
     * - ABORTED, reason STALE_REVISION: expected_revision is not the current revision, which the error carries.
     * - FAILED_PRECONDITION, reason TASK_HELD or STALE_FENCE, as for UpdateTask.
     * </pre>
     */
    default void deleteTask(io.github.orchestrationledger.v1.DeleteTaskRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.DeleteTaskResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getDeleteTaskMethod(), responseObserver);
    }

    /**
     * <pre>
     * Creates up to 1,000 tasks in one transaction: all or none. The errors are those of CreateTask; a field violation
     * names its item.
     * </pre>
     */
    default void batchCreateTasks(io.github.orchestrationledger.v1.BatchCreateTasksRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.BatchCreateTasksResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getBatchCreateTasksMethod(), responseObserver);
    }

    /**
     * <pre>
     * Updates the status of up to 1,000 tasks in one transaction: all or none. The errors are those of
     * UpdateTaskStatus.
     * </pre>
     */
    default void batchUpdateTaskStatus(io.github.orchestrationledger.v1.BatchUpdateTaskStatusRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.BatchUpdateTaskStatusResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getBatchUpdateTaskStatusMethod(), responseObserver);
    }

    /**
     * <pre>
     * Creates up to 1,000 tasks from a template in one transaction: all or none. Each task gets the event
     * "orchestration.task.generated" in addition to that of its creation. The errors are those of CreateTask and, for a
     * template of kind TASK, of SprintService.CreateSprintFromTemplate; a field violation names its item.
     * </pre>
     */
    default void createTasksFromTemplate(io.github.orchestrationledger.v1.CreateTasksFromTemplateRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.CreateTasksFromTemplateResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getCreateTasksFromTemplateMethod(), responseObserver);
    }
  }

  /**
   * Base class for the server implementation of the service TaskService.
   * <pre>
   * Manages tasks. Each write commits the change, its events and its request_id in one transaction.
   * </pre>
   */
  public static abstract class TaskServiceImplBase
      implements io.grpc.BindableService, AsyncService {

    @java.lang.Override public final io.grpc.ServerServiceDefinition bindService() {
      return TaskServiceGrpc.bindService(this);
    }
  }

  /**
   * A stub to allow clients to do asynchronous rpc calls to service TaskService.
   * <pre>
   * Manages tasks. Each write commits the change, its events and its request_id in one transaction.
   * </pre>
   */
  public static final class TaskServiceStub
      extends io.grpc.stub.AbstractAsyncStub<TaskServiceStub> {
    private TaskServiceStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected TaskServiceStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new TaskServiceStub(channel, callOptions);
    }

    /**
     * <pre>
     * Creates a task.
     * Errors:
     * - ALREADY_EXISTS: the code is or was in use in the project.
     * - NOT_FOUND: sprint_code names no sprint.
     * </pre>
     */
    public void createTask(io.github.orchestrationledger.v1.CreateTaskRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.CreateTaskResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getCreateTaskMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Returns a task.
     * Errors:
     * - NOT_FOUND: the task does not exist or is deleted.
     * </pre>
     */
    public void getTask(io.github.orchestrationledger.v1.GetTaskRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.GetTaskResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getGetTaskMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Lists the tasks of the project.
     * </pre>
     */
    public void listTasks(io.github.orchestrationledger.v1.ListTasksRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ListTasksResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListTasksMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Updates the fields of a task that update_mask names.
     * Errors:
     * - NOT_FOUND: the task does not exist or is deleted.
     * - FAILED_PRECONDITION, reason TRANSITION_REFUSED: the status transition is not allowed. The error names the
     *   allowed statuses.
     * - ABORTED, reason STALE_REVISION: expected_revision is not the current revision, which the error carries.
     * - FAILED_PRECONDITION, reason TASK_HELD: another holder has a lease of the task, and the request changes its
     *   status or assignee. The error carries holder, session_key and expire_time.
     * - FAILED_PRECONDITION, reason STALE_FENCE: the lease of the given fence has ended.
     * </pre>
     */
    public void updateTask(io.github.orchestrationledger.v1.UpdateTaskRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.UpdateTaskResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getUpdateTaskMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Updates the status of a task. The errors are those of UpdateTask.
     * Dependencies do not restrict the status: a task with open blockers can be started and completed. To start only
     * work that is ready, call CoordinationService.ListReadyTasks first.
     * </pre>
     */
    public void updateTaskStatus(io.github.orchestrationledger.v1.UpdateTaskStatusRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.UpdateTaskStatusResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getUpdateTaskStatusMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Deletes a task. Get and list rpcs no longer return it, it no longer blocks other tasks, its events remain, and
     * its code cannot be reused.
     * Errors:
     * - NOT_FOUND: the task does not exist or is deleted.
     * - ABORTED, reason STALE_REVISION: expected_revision is not the current revision, which the error carries.
     * - FAILED_PRECONDITION, reason TASK_HELD or STALE_FENCE, as for UpdateTask.
     * </pre>
     */
    public void deleteTask(io.github.orchestrationledger.v1.DeleteTaskRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.DeleteTaskResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getDeleteTaskMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Creates up to 1,000 tasks in one transaction: all or none. The errors are those of CreateTask; a field violation
     * names its item.
     * </pre>
     */
    public void batchCreateTasks(io.github.orchestrationledger.v1.BatchCreateTasksRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.BatchCreateTasksResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getBatchCreateTasksMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Updates the status of up to 1,000 tasks in one transaction: all or none. The errors are those of
     * UpdateTaskStatus.
     * </pre>
     */
    public void batchUpdateTaskStatus(io.github.orchestrationledger.v1.BatchUpdateTaskStatusRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.BatchUpdateTaskStatusResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getBatchUpdateTaskStatusMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Creates up to 1,000 tasks from a template in one transaction: all or none. Each task gets the event
     * "orchestration.task.generated" in addition to that of its creation. The errors are those of CreateTask and, for a
     * template of kind TASK, of SprintService.CreateSprintFromTemplate; a field violation names its item.
     * </pre>
     */
    public void createTasksFromTemplate(io.github.orchestrationledger.v1.CreateTasksFromTemplateRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.CreateTasksFromTemplateResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getCreateTasksFromTemplateMethod(), getCallOptions()), request, responseObserver);
    }
  }

  /**
   * A stub to allow clients to do synchronous rpc calls to service TaskService.
   * <pre>
   * Manages tasks. Each write commits the change, its events and its request_id in one transaction.
   * </pre>
   */
  public static final class TaskServiceBlockingV2Stub
      extends io.grpc.stub.AbstractBlockingStub<TaskServiceBlockingV2Stub> {
    private TaskServiceBlockingV2Stub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected TaskServiceBlockingV2Stub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new TaskServiceBlockingV2Stub(channel, callOptions);
    }

    /**
     * <pre>
     * Creates a task.
     * Errors:
     * - ALREADY_EXISTS: the code is or was in use in the project.
     * - NOT_FOUND: sprint_code names no sprint.
     * </pre>
     */
    public io.github.orchestrationledger.v1.CreateTaskResponse createTask(io.github.orchestrationledger.v1.CreateTaskRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getCreateTaskMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Returns a task.
     * Errors:
     * - NOT_FOUND: the task does not exist or is deleted.
     * </pre>
     */
    public io.github.orchestrationledger.v1.GetTaskResponse getTask(io.github.orchestrationledger.v1.GetTaskRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getGetTaskMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Lists the tasks of the project.
     * </pre>
     */
    public io.github.orchestrationledger.v1.ListTasksResponse listTasks(io.github.orchestrationledger.v1.ListTasksRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListTasksMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Updates the fields of a task that update_mask names.
     * Errors:
     * - NOT_FOUND: the task does not exist or is deleted.
     * - FAILED_PRECONDITION, reason TRANSITION_REFUSED: the status transition is not allowed. The error names the
     *   allowed statuses.
     * - ABORTED, reason STALE_REVISION: expected_revision is not the current revision, which the error carries.
     * - FAILED_PRECONDITION, reason TASK_HELD: another holder has a lease of the task, and the request changes its
     *   status or assignee. The error carries holder, session_key and expire_time.
     * - FAILED_PRECONDITION, reason STALE_FENCE: the lease of the given fence has ended.
     * </pre>
     */
    public io.github.orchestrationledger.v1.UpdateTaskResponse updateTask(io.github.orchestrationledger.v1.UpdateTaskRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getUpdateTaskMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Updates the status of a task. The errors are those of UpdateTask.
     * Dependencies do not restrict the status: a task with open blockers can be started and completed. To start only
     * work that is ready, call CoordinationService.ListReadyTasks first.
     * </pre>
     */
    public io.github.orchestrationledger.v1.UpdateTaskStatusResponse updateTaskStatus(io.github.orchestrationledger.v1.UpdateTaskStatusRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getUpdateTaskStatusMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Deletes a task. Get and list rpcs no longer return it, it no longer blocks other tasks, its events remain, and
     * its code cannot be reused.
     * Errors:
     * - NOT_FOUND: the task does not exist or is deleted.
     * - ABORTED, reason STALE_REVISION: expected_revision is not the current revision, which the error carries.
     * - FAILED_PRECONDITION, reason TASK_HELD or STALE_FENCE, as for UpdateTask.
     * </pre>
     */
    public io.github.orchestrationledger.v1.DeleteTaskResponse deleteTask(io.github.orchestrationledger.v1.DeleteTaskRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getDeleteTaskMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Creates up to 1,000 tasks in one transaction: all or none. The errors are those of CreateTask; a field violation
     * names its item.
     * </pre>
     */
    public io.github.orchestrationledger.v1.BatchCreateTasksResponse batchCreateTasks(io.github.orchestrationledger.v1.BatchCreateTasksRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getBatchCreateTasksMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Updates the status of up to 1,000 tasks in one transaction: all or none. The errors are those of
     * UpdateTaskStatus.
     * </pre>
     */
    public io.github.orchestrationledger.v1.BatchUpdateTaskStatusResponse batchUpdateTaskStatus(io.github.orchestrationledger.v1.BatchUpdateTaskStatusRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getBatchUpdateTaskStatusMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Creates up to 1,000 tasks from a template in one transaction: all or none. Each task gets the event
     * "orchestration.task.generated" in addition to that of its creation. The errors are those of CreateTask and, for a
     * template of kind TASK, of SprintService.CreateSprintFromTemplate; a field violation names its item.
     * </pre>
     */
    public io.github.orchestrationledger.v1.CreateTasksFromTemplateResponse createTasksFromTemplate(io.github.orchestrationledger.v1.CreateTasksFromTemplateRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getCreateTasksFromTemplateMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do limited synchronous rpc calls to service TaskService.
   * <pre>
   * Manages tasks. Each write commits the change, its events and its request_id in one transaction.
   * </pre>
   */
  public static final class TaskServiceBlockingStub
      extends io.grpc.stub.AbstractBlockingStub<TaskServiceBlockingStub> {
    private TaskServiceBlockingStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected TaskServiceBlockingStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new TaskServiceBlockingStub(channel, callOptions);
    }

    /**
     * <pre>
     * Creates a task.
     * Errors:
     * - ALREADY_EXISTS: the code is or was in use in the project.
     * - NOT_FOUND: sprint_code names no sprint.
     * </pre>
     */
    public io.github.orchestrationledger.v1.CreateTaskResponse createTask(io.github.orchestrationledger.v1.CreateTaskRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getCreateTaskMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Returns a task.
     * Errors:
     * - NOT_FOUND: the task does not exist or is deleted.
     * </pre>
     */
    public io.github.orchestrationledger.v1.GetTaskResponse getTask(io.github.orchestrationledger.v1.GetTaskRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getGetTaskMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Lists the tasks of the project.
     * </pre>
     */
    public io.github.orchestrationledger.v1.ListTasksResponse listTasks(io.github.orchestrationledger.v1.ListTasksRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListTasksMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Updates the fields of a task that update_mask names.
     * Errors:
     * - NOT_FOUND: the task does not exist or is deleted.
     * - FAILED_PRECONDITION, reason TRANSITION_REFUSED: the status transition is not allowed. The error names the
     *   allowed statuses.
     * - ABORTED, reason STALE_REVISION: expected_revision is not the current revision, which the error carries.
     * - FAILED_PRECONDITION, reason TASK_HELD: another holder has a lease of the task, and the request changes its
     *   status or assignee. The error carries holder, session_key and expire_time.
     * - FAILED_PRECONDITION, reason STALE_FENCE: the lease of the given fence has ended.
     * </pre>
     */
    public io.github.orchestrationledger.v1.UpdateTaskResponse updateTask(io.github.orchestrationledger.v1.UpdateTaskRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getUpdateTaskMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Updates the status of a task. The errors are those of UpdateTask.
     * Dependencies do not restrict the status: a task with open blockers can be started and completed. To start only
     * work that is ready, call CoordinationService.ListReadyTasks first.
     * </pre>
     */
    public io.github.orchestrationledger.v1.UpdateTaskStatusResponse updateTaskStatus(io.github.orchestrationledger.v1.UpdateTaskStatusRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getUpdateTaskStatusMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Deletes a task. Get and list rpcs no longer return it, it no longer blocks other tasks, its events remain, and
     * its code cannot be reused.
     * Errors:
     * - NOT_FOUND: the task does not exist or is deleted.
     * - ABORTED, reason STALE_REVISION: expected_revision is not the current revision, which the error carries.
     * - FAILED_PRECONDITION, reason TASK_HELD or STALE_FENCE, as for UpdateTask.
     * </pre>
     */
    public io.github.orchestrationledger.v1.DeleteTaskResponse deleteTask(io.github.orchestrationledger.v1.DeleteTaskRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getDeleteTaskMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Creates up to 1,000 tasks in one transaction: all or none. The errors are those of CreateTask; a field violation
     * names its item.
     * </pre>
     */
    public io.github.orchestrationledger.v1.BatchCreateTasksResponse batchCreateTasks(io.github.orchestrationledger.v1.BatchCreateTasksRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getBatchCreateTasksMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Updates the status of up to 1,000 tasks in one transaction: all or none. The errors are those of
     * UpdateTaskStatus.
     * </pre>
     */
    public io.github.orchestrationledger.v1.BatchUpdateTaskStatusResponse batchUpdateTaskStatus(io.github.orchestrationledger.v1.BatchUpdateTaskStatusRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getBatchUpdateTaskStatusMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Creates up to 1,000 tasks from a template in one transaction: all or none. Each task gets the event
     * "orchestration.task.generated" in addition to that of its creation. The errors are those of CreateTask and, for a
     * template of kind TASK, of SprintService.CreateSprintFromTemplate; a field violation names its item.
     * </pre>
     */
    public io.github.orchestrationledger.v1.CreateTasksFromTemplateResponse createTasksFromTemplate(io.github.orchestrationledger.v1.CreateTasksFromTemplateRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getCreateTasksFromTemplateMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do ListenableFuture-style rpc calls to service TaskService.
   * <pre>
   * Manages tasks. Each write commits the change, its events and its request_id in one transaction.
   * </pre>
   */
  public static final class TaskServiceFutureStub
      extends io.grpc.stub.AbstractFutureStub<TaskServiceFutureStub> {
    private TaskServiceFutureStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected TaskServiceFutureStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new TaskServiceFutureStub(channel, callOptions);
    }

    /**
     * <pre>
     * Creates a task.
     * Errors:
     * - ALREADY_EXISTS: the code is or was in use in the project.
     * - NOT_FOUND: sprint_code names no sprint.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.CreateTaskResponse> createTask(
        io.github.orchestrationledger.v1.CreateTaskRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getCreateTaskMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Returns a task.
     * Errors:
     * - NOT_FOUND: the task does not exist or is deleted.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.GetTaskResponse> getTask(
        io.github.orchestrationledger.v1.GetTaskRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getGetTaskMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Lists the tasks of the project.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.ListTasksResponse> listTasks(
        io.github.orchestrationledger.v1.ListTasksRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListTasksMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Updates the fields of a task that update_mask names.
     * Errors:
     * - NOT_FOUND: the task does not exist or is deleted.
     * - FAILED_PRECONDITION, reason TRANSITION_REFUSED: the status transition is not allowed. The error names the
     *   allowed statuses.
     * - ABORTED, reason STALE_REVISION: expected_revision is not the current revision, which the error carries.
     * - FAILED_PRECONDITION, reason TASK_HELD: another holder has a lease of the task, and the request changes its
     *   status or assignee. The error carries holder, session_key and expire_time.
     * - FAILED_PRECONDITION, reason STALE_FENCE: the lease of the given fence has ended.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.UpdateTaskResponse> updateTask(
        io.github.orchestrationledger.v1.UpdateTaskRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getUpdateTaskMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Updates the status of a task. The errors are those of UpdateTask.
     * Dependencies do not restrict the status: a task with open blockers can be started and completed. To start only
     * work that is ready, call CoordinationService.ListReadyTasks first.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.UpdateTaskStatusResponse> updateTaskStatus(
        io.github.orchestrationledger.v1.UpdateTaskStatusRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getUpdateTaskStatusMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Deletes a task. Get and list rpcs no longer return it, it no longer blocks other tasks, its events remain, and
     * its code cannot be reused.
     * Errors:
     * - NOT_FOUND: the task does not exist or is deleted.
     * - ABORTED, reason STALE_REVISION: expected_revision is not the current revision, which the error carries.
     * - FAILED_PRECONDITION, reason TASK_HELD or STALE_FENCE, as for UpdateTask.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.DeleteTaskResponse> deleteTask(
        io.github.orchestrationledger.v1.DeleteTaskRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getDeleteTaskMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Creates up to 1,000 tasks in one transaction: all or none. The errors are those of CreateTask; a field violation
     * names its item.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.BatchCreateTasksResponse> batchCreateTasks(
        io.github.orchestrationledger.v1.BatchCreateTasksRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getBatchCreateTasksMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Updates the status of up to 1,000 tasks in one transaction: all or none. The errors are those of
     * UpdateTaskStatus.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.BatchUpdateTaskStatusResponse> batchUpdateTaskStatus(
        io.github.orchestrationledger.v1.BatchUpdateTaskStatusRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getBatchUpdateTaskStatusMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Creates up to 1,000 tasks from a template in one transaction: all or none. Each task gets the event
     * "orchestration.task.generated" in addition to that of its creation. The errors are those of CreateTask and, for a
     * template of kind TASK, of SprintService.CreateSprintFromTemplate; a field violation names its item.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.CreateTasksFromTemplateResponse> createTasksFromTemplate(
        io.github.orchestrationledger.v1.CreateTasksFromTemplateRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getCreateTasksFromTemplateMethod(), getCallOptions()), request);
    }
  }

  private static final int METHODID_CREATE_TASK = 0;
  private static final int METHODID_GET_TASK = 1;
  private static final int METHODID_LIST_TASKS = 2;
  private static final int METHODID_UPDATE_TASK = 3;
  private static final int METHODID_UPDATE_TASK_STATUS = 4;
  private static final int METHODID_DELETE_TASK = 5;
  private static final int METHODID_BATCH_CREATE_TASKS = 6;
  private static final int METHODID_BATCH_UPDATE_TASK_STATUS = 7;
  private static final int METHODID_CREATE_TASKS_FROM_TEMPLATE = 8;

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
        case METHODID_CREATE_TASK:
          serviceImpl.createTask((io.github.orchestrationledger.v1.CreateTaskRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.CreateTaskResponse>) responseObserver);
          break;
        case METHODID_GET_TASK:
          serviceImpl.getTask((io.github.orchestrationledger.v1.GetTaskRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.GetTaskResponse>) responseObserver);
          break;
        case METHODID_LIST_TASKS:
          serviceImpl.listTasks((io.github.orchestrationledger.v1.ListTasksRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ListTasksResponse>) responseObserver);
          break;
        case METHODID_UPDATE_TASK:
          serviceImpl.updateTask((io.github.orchestrationledger.v1.UpdateTaskRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.UpdateTaskResponse>) responseObserver);
          break;
        case METHODID_UPDATE_TASK_STATUS:
          serviceImpl.updateTaskStatus((io.github.orchestrationledger.v1.UpdateTaskStatusRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.UpdateTaskStatusResponse>) responseObserver);
          break;
        case METHODID_DELETE_TASK:
          serviceImpl.deleteTask((io.github.orchestrationledger.v1.DeleteTaskRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.DeleteTaskResponse>) responseObserver);
          break;
        case METHODID_BATCH_CREATE_TASKS:
          serviceImpl.batchCreateTasks((io.github.orchestrationledger.v1.BatchCreateTasksRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.BatchCreateTasksResponse>) responseObserver);
          break;
        case METHODID_BATCH_UPDATE_TASK_STATUS:
          serviceImpl.batchUpdateTaskStatus((io.github.orchestrationledger.v1.BatchUpdateTaskStatusRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.BatchUpdateTaskStatusResponse>) responseObserver);
          break;
        case METHODID_CREATE_TASKS_FROM_TEMPLATE:
          serviceImpl.createTasksFromTemplate((io.github.orchestrationledger.v1.CreateTasksFromTemplateRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.CreateTasksFromTemplateResponse>) responseObserver);
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
          getCreateTaskMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.CreateTaskRequest,
              io.github.orchestrationledger.v1.CreateTaskResponse>(
                service, METHODID_CREATE_TASK)))
        .addMethod(
          getGetTaskMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.GetTaskRequest,
              io.github.orchestrationledger.v1.GetTaskResponse>(
                service, METHODID_GET_TASK)))
        .addMethod(
          getListTasksMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.ListTasksRequest,
              io.github.orchestrationledger.v1.ListTasksResponse>(
                service, METHODID_LIST_TASKS)))
        .addMethod(
          getUpdateTaskMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.UpdateTaskRequest,
              io.github.orchestrationledger.v1.UpdateTaskResponse>(
                service, METHODID_UPDATE_TASK)))
        .addMethod(
          getUpdateTaskStatusMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.UpdateTaskStatusRequest,
              io.github.orchestrationledger.v1.UpdateTaskStatusResponse>(
                service, METHODID_UPDATE_TASK_STATUS)))
        .addMethod(
          getDeleteTaskMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.DeleteTaskRequest,
              io.github.orchestrationledger.v1.DeleteTaskResponse>(
                service, METHODID_DELETE_TASK)))
        .addMethod(
          getBatchCreateTasksMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.BatchCreateTasksRequest,
              io.github.orchestrationledger.v1.BatchCreateTasksResponse>(
                service, METHODID_BATCH_CREATE_TASKS)))
        .addMethod(
          getBatchUpdateTaskStatusMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.BatchUpdateTaskStatusRequest,
              io.github.orchestrationledger.v1.BatchUpdateTaskStatusResponse>(
                service, METHODID_BATCH_UPDATE_TASK_STATUS)))
        .addMethod(
          getCreateTasksFromTemplateMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.CreateTasksFromTemplateRequest,
              io.github.orchestrationledger.v1.CreateTasksFromTemplateResponse>(
                service, METHODID_CREATE_TASKS_FROM_TEMPLATE)))
        .build();
  }

  private static abstract class TaskServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoFileDescriptorSupplier, io.grpc.protobuf.ProtoServiceDescriptorSupplier {
    TaskServiceBaseDescriptorSupplier() {}

    @java.lang.Override
    public com.google.protobuf.Descriptors.FileDescriptor getFileDescriptor() {
      return io.github.orchestrationledger.v1.TaskProto.getDescriptor();
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.ServiceDescriptor getServiceDescriptor() {
      return getFileDescriptor().findServiceByName("TaskService");
    }
  }

  private static final class TaskServiceFileDescriptorSupplier
      extends TaskServiceBaseDescriptorSupplier {
    TaskServiceFileDescriptorSupplier() {}
  }

  private static final class TaskServiceMethodDescriptorSupplier
      extends TaskServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoMethodDescriptorSupplier {
    private final java.lang.String methodName;

    TaskServiceMethodDescriptorSupplier(java.lang.String methodName) {
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
      synchronized (TaskServiceGrpc.class) {
        result = serviceDescriptor;
        if (result == null) {
          serviceDescriptor = result = io.grpc.ServiceDescriptor.newBuilder(SERVICE_NAME)
              .setSchemaDescriptor(new TaskServiceFileDescriptorSupplier())
              .addMethod(getCreateTaskMethod())
              .addMethod(getGetTaskMethod())
              .addMethod(getListTasksMethod())
              .addMethod(getUpdateTaskMethod())
              .addMethod(getUpdateTaskStatusMethod())
              .addMethod(getDeleteTaskMethod())
              .addMethod(getBatchCreateTasksMethod())
              .addMethod(getBatchUpdateTaskStatusMethod())
              .addMethod(getCreateTasksFromTemplateMethod())
              .build();
        }
      }
    }
    return result;
  }
}
