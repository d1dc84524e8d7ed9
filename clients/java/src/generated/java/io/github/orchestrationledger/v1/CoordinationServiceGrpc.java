package io.github.orchestrationledger.v1;

import static io.grpc.MethodDescriptor.generateFullMethodName;

/**
 * <pre>
 * Manages the dependency graph. The server serializes changes to the graph of a project, so concurrent calls cannot
 * close a cycle.
 * </pre>
 */
@io.grpc.stub.annotations.GrpcGenerated
public final class CoordinationServiceGrpc {

  private CoordinationServiceGrpc() {}

  public static final java.lang.String SERVICE_NAME = "orchestration.v1.CoordinationService";

  // Static method descriptors that strictly reflect the proto.
  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.AddDependencyRequest,
      io.github.orchestrationledger.v1.AddDependencyResponse> getAddDependencyMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "AddDependency",
      requestType = io.github.orchestrationledger.v1.AddDependencyRequest.class,
      responseType = io.github.orchestrationledger.v1.AddDependencyResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.AddDependencyRequest,
      io.github.orchestrationledger.v1.AddDependencyResponse> getAddDependencyMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.AddDependencyRequest, io.github.orchestrationledger.v1.AddDependencyResponse> getAddDependencyMethod;
    if ((getAddDependencyMethod = CoordinationServiceGrpc.getAddDependencyMethod) == null) {
      synchronized (CoordinationServiceGrpc.class) {
        if ((getAddDependencyMethod = CoordinationServiceGrpc.getAddDependencyMethod) == null) {
          CoordinationServiceGrpc.getAddDependencyMethod = getAddDependencyMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.AddDependencyRequest, io.github.orchestrationledger.v1.AddDependencyResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "AddDependency"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.AddDependencyRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.AddDependencyResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CoordinationServiceMethodDescriptorSupplier("AddDependency"))
              .build();
        }
      }
    }
    return getAddDependencyMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.RemoveDependencyRequest,
      io.github.orchestrationledger.v1.RemoveDependencyResponse> getRemoveDependencyMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "RemoveDependency",
      requestType = io.github.orchestrationledger.v1.RemoveDependencyRequest.class,
      responseType = io.github.orchestrationledger.v1.RemoveDependencyResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.RemoveDependencyRequest,
      io.github.orchestrationledger.v1.RemoveDependencyResponse> getRemoveDependencyMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.RemoveDependencyRequest, io.github.orchestrationledger.v1.RemoveDependencyResponse> getRemoveDependencyMethod;
    if ((getRemoveDependencyMethod = CoordinationServiceGrpc.getRemoveDependencyMethod) == null) {
      synchronized (CoordinationServiceGrpc.class) {
        if ((getRemoveDependencyMethod = CoordinationServiceGrpc.getRemoveDependencyMethod) == null) {
          CoordinationServiceGrpc.getRemoveDependencyMethod = getRemoveDependencyMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.RemoveDependencyRequest, io.github.orchestrationledger.v1.RemoveDependencyResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "RemoveDependency"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.RemoveDependencyRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.RemoveDependencyResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CoordinationServiceMethodDescriptorSupplier("RemoveDependency"))
              .build();
        }
      }
    }
    return getRemoveDependencyMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ListDependenciesRequest,
      io.github.orchestrationledger.v1.ListDependenciesResponse> getListDependenciesMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListDependencies",
      requestType = io.github.orchestrationledger.v1.ListDependenciesRequest.class,
      responseType = io.github.orchestrationledger.v1.ListDependenciesResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ListDependenciesRequest,
      io.github.orchestrationledger.v1.ListDependenciesResponse> getListDependenciesMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ListDependenciesRequest, io.github.orchestrationledger.v1.ListDependenciesResponse> getListDependenciesMethod;
    if ((getListDependenciesMethod = CoordinationServiceGrpc.getListDependenciesMethod) == null) {
      synchronized (CoordinationServiceGrpc.class) {
        if ((getListDependenciesMethod = CoordinationServiceGrpc.getListDependenciesMethod) == null) {
          CoordinationServiceGrpc.getListDependenciesMethod = getListDependenciesMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.ListDependenciesRequest, io.github.orchestrationledger.v1.ListDependenciesResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListDependencies"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.ListDependenciesRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.ListDependenciesResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CoordinationServiceMethodDescriptorSupplier("ListDependencies"))
              .build();
        }
      }
    }
    return getListDependenciesMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ListReadyTasksRequest,
      io.github.orchestrationledger.v1.ListReadyTasksResponse> getListReadyTasksMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListReadyTasks",
      requestType = io.github.orchestrationledger.v1.ListReadyTasksRequest.class,
      responseType = io.github.orchestrationledger.v1.ListReadyTasksResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ListReadyTasksRequest,
      io.github.orchestrationledger.v1.ListReadyTasksResponse> getListReadyTasksMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ListReadyTasksRequest, io.github.orchestrationledger.v1.ListReadyTasksResponse> getListReadyTasksMethod;
    if ((getListReadyTasksMethod = CoordinationServiceGrpc.getListReadyTasksMethod) == null) {
      synchronized (CoordinationServiceGrpc.class) {
        if ((getListReadyTasksMethod = CoordinationServiceGrpc.getListReadyTasksMethod) == null) {
          CoordinationServiceGrpc.getListReadyTasksMethod = getListReadyTasksMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.ListReadyTasksRequest, io.github.orchestrationledger.v1.ListReadyTasksResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListReadyTasks"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.ListReadyTasksRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.ListReadyTasksResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CoordinationServiceMethodDescriptorSupplier("ListReadyTasks"))
              .build();
        }
      }
    }
    return getListReadyTasksMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ClaimTaskRequest,
      io.github.orchestrationledger.v1.ClaimTaskResponse> getClaimTaskMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ClaimTask",
      requestType = io.github.orchestrationledger.v1.ClaimTaskRequest.class,
      responseType = io.github.orchestrationledger.v1.ClaimTaskResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ClaimTaskRequest,
      io.github.orchestrationledger.v1.ClaimTaskResponse> getClaimTaskMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ClaimTaskRequest, io.github.orchestrationledger.v1.ClaimTaskResponse> getClaimTaskMethod;
    if ((getClaimTaskMethod = CoordinationServiceGrpc.getClaimTaskMethod) == null) {
      synchronized (CoordinationServiceGrpc.class) {
        if ((getClaimTaskMethod = CoordinationServiceGrpc.getClaimTaskMethod) == null) {
          CoordinationServiceGrpc.getClaimTaskMethod = getClaimTaskMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.ClaimTaskRequest, io.github.orchestrationledger.v1.ClaimTaskResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ClaimTask"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.ClaimTaskRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.ClaimTaskResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CoordinationServiceMethodDescriptorSupplier("ClaimTask"))
              .build();
        }
      }
    }
    return getClaimTaskMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.HeartbeatRequest,
      io.github.orchestrationledger.v1.HeartbeatResponse> getHeartbeatMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "Heartbeat",
      requestType = io.github.orchestrationledger.v1.HeartbeatRequest.class,
      responseType = io.github.orchestrationledger.v1.HeartbeatResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.HeartbeatRequest,
      io.github.orchestrationledger.v1.HeartbeatResponse> getHeartbeatMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.HeartbeatRequest, io.github.orchestrationledger.v1.HeartbeatResponse> getHeartbeatMethod;
    if ((getHeartbeatMethod = CoordinationServiceGrpc.getHeartbeatMethod) == null) {
      synchronized (CoordinationServiceGrpc.class) {
        if ((getHeartbeatMethod = CoordinationServiceGrpc.getHeartbeatMethod) == null) {
          CoordinationServiceGrpc.getHeartbeatMethod = getHeartbeatMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.HeartbeatRequest, io.github.orchestrationledger.v1.HeartbeatResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "Heartbeat"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.HeartbeatRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.HeartbeatResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CoordinationServiceMethodDescriptorSupplier("Heartbeat"))
              .build();
        }
      }
    }
    return getHeartbeatMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ReleaseTaskRequest,
      io.github.orchestrationledger.v1.ReleaseTaskResponse> getReleaseTaskMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ReleaseTask",
      requestType = io.github.orchestrationledger.v1.ReleaseTaskRequest.class,
      responseType = io.github.orchestrationledger.v1.ReleaseTaskResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ReleaseTaskRequest,
      io.github.orchestrationledger.v1.ReleaseTaskResponse> getReleaseTaskMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ReleaseTaskRequest, io.github.orchestrationledger.v1.ReleaseTaskResponse> getReleaseTaskMethod;
    if ((getReleaseTaskMethod = CoordinationServiceGrpc.getReleaseTaskMethod) == null) {
      synchronized (CoordinationServiceGrpc.class) {
        if ((getReleaseTaskMethod = CoordinationServiceGrpc.getReleaseTaskMethod) == null) {
          CoordinationServiceGrpc.getReleaseTaskMethod = getReleaseTaskMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.ReleaseTaskRequest, io.github.orchestrationledger.v1.ReleaseTaskResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ReleaseTask"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.ReleaseTaskRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.ReleaseTaskResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CoordinationServiceMethodDescriptorSupplier("ReleaseTask"))
              .build();
        }
      }
    }
    return getReleaseTaskMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.PreemptTaskRequest,
      io.github.orchestrationledger.v1.PreemptTaskResponse> getPreemptTaskMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "PreemptTask",
      requestType = io.github.orchestrationledger.v1.PreemptTaskRequest.class,
      responseType = io.github.orchestrationledger.v1.PreemptTaskResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.PreemptTaskRequest,
      io.github.orchestrationledger.v1.PreemptTaskResponse> getPreemptTaskMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.PreemptTaskRequest, io.github.orchestrationledger.v1.PreemptTaskResponse> getPreemptTaskMethod;
    if ((getPreemptTaskMethod = CoordinationServiceGrpc.getPreemptTaskMethod) == null) {
      synchronized (CoordinationServiceGrpc.class) {
        if ((getPreemptTaskMethod = CoordinationServiceGrpc.getPreemptTaskMethod) == null) {
          CoordinationServiceGrpc.getPreemptTaskMethod = getPreemptTaskMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.PreemptTaskRequest, io.github.orchestrationledger.v1.PreemptTaskResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "PreemptTask"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.PreemptTaskRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.PreemptTaskResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CoordinationServiceMethodDescriptorSupplier("PreemptTask"))
              .build();
        }
      }
    }
    return getPreemptTaskMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ListLeasesRequest,
      io.github.orchestrationledger.v1.ListLeasesResponse> getListLeasesMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListLeases",
      requestType = io.github.orchestrationledger.v1.ListLeasesRequest.class,
      responseType = io.github.orchestrationledger.v1.ListLeasesResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ListLeasesRequest,
      io.github.orchestrationledger.v1.ListLeasesResponse> getListLeasesMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ListLeasesRequest, io.github.orchestrationledger.v1.ListLeasesResponse> getListLeasesMethod;
    if ((getListLeasesMethod = CoordinationServiceGrpc.getListLeasesMethod) == null) {
      synchronized (CoordinationServiceGrpc.class) {
        if ((getListLeasesMethod = CoordinationServiceGrpc.getListLeasesMethod) == null) {
          CoordinationServiceGrpc.getListLeasesMethod = getListLeasesMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.ListLeasesRequest, io.github.orchestrationledger.v1.ListLeasesResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListLeases"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.ListLeasesRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.ListLeasesResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CoordinationServiceMethodDescriptorSupplier("ListLeases"))
              .build();
        }
      }
    }
    return getListLeasesMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ListAttemptsRequest,
      io.github.orchestrationledger.v1.ListAttemptsResponse> getListAttemptsMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListAttempts",
      requestType = io.github.orchestrationledger.v1.ListAttemptsRequest.class,
      responseType = io.github.orchestrationledger.v1.ListAttemptsResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ListAttemptsRequest,
      io.github.orchestrationledger.v1.ListAttemptsResponse> getListAttemptsMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ListAttemptsRequest, io.github.orchestrationledger.v1.ListAttemptsResponse> getListAttemptsMethod;
    if ((getListAttemptsMethod = CoordinationServiceGrpc.getListAttemptsMethod) == null) {
      synchronized (CoordinationServiceGrpc.class) {
        if ((getListAttemptsMethod = CoordinationServiceGrpc.getListAttemptsMethod) == null) {
          CoordinationServiceGrpc.getListAttemptsMethod = getListAttemptsMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.ListAttemptsRequest, io.github.orchestrationledger.v1.ListAttemptsResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListAttempts"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.ListAttemptsRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.ListAttemptsResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CoordinationServiceMethodDescriptorSupplier("ListAttempts"))
              .build();
        }
      }
    }
    return getListAttemptsMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ExplainReadinessRequest,
      io.github.orchestrationledger.v1.ExplainReadinessResponse> getExplainReadinessMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ExplainReadiness",
      requestType = io.github.orchestrationledger.v1.ExplainReadinessRequest.class,
      responseType = io.github.orchestrationledger.v1.ExplainReadinessResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ExplainReadinessRequest,
      io.github.orchestrationledger.v1.ExplainReadinessResponse> getExplainReadinessMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ExplainReadinessRequest, io.github.orchestrationledger.v1.ExplainReadinessResponse> getExplainReadinessMethod;
    if ((getExplainReadinessMethod = CoordinationServiceGrpc.getExplainReadinessMethod) == null) {
      synchronized (CoordinationServiceGrpc.class) {
        if ((getExplainReadinessMethod = CoordinationServiceGrpc.getExplainReadinessMethod) == null) {
          CoordinationServiceGrpc.getExplainReadinessMethod = getExplainReadinessMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.ExplainReadinessRequest, io.github.orchestrationledger.v1.ExplainReadinessResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ExplainReadiness"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.ExplainReadinessRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.ExplainReadinessResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CoordinationServiceMethodDescriptorSupplier("ExplainReadiness"))
              .build();
        }
      }
    }
    return getExplainReadinessMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.PauseWorkRequest,
      io.github.orchestrationledger.v1.PauseWorkResponse> getPauseWorkMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "PauseWork",
      requestType = io.github.orchestrationledger.v1.PauseWorkRequest.class,
      responseType = io.github.orchestrationledger.v1.PauseWorkResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.PauseWorkRequest,
      io.github.orchestrationledger.v1.PauseWorkResponse> getPauseWorkMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.PauseWorkRequest, io.github.orchestrationledger.v1.PauseWorkResponse> getPauseWorkMethod;
    if ((getPauseWorkMethod = CoordinationServiceGrpc.getPauseWorkMethod) == null) {
      synchronized (CoordinationServiceGrpc.class) {
        if ((getPauseWorkMethod = CoordinationServiceGrpc.getPauseWorkMethod) == null) {
          CoordinationServiceGrpc.getPauseWorkMethod = getPauseWorkMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.PauseWorkRequest, io.github.orchestrationledger.v1.PauseWorkResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "PauseWork"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.PauseWorkRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.PauseWorkResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CoordinationServiceMethodDescriptorSupplier("PauseWork"))
              .build();
        }
      }
    }
    return getPauseWorkMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ResumeWorkRequest,
      io.github.orchestrationledger.v1.ResumeWorkResponse> getResumeWorkMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ResumeWork",
      requestType = io.github.orchestrationledger.v1.ResumeWorkRequest.class,
      responseType = io.github.orchestrationledger.v1.ResumeWorkResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ResumeWorkRequest,
      io.github.orchestrationledger.v1.ResumeWorkResponse> getResumeWorkMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ResumeWorkRequest, io.github.orchestrationledger.v1.ResumeWorkResponse> getResumeWorkMethod;
    if ((getResumeWorkMethod = CoordinationServiceGrpc.getResumeWorkMethod) == null) {
      synchronized (CoordinationServiceGrpc.class) {
        if ((getResumeWorkMethod = CoordinationServiceGrpc.getResumeWorkMethod) == null) {
          CoordinationServiceGrpc.getResumeWorkMethod = getResumeWorkMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.ResumeWorkRequest, io.github.orchestrationledger.v1.ResumeWorkResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ResumeWork"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.ResumeWorkRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.ResumeWorkResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CoordinationServiceMethodDescriptorSupplier("ResumeWork"))
              .build();
        }
      }
    }
    return getResumeWorkMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ListPausesRequest,
      io.github.orchestrationledger.v1.ListPausesResponse> getListPausesMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListPauses",
      requestType = io.github.orchestrationledger.v1.ListPausesRequest.class,
      responseType = io.github.orchestrationledger.v1.ListPausesResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ListPausesRequest,
      io.github.orchestrationledger.v1.ListPausesResponse> getListPausesMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ListPausesRequest, io.github.orchestrationledger.v1.ListPausesResponse> getListPausesMethod;
    if ((getListPausesMethod = CoordinationServiceGrpc.getListPausesMethod) == null) {
      synchronized (CoordinationServiceGrpc.class) {
        if ((getListPausesMethod = CoordinationServiceGrpc.getListPausesMethod) == null) {
          CoordinationServiceGrpc.getListPausesMethod = getListPausesMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.ListPausesRequest, io.github.orchestrationledger.v1.ListPausesResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListPauses"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.ListPausesRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.ListPausesResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CoordinationServiceMethodDescriptorSupplier("ListPauses"))
              .build();
        }
      }
    }
    return getListPausesMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.SetWorkLimitRequest,
      io.github.orchestrationledger.v1.SetWorkLimitResponse> getSetWorkLimitMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "SetWorkLimit",
      requestType = io.github.orchestrationledger.v1.SetWorkLimitRequest.class,
      responseType = io.github.orchestrationledger.v1.SetWorkLimitResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.SetWorkLimitRequest,
      io.github.orchestrationledger.v1.SetWorkLimitResponse> getSetWorkLimitMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.SetWorkLimitRequest, io.github.orchestrationledger.v1.SetWorkLimitResponse> getSetWorkLimitMethod;
    if ((getSetWorkLimitMethod = CoordinationServiceGrpc.getSetWorkLimitMethod) == null) {
      synchronized (CoordinationServiceGrpc.class) {
        if ((getSetWorkLimitMethod = CoordinationServiceGrpc.getSetWorkLimitMethod) == null) {
          CoordinationServiceGrpc.getSetWorkLimitMethod = getSetWorkLimitMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.SetWorkLimitRequest, io.github.orchestrationledger.v1.SetWorkLimitResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "SetWorkLimit"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.SetWorkLimitRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.SetWorkLimitResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CoordinationServiceMethodDescriptorSupplier("SetWorkLimit"))
              .build();
        }
      }
    }
    return getSetWorkLimitMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ListWorkLimitsRequest,
      io.github.orchestrationledger.v1.ListWorkLimitsResponse> getListWorkLimitsMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListWorkLimits",
      requestType = io.github.orchestrationledger.v1.ListWorkLimitsRequest.class,
      responseType = io.github.orchestrationledger.v1.ListWorkLimitsResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ListWorkLimitsRequest,
      io.github.orchestrationledger.v1.ListWorkLimitsResponse> getListWorkLimitsMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ListWorkLimitsRequest, io.github.orchestrationledger.v1.ListWorkLimitsResponse> getListWorkLimitsMethod;
    if ((getListWorkLimitsMethod = CoordinationServiceGrpc.getListWorkLimitsMethod) == null) {
      synchronized (CoordinationServiceGrpc.class) {
        if ((getListWorkLimitsMethod = CoordinationServiceGrpc.getListWorkLimitsMethod) == null) {
          CoordinationServiceGrpc.getListWorkLimitsMethod = getListWorkLimitsMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.ListWorkLimitsRequest, io.github.orchestrationledger.v1.ListWorkLimitsResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListWorkLimits"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.ListWorkLimitsRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.ListWorkLimitsResponse.getDefaultInstance()))
              .setSchemaDescriptor(new CoordinationServiceMethodDescriptorSupplier("ListWorkLimits"))
              .build();
        }
      }
    }
    return getListWorkLimitsMethod;
  }

  /**
   * Creates a new async stub that supports all call types for the service
   */
  public static CoordinationServiceStub newStub(io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<CoordinationServiceStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<CoordinationServiceStub>() {
        @java.lang.Override
        public CoordinationServiceStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new CoordinationServiceStub(channel, callOptions);
        }
      };
    return CoordinationServiceStub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports all types of calls on the service
   */
  public static CoordinationServiceBlockingV2Stub newBlockingV2Stub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<CoordinationServiceBlockingV2Stub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<CoordinationServiceBlockingV2Stub>() {
        @java.lang.Override
        public CoordinationServiceBlockingV2Stub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new CoordinationServiceBlockingV2Stub(channel, callOptions);
        }
      };
    return CoordinationServiceBlockingV2Stub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports unary and streaming output calls on the service
   */
  public static CoordinationServiceBlockingStub newBlockingStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<CoordinationServiceBlockingStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<CoordinationServiceBlockingStub>() {
        @java.lang.Override
        public CoordinationServiceBlockingStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new CoordinationServiceBlockingStub(channel, callOptions);
        }
      };
    return CoordinationServiceBlockingStub.newStub(factory, channel);
  }

  /**
   * Creates a new ListenableFuture-style stub that supports unary calls on the service
   */
  public static CoordinationServiceFutureStub newFutureStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<CoordinationServiceFutureStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<CoordinationServiceFutureStub>() {
        @java.lang.Override
        public CoordinationServiceFutureStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new CoordinationServiceFutureStub(channel, callOptions);
        }
      };
    return CoordinationServiceFutureStub.newStub(factory, channel);
  }

  /**
   * <pre>
   * Manages the dependency graph. The server serializes changes to the graph of a project, so concurrent calls cannot
   * close a cycle.
   * </pre>
   */
  public interface AsyncService {

    /**
     * <pre>
     * Adds a dependency of one task on another. If it exists already, it is returned unchanged.
     * Errors:
     * - NOT_FOUND: one of the tasks does not exist or is deleted.
     * - FAILED_PRECONDITION, reason DEPENDENCY_CYCLE: a dependency of kind BLOCKS would close a cycle. The error
     *   names the path.
     * </pre>
     */
    default void addDependency(io.github.orchestrationledger.v1.AddDependencyRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.AddDependencyResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getAddDependencyMethod(), responseObserver);
    }

    /**
     * <pre>
     * Removes a dependency.
     * Errors:
     * - NOT_FOUND: the dependency does not exist.
     * </pre>
     */
    default void removeDependency(io.github.orchestrationledger.v1.RemoveDependencyRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.RemoveDependencyResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getRemoveDependencyMethod(), responseObserver);
    }

    /**
     * <pre>
     * Lists the dependencies of a task, or those of other tasks on it, by the code of the other task, then by kind.
     * Deleted tasks keep their dependencies. A key that is scoped to a sprint sees, of the tasks that depend on its
     * task, only those of the sprint.
     * Errors:
     * - NOT_FOUND: the task never existed.
     * </pre>
     */
    default void listDependencies(io.github.orchestrationledger.v1.ListDependenciesRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ListDependenciesResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListDependenciesMethod(), responseObserver);
    }

    /**
     * <pre>
     * Lists the tasks that are ready to start, in the order in which ClaimTask takes them: by priority, P0 first, in which
     * tasks rise with their age.
     * A task is ready if its status is PENDING, or IN_PROGRESS under a lease that has expired; every task that blocks it
     * is completed, cancelled or deleted; it is due: it belongs to no sprint or to an active one; its not_before and the
     * pause after a failed attempt have passed; its budget is not used up; and no pause stops it. The next steps of InitAgent and of contexts
     * look at status, blockers and sprint alone; they tell an agent to ask before it starts a task that is not due.
     * UpdateTaskStatus does not enforce readiness: a task with open blockers can be started and completed.
     * </pre>
     */
    default void listReadyTasks(io.github.orchestrationledger.v1.ListReadyTasksRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ListReadyTasksResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListReadyTasksMethod(), responseObserver);
    }

    /**
     * <pre>
     * Claims a task, or the next ready ones: gives the caller a lease, starts an attempt, sets the task's status to
     * IN_PROGRESS and its assignee to the agent, in one transaction. Of any number of concurrent claims of a task, one
     * succeeds.
     * Without task_code the server takes the next ready tasks: P0 first, oldest first, then the others by create_time +
     * priority * age, where age is a setting of the server, a week by default. So old tasks of a low priority are not
     * passed for ever. If none is ready it waits up to `wait` for one, and then returns no claim, without an error.
     * While the lease is valid, only calls with its fence can change the task's status or assignee or delete it. A lease
     * cannot stop an effect outside the ledger: let the systems that the agent writes to check the fence, too.
     * Errors:
     * - INVALID_ARGUMENT: neither agent nor the metadata names an agent.
     * - NOT_FOUND: the task does not exist or is deleted.
     * - FAILED_PRECONDITION, reason TASK_HELD: another holder has a valid lease. The error carries holder, session_key
     *   and expire_time.
     * - FAILED_PRECONDITION, reason TASK_NOT_READY: the named task is not ready. The error lists the reasons;
     *   ExplainReadiness tells more.
     * </pre>
     */
    default void claimTask(io.github.orchestrationledger.v1.ClaimTaskRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ClaimTaskResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getClaimTaskMethod(), responseObserver);
    }

    /**
     * <pre>
     * Extends up to 10,000 leases in one statement, each by its duration from now. The response tells for each lease
     * whether it is still held, what its holder should do, and what is left of its time and of the budget of the task; a
     * lost lease is no error. Heartbeats write no event and change no revision.
     * </pre>
     */
    default void heartbeat(io.github.orchestrationledger.v1.HeartbeatRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.HeartbeatResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getHeartbeatMethod(), responseObserver);
    }

    /**
     * <pre>
     * Ends the caller's attempt with an outcome. COMPLETED completes the task, FAILED and RETURNED make it PENDING
     * again, BLOCKED blocks it.
     * Errors:
     * - INVALID_ARGUMENT: the fence belongs to another task, or to none.
     * - FAILED_PRECONDITION, reason STALE_FENCE: the lease has ended. The error carries the present holder, if any.
     * </pre>
     */
    default void releaseTask(io.github.orchestrationledger.v1.ReleaseTaskRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ReleaseTaskResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getReleaseTaskMethod(), responseObserver);
    }

    /**
     * <pre>
     * Ends the open attempt at the task, with the outcome PREEMPTED, and makes the task PENDING again. The
     * holder learns of it by its next heartbeat, and each of its later writes fails.
     * Errors:
     * - NOT_FOUND: the task does not exist or is deleted.
     * - FAILED_PRECONDITION, reason NOT_HELD: nobody holds the task.
     * </pre>
     */
    default void preemptTask(io.github.orchestrationledger.v1.PreemptTaskRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.PreemptTaskResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getPreemptTaskMethod(), responseObserver);
    }

    /**
     * <pre>
     * Lists the valid leases of the project, by task code.
     * </pre>
     */
    default void listLeases(io.github.orchestrationledger.v1.ListLeasesRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ListLeasesResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListLeasesMethod(), responseObserver);
    }

    /**
     * <pre>
     * Lists the attempts at a task, newest first.
     * Errors:
     * - NOT_FOUND: the task never existed.
     * </pre>
     */
    default void listAttempts(io.github.orchestrationledger.v1.ListAttemptsRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ListAttemptsResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListAttemptsMethod(), responseObserver);
    }

    /**
     * <pre>
     * Explains why a task is ready or not, or why an agent would get no task: every reason, with what would change it.
     * ClaimTask decides by the same function.
     * Errors:
     * - NOT_FOUND: the task does not exist or is deleted.
     * </pre>
     */
    default void explainReadiness(io.github.orchestrationledger.v1.ExplainReadinessRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ExplainReadinessResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getExplainReadinessMethod(), responseObserver);
    }

    /**
     * <pre>
     * Stops claims of a part of the project until ResumeWork, and tells the holders there by their heartbeats what to do.
     * Pausing the whole project with the mode CANCEL is the kill switch of a fleet. Pausing a scope again replaces its
     * mode and reason. No claim that the pause stops succeeds after the response. Logs orchestration.work.paused.
     * Errors:
     * - NOT_FOUND: the sprint or the task does not exist or is deleted.
     * </pre>
     */
    default void pauseWork(io.github.orchestrationledger.v1.PauseWorkRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.PauseWorkResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getPauseWorkMethod(), responseObserver);
    }

    /**
     * <pre>
     * Ends a pause. Logs orchestration.work.resumed.
     * Errors:
     * - NOT_FOUND: the scope is not paused.
     * </pre>
     */
    default void resumeWork(io.github.orchestrationledger.v1.ResumeWorkRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ResumeWorkResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getResumeWorkMethod(), responseObserver);
    }

    /**
     * <pre>
     * Lists the pauses of the project.
     * </pre>
     */
    default void listPauses(io.github.orchestrationledger.v1.ListPausesRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ListPausesResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListPausesMethod(), responseObserver);
    }

    /**
     * <pre>
     * Sets how many tasks may be worked on at the same time by an agent, under a label, or with a provider. The limit is
     * exact, whatever the number of servers. Leases beyond a lowered limit stay. Logs orchestration.work.limit_changed.
     * Errors:
     * - NOT_FOUND: the limit to remove does not exist.
     * </pre>
     */
    default void setWorkLimit(io.github.orchestrationledger.v1.SetWorkLimitRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.SetWorkLimitResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getSetWorkLimitMethod(), responseObserver);
    }

    /**
     * <pre>
     * Lists the limits of the project, with their use.
     * </pre>
     */
    default void listWorkLimits(io.github.orchestrationledger.v1.ListWorkLimitsRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ListWorkLimitsResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListWorkLimitsMethod(), responseObserver);
    }
  }

  /**
   * Base class for the server implementation of the service CoordinationService.
   * <pre>
   * Manages the dependency graph. The server serializes changes to the graph of a project, so concurrent calls cannot
   * close a cycle.
   * </pre>
   */
  public static abstract class CoordinationServiceImplBase
      implements io.grpc.BindableService, AsyncService {

    @java.lang.Override public final io.grpc.ServerServiceDefinition bindService() {
      return CoordinationServiceGrpc.bindService(this);
    }
  }

  /**
   * A stub to allow clients to do asynchronous rpc calls to service CoordinationService.
   * <pre>
   * Manages the dependency graph. The server serializes changes to the graph of a project, so concurrent calls cannot
   * close a cycle.
   * </pre>
   */
  public static final class CoordinationServiceStub
      extends io.grpc.stub.AbstractAsyncStub<CoordinationServiceStub> {
    private CoordinationServiceStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected CoordinationServiceStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new CoordinationServiceStub(channel, callOptions);
    }

    /**
     * <pre>
     * Adds a dependency of one task on another. If it exists already, it is returned unchanged.
     * Errors:
     * - NOT_FOUND: one of the tasks does not exist or is deleted.
     * - FAILED_PRECONDITION, reason DEPENDENCY_CYCLE: a dependency of kind BLOCKS would close a cycle. The error
     *   names the path.
     * </pre>
     */
    public void addDependency(io.github.orchestrationledger.v1.AddDependencyRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.AddDependencyResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getAddDependencyMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Removes a dependency.
     * Errors:
     * - NOT_FOUND: the dependency does not exist.
     * </pre>
     */
    public void removeDependency(io.github.orchestrationledger.v1.RemoveDependencyRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.RemoveDependencyResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getRemoveDependencyMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Lists the dependencies of a task, or those of other tasks on it, by the code of the other task, then by kind.
     * Deleted tasks keep their dependencies. A key that is scoped to a sprint sees, of the tasks that depend on its
     * task, only those of the sprint.
     * Errors:
     * - NOT_FOUND: the task never existed.
     * </pre>
     */
    public void listDependencies(io.github.orchestrationledger.v1.ListDependenciesRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ListDependenciesResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListDependenciesMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Lists the tasks that are ready to start, in the order in which ClaimTask takes them: by priority, P0 first, in which
     * tasks rise with their age.
     * A task is ready if its status is PENDING, or IN_PROGRESS under a lease that has expired; every task that blocks it
     * is completed, cancelled or deleted; it is due: it belongs to no sprint or to an active one; its not_before and the
     * pause after a failed attempt have passed; its budget is not used up; and no pause stops it. The next steps of InitAgent and of contexts
     * look at status, blockers and sprint alone; they tell an agent to ask before it starts a task that is not due.
     * UpdateTaskStatus does not enforce readiness: a task with open blockers can be started and completed.
     * </pre>
     */
    public void listReadyTasks(io.github.orchestrationledger.v1.ListReadyTasksRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ListReadyTasksResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListReadyTasksMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Claims a task, or the next ready ones: gives the caller a lease, starts an attempt, sets the task's status to
     * IN_PROGRESS and its assignee to the agent, in one transaction. Of any number of concurrent claims of a task, one
     * succeeds.
     * Without task_code the server takes the next ready tasks: P0 first, oldest first, then the others by create_time +
     * priority * age, where age is a setting of the server, a week by default. So old tasks of a low priority are not
     * passed for ever. If none is ready it waits up to `wait` for one, and then returns no claim, without an error.
     * While the lease is valid, only calls with its fence can change the task's status or assignee or delete it. A lease
     * cannot stop an effect outside the ledger: let the systems that the agent writes to check the fence, too.
     * Errors:
     * - INVALID_ARGUMENT: neither agent nor the metadata names an agent.
     * - NOT_FOUND: the task does not exist or is deleted.
     * - FAILED_PRECONDITION, reason TASK_HELD: another holder has a valid lease. The error carries holder, session_key
     *   and expire_time.
     * - FAILED_PRECONDITION, reason TASK_NOT_READY: the named task is not ready. The error lists the reasons;
     *   ExplainReadiness tells more.
     * </pre>
     */
    public void claimTask(io.github.orchestrationledger.v1.ClaimTaskRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ClaimTaskResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getClaimTaskMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Extends up to 10,000 leases in one statement, each by its duration from now. The response tells for each lease
     * whether it is still held, what its holder should do, and what is left of its time and of the budget of the task; a
     * lost lease is no error. Heartbeats write no event and change no revision.
     * </pre>
     */
    public void heartbeat(io.github.orchestrationledger.v1.HeartbeatRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.HeartbeatResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getHeartbeatMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Ends the caller's attempt with an outcome. COMPLETED completes the task, FAILED and RETURNED make it PENDING
     * again, BLOCKED blocks it.
     * Errors:
     * - INVALID_ARGUMENT: the fence belongs to another task, or to none.
     * - FAILED_PRECONDITION, reason STALE_FENCE: the lease has ended. The error carries the present holder, if any.
     * </pre>
     */
    public void releaseTask(io.github.orchestrationledger.v1.ReleaseTaskRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ReleaseTaskResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getReleaseTaskMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Ends the open attempt at the task, with the outcome PREEMPTED, and makes the task PENDING again. The
     * holder learns of it by its next heartbeat, and each of its later writes fails.
     * Errors:
     * - NOT_FOUND: the task does not exist or is deleted.
     * - FAILED_PRECONDITION, reason NOT_HELD: nobody holds the task.
     * </pre>
     */
    public void preemptTask(io.github.orchestrationledger.v1.PreemptTaskRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.PreemptTaskResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getPreemptTaskMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Lists the valid leases of the project, by task code.
     * </pre>
     */
    public void listLeases(io.github.orchestrationledger.v1.ListLeasesRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ListLeasesResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListLeasesMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Lists the attempts at a task, newest first.
     * Errors:
     * - NOT_FOUND: the task never existed.
     * </pre>
     */
    public void listAttempts(io.github.orchestrationledger.v1.ListAttemptsRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ListAttemptsResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListAttemptsMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Explains why a task is ready or not, or why an agent would get no task: every reason, with what would change it.
     * ClaimTask decides by the same function.
     * Errors:
     * - NOT_FOUND: the task does not exist or is deleted.
     * </pre>
     */
    public void explainReadiness(io.github.orchestrationledger.v1.ExplainReadinessRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ExplainReadinessResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getExplainReadinessMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Stops claims of a part of the project until ResumeWork, and tells the holders there by their heartbeats what to do.
     * Pausing the whole project with the mode CANCEL is the kill switch of a fleet. Pausing a scope again replaces its
     * mode and reason. No claim that the pause stops succeeds after the response. Logs orchestration.work.paused.
     * Errors:
     * - NOT_FOUND: the sprint or the task does not exist or is deleted.
     * </pre>
     */
    public void pauseWork(io.github.orchestrationledger.v1.PauseWorkRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.PauseWorkResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getPauseWorkMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Ends a pause. Logs orchestration.work.resumed.
     * Errors:
     * - NOT_FOUND: the scope is not paused.
     * </pre>
     */
    public void resumeWork(io.github.orchestrationledger.v1.ResumeWorkRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ResumeWorkResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getResumeWorkMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Lists the pauses of the project.
     * </pre>
     */
    public void listPauses(io.github.orchestrationledger.v1.ListPausesRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ListPausesResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListPausesMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Sets how many tasks may be worked on at the same time by an agent, under a label, or with a provider. The limit is
     * exact, whatever the number of servers. Leases beyond a lowered limit stay. Logs orchestration.work.limit_changed.
     * Errors:
     * - NOT_FOUND: the limit to remove does not exist.
     * </pre>
     */
    public void setWorkLimit(io.github.orchestrationledger.v1.SetWorkLimitRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.SetWorkLimitResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getSetWorkLimitMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Lists the limits of the project, with their use.
     * </pre>
     */
    public void listWorkLimits(io.github.orchestrationledger.v1.ListWorkLimitsRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ListWorkLimitsResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListWorkLimitsMethod(), getCallOptions()), request, responseObserver);
    }
  }

  /**
   * A stub to allow clients to do synchronous rpc calls to service CoordinationService.
   * <pre>
   * Manages the dependency graph. The server serializes changes to the graph of a project, so concurrent calls cannot
   * close a cycle.
   * </pre>
   */
  public static final class CoordinationServiceBlockingV2Stub
      extends io.grpc.stub.AbstractBlockingStub<CoordinationServiceBlockingV2Stub> {
    private CoordinationServiceBlockingV2Stub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected CoordinationServiceBlockingV2Stub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new CoordinationServiceBlockingV2Stub(channel, callOptions);
    }

    /**
     * <pre>
     * Adds a dependency of one task on another. If it exists already, it is returned unchanged.
     * Errors:
     * - NOT_FOUND: one of the tasks does not exist or is deleted.
     * - FAILED_PRECONDITION, reason DEPENDENCY_CYCLE: a dependency of kind BLOCKS would close a cycle. The error
     *   names the path.
     * </pre>
     */
    public io.github.orchestrationledger.v1.AddDependencyResponse addDependency(io.github.orchestrationledger.v1.AddDependencyRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getAddDependencyMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Removes a dependency.
     * Errors:
     * - NOT_FOUND: the dependency does not exist.
     * </pre>
     */
    public io.github.orchestrationledger.v1.RemoveDependencyResponse removeDependency(io.github.orchestrationledger.v1.RemoveDependencyRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getRemoveDependencyMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Lists the dependencies of a task, or those of other tasks on it, by the code of the other task, then by kind.
     * Deleted tasks keep their dependencies. A key that is scoped to a sprint sees, of the tasks that depend on its
     * task, only those of the sprint.
     * Errors:
     * - NOT_FOUND: the task never existed.
     * </pre>
     */
    public io.github.orchestrationledger.v1.ListDependenciesResponse listDependencies(io.github.orchestrationledger.v1.ListDependenciesRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListDependenciesMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Lists the tasks that are ready to start, in the order in which ClaimTask takes them: by priority, P0 first, in which
     * tasks rise with their age.
     * A task is ready if its status is PENDING, or IN_PROGRESS under a lease that has expired; every task that blocks it
     * is completed, cancelled or deleted; it is due: it belongs to no sprint or to an active one; its not_before and the
     * pause after a failed attempt have passed; its budget is not used up; and no pause stops it. The next steps of InitAgent and of contexts
     * look at status, blockers and sprint alone; they tell an agent to ask before it starts a task that is not due.
     * UpdateTaskStatus does not enforce readiness: a task with open blockers can be started and completed.
     * </pre>
     */
    public io.github.orchestrationledger.v1.ListReadyTasksResponse listReadyTasks(io.github.orchestrationledger.v1.ListReadyTasksRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListReadyTasksMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Claims a task, or the next ready ones: gives the caller a lease, starts an attempt, sets the task's status to
     * IN_PROGRESS and its assignee to the agent, in one transaction. Of any number of concurrent claims of a task, one
     * succeeds.
     * Without task_code the server takes the next ready tasks: P0 first, oldest first, then the others by create_time +
     * priority * age, where age is a setting of the server, a week by default. So old tasks of a low priority are not
     * passed for ever. If none is ready it waits up to `wait` for one, and then returns no claim, without an error.
     * While the lease is valid, only calls with its fence can change the task's status or assignee or delete it. A lease
     * cannot stop an effect outside the ledger: let the systems that the agent writes to check the fence, too.
     * Errors:
     * - INVALID_ARGUMENT: neither agent nor the metadata names an agent.
     * - NOT_FOUND: the task does not exist or is deleted.
     * - FAILED_PRECONDITION, reason TASK_HELD: another holder has a valid lease. The error carries holder, session_key
     *   and expire_time.
     * - FAILED_PRECONDITION, reason TASK_NOT_READY: the named task is not ready. The error lists the reasons;
     *   ExplainReadiness tells more.
     * </pre>
     */
    public io.github.orchestrationledger.v1.ClaimTaskResponse claimTask(io.github.orchestrationledger.v1.ClaimTaskRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getClaimTaskMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Extends up to 10,000 leases in one statement, each by its duration from now. The response tells for each lease
     * whether it is still held, what its holder should do, and what is left of its time and of the budget of the task; a
     * lost lease is no error. Heartbeats write no event and change no revision.
     * </pre>
     */
    public io.github.orchestrationledger.v1.HeartbeatResponse heartbeat(io.github.orchestrationledger.v1.HeartbeatRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getHeartbeatMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Ends the caller's attempt with an outcome. COMPLETED completes the task, FAILED and RETURNED make it PENDING
     * again, BLOCKED blocks it.
     * Errors:
     * - INVALID_ARGUMENT: the fence belongs to another task, or to none.
     * - FAILED_PRECONDITION, reason STALE_FENCE: the lease has ended. The error carries the present holder, if any.
     * </pre>
     */
    public io.github.orchestrationledger.v1.ReleaseTaskResponse releaseTask(io.github.orchestrationledger.v1.ReleaseTaskRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getReleaseTaskMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Ends the open attempt at the task, with the outcome PREEMPTED, and makes the task PENDING again. The
     * holder learns of it by its next heartbeat, and each of its later writes fails.
     * Errors:
     * - NOT_FOUND: the task does not exist or is deleted.
     * - FAILED_PRECONDITION, reason NOT_HELD: nobody holds the task.
     * </pre>
     */
    public io.github.orchestrationledger.v1.PreemptTaskResponse preemptTask(io.github.orchestrationledger.v1.PreemptTaskRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getPreemptTaskMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Lists the valid leases of the project, by task code.
     * </pre>
     */
    public io.github.orchestrationledger.v1.ListLeasesResponse listLeases(io.github.orchestrationledger.v1.ListLeasesRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListLeasesMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Lists the attempts at a task, newest first.
     * Errors:
     * - NOT_FOUND: the task never existed.
     * </pre>
     */
    public io.github.orchestrationledger.v1.ListAttemptsResponse listAttempts(io.github.orchestrationledger.v1.ListAttemptsRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListAttemptsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Explains why a task is ready or not, or why an agent would get no task: every reason, with what would change it.
     * ClaimTask decides by the same function.
     * Errors:
     * - NOT_FOUND: the task does not exist or is deleted.
     * </pre>
     */
    public io.github.orchestrationledger.v1.ExplainReadinessResponse explainReadiness(io.github.orchestrationledger.v1.ExplainReadinessRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getExplainReadinessMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Stops claims of a part of the project until ResumeWork, and tells the holders there by their heartbeats what to do.
     * Pausing the whole project with the mode CANCEL is the kill switch of a fleet. Pausing a scope again replaces its
     * mode and reason. No claim that the pause stops succeeds after the response. Logs orchestration.work.paused.
     * Errors:
     * - NOT_FOUND: the sprint or the task does not exist or is deleted.
     * </pre>
     */
    public io.github.orchestrationledger.v1.PauseWorkResponse pauseWork(io.github.orchestrationledger.v1.PauseWorkRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getPauseWorkMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Ends a pause. Logs orchestration.work.resumed.
     * Errors:
     * - NOT_FOUND: the scope is not paused.
     * </pre>
     */
    public io.github.orchestrationledger.v1.ResumeWorkResponse resumeWork(io.github.orchestrationledger.v1.ResumeWorkRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getResumeWorkMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Lists the pauses of the project.
     * </pre>
     */
    public io.github.orchestrationledger.v1.ListPausesResponse listPauses(io.github.orchestrationledger.v1.ListPausesRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListPausesMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Sets how many tasks may be worked on at the same time by an agent, under a label, or with a provider. The limit is
     * exact, whatever the number of servers. Leases beyond a lowered limit stay. Logs orchestration.work.limit_changed.
     * Errors:
     * - NOT_FOUND: the limit to remove does not exist.
     * </pre>
     */
    public io.github.orchestrationledger.v1.SetWorkLimitResponse setWorkLimit(io.github.orchestrationledger.v1.SetWorkLimitRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getSetWorkLimitMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Lists the limits of the project, with their use.
     * </pre>
     */
    public io.github.orchestrationledger.v1.ListWorkLimitsResponse listWorkLimits(io.github.orchestrationledger.v1.ListWorkLimitsRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListWorkLimitsMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do limited synchronous rpc calls to service CoordinationService.
   * <pre>
   * Manages the dependency graph. The server serializes changes to the graph of a project, so concurrent calls cannot
   * close a cycle.
   * </pre>
   */
  public static final class CoordinationServiceBlockingStub
      extends io.grpc.stub.AbstractBlockingStub<CoordinationServiceBlockingStub> {
    private CoordinationServiceBlockingStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected CoordinationServiceBlockingStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new CoordinationServiceBlockingStub(channel, callOptions);
    }

    /**
     * <pre>
     * Adds a dependency of one task on another. If it exists already, it is returned unchanged.
     * Errors:
     * - NOT_FOUND: one of the tasks does not exist or is deleted.
     * - FAILED_PRECONDITION, reason DEPENDENCY_CYCLE: a dependency of kind BLOCKS would close a cycle. The error
     *   names the path.
     * </pre>
     */
    public io.github.orchestrationledger.v1.AddDependencyResponse addDependency(io.github.orchestrationledger.v1.AddDependencyRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getAddDependencyMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Removes a dependency.
     * Errors:
     * - NOT_FOUND: the dependency does not exist.
     * </pre>
     */
    public io.github.orchestrationledger.v1.RemoveDependencyResponse removeDependency(io.github.orchestrationledger.v1.RemoveDependencyRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getRemoveDependencyMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Lists the dependencies of a task, or those of other tasks on it, by the code of the other task, then by kind.
     * Deleted tasks keep their dependencies. A key that is scoped to a sprint sees, of the tasks that depend on its
     * task, only those of the sprint.
     * Errors:
     * - NOT_FOUND: the task never existed.
     * </pre>
     */
    public io.github.orchestrationledger.v1.ListDependenciesResponse listDependencies(io.github.orchestrationledger.v1.ListDependenciesRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListDependenciesMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Lists the tasks that are ready to start, in the order in which ClaimTask takes them: by priority, P0 first, in which
     * tasks rise with their age.
     * A task is ready if its status is PENDING, or IN_PROGRESS under a lease that has expired; every task that blocks it
     * is completed, cancelled or deleted; it is due: it belongs to no sprint or to an active one; its not_before and the
     * pause after a failed attempt have passed; its budget is not used up; and no pause stops it. The next steps of InitAgent and of contexts
     * look at status, blockers and sprint alone; they tell an agent to ask before it starts a task that is not due.
     * UpdateTaskStatus does not enforce readiness: a task with open blockers can be started and completed.
     * </pre>
     */
    public io.github.orchestrationledger.v1.ListReadyTasksResponse listReadyTasks(io.github.orchestrationledger.v1.ListReadyTasksRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListReadyTasksMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Claims a task, or the next ready ones: gives the caller a lease, starts an attempt, sets the task's status to
     * IN_PROGRESS and its assignee to the agent, in one transaction. Of any number of concurrent claims of a task, one
     * succeeds.
     * Without task_code the server takes the next ready tasks: P0 first, oldest first, then the others by create_time +
     * priority * age, where age is a setting of the server, a week by default. So old tasks of a low priority are not
     * passed for ever. If none is ready it waits up to `wait` for one, and then returns no claim, without an error.
     * While the lease is valid, only calls with its fence can change the task's status or assignee or delete it. A lease
     * cannot stop an effect outside the ledger: let the systems that the agent writes to check the fence, too.
     * Errors:
     * - INVALID_ARGUMENT: neither agent nor the metadata names an agent.
     * - NOT_FOUND: the task does not exist or is deleted.
     * - FAILED_PRECONDITION, reason TASK_HELD: another holder has a valid lease. The error carries holder, session_key
     *   and expire_time.
     * - FAILED_PRECONDITION, reason TASK_NOT_READY: the named task is not ready. The error lists the reasons;
     *   ExplainReadiness tells more.
     * </pre>
     */
    public io.github.orchestrationledger.v1.ClaimTaskResponse claimTask(io.github.orchestrationledger.v1.ClaimTaskRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getClaimTaskMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Extends up to 10,000 leases in one statement, each by its duration from now. The response tells for each lease
     * whether it is still held, what its holder should do, and what is left of its time and of the budget of the task; a
     * lost lease is no error. Heartbeats write no event and change no revision.
     * </pre>
     */
    public io.github.orchestrationledger.v1.HeartbeatResponse heartbeat(io.github.orchestrationledger.v1.HeartbeatRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getHeartbeatMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Ends the caller's attempt with an outcome. COMPLETED completes the task, FAILED and RETURNED make it PENDING
     * again, BLOCKED blocks it.
     * Errors:
     * - INVALID_ARGUMENT: the fence belongs to another task, or to none.
     * - FAILED_PRECONDITION, reason STALE_FENCE: the lease has ended. The error carries the present holder, if any.
     * </pre>
     */
    public io.github.orchestrationledger.v1.ReleaseTaskResponse releaseTask(io.github.orchestrationledger.v1.ReleaseTaskRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getReleaseTaskMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Ends the open attempt at the task, with the outcome PREEMPTED, and makes the task PENDING again. The
     * holder learns of it by its next heartbeat, and each of its later writes fails.
     * Errors:
     * - NOT_FOUND: the task does not exist or is deleted.
     * - FAILED_PRECONDITION, reason NOT_HELD: nobody holds the task.
     * </pre>
     */
    public io.github.orchestrationledger.v1.PreemptTaskResponse preemptTask(io.github.orchestrationledger.v1.PreemptTaskRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getPreemptTaskMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Lists the valid leases of the project, by task code.
     * </pre>
     */
    public io.github.orchestrationledger.v1.ListLeasesResponse listLeases(io.github.orchestrationledger.v1.ListLeasesRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListLeasesMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Lists the attempts at a task, newest first.
     * Errors:
     * - NOT_FOUND: the task never existed.
     * </pre>
     */
    public io.github.orchestrationledger.v1.ListAttemptsResponse listAttempts(io.github.orchestrationledger.v1.ListAttemptsRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListAttemptsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Explains why a task is ready or not, or why an agent would get no task: every reason, with what would change it.
     * ClaimTask decides by the same function.
     * Errors:
     * - NOT_FOUND: the task does not exist or is deleted.
     * </pre>
     */
    public io.github.orchestrationledger.v1.ExplainReadinessResponse explainReadiness(io.github.orchestrationledger.v1.ExplainReadinessRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getExplainReadinessMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Stops claims of a part of the project until ResumeWork, and tells the holders there by their heartbeats what to do.
     * Pausing the whole project with the mode CANCEL is the kill switch of a fleet. Pausing a scope again replaces its
     * mode and reason. No claim that the pause stops succeeds after the response. Logs orchestration.work.paused.
     * Errors:
     * - NOT_FOUND: the sprint or the task does not exist or is deleted.
     * </pre>
     */
    public io.github.orchestrationledger.v1.PauseWorkResponse pauseWork(io.github.orchestrationledger.v1.PauseWorkRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getPauseWorkMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Ends a pause. Logs orchestration.work.resumed.
     * Errors:
     * - NOT_FOUND: the scope is not paused.
     * </pre>
     */
    public io.github.orchestrationledger.v1.ResumeWorkResponse resumeWork(io.github.orchestrationledger.v1.ResumeWorkRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getResumeWorkMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Lists the pauses of the project.
     * </pre>
     */
    public io.github.orchestrationledger.v1.ListPausesResponse listPauses(io.github.orchestrationledger.v1.ListPausesRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListPausesMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Sets how many tasks may be worked on at the same time by an agent, under a label, or with a provider. The limit is
     * exact, whatever the number of servers. Leases beyond a lowered limit stay. Logs orchestration.work.limit_changed.
     * Errors:
     * - NOT_FOUND: the limit to remove does not exist.
     * </pre>
     */
    public io.github.orchestrationledger.v1.SetWorkLimitResponse setWorkLimit(io.github.orchestrationledger.v1.SetWorkLimitRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getSetWorkLimitMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Lists the limits of the project, with their use.
     * </pre>
     */
    public io.github.orchestrationledger.v1.ListWorkLimitsResponse listWorkLimits(io.github.orchestrationledger.v1.ListWorkLimitsRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListWorkLimitsMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do ListenableFuture-style rpc calls to service CoordinationService.
   * <pre>
   * Manages the dependency graph. The server serializes changes to the graph of a project, so concurrent calls cannot
   * close a cycle.
   * </pre>
   */
  public static final class CoordinationServiceFutureStub
      extends io.grpc.stub.AbstractFutureStub<CoordinationServiceFutureStub> {
    private CoordinationServiceFutureStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected CoordinationServiceFutureStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new CoordinationServiceFutureStub(channel, callOptions);
    }

    /**
     * <pre>
     * Adds a dependency of one task on another. If it exists already, it is returned unchanged.
     * Errors:
     * - NOT_FOUND: one of the tasks does not exist or is deleted.
     * - FAILED_PRECONDITION, reason DEPENDENCY_CYCLE: a dependency of kind BLOCKS would close a cycle. The error
     *   names the path.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.AddDependencyResponse> addDependency(
        io.github.orchestrationledger.v1.AddDependencyRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getAddDependencyMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Removes a dependency.
     * Errors:
     * - NOT_FOUND: the dependency does not exist.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.RemoveDependencyResponse> removeDependency(
        io.github.orchestrationledger.v1.RemoveDependencyRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getRemoveDependencyMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Lists the dependencies of a task, or those of other tasks on it, by the code of the other task, then by kind.
     * Deleted tasks keep their dependencies. A key that is scoped to a sprint sees, of the tasks that depend on its
     * task, only those of the sprint.
     * Errors:
     * - NOT_FOUND: the task never existed.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.ListDependenciesResponse> listDependencies(
        io.github.orchestrationledger.v1.ListDependenciesRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListDependenciesMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Lists the tasks that are ready to start, in the order in which ClaimTask takes them: by priority, P0 first, in which
     * tasks rise with their age.
     * A task is ready if its status is PENDING, or IN_PROGRESS under a lease that has expired; every task that blocks it
     * is completed, cancelled or deleted; it is due: it belongs to no sprint or to an active one; its not_before and the
     * pause after a failed attempt have passed; its budget is not used up; and no pause stops it. The next steps of InitAgent and of contexts
     * look at status, blockers and sprint alone; they tell an agent to ask before it starts a task that is not due.
     * UpdateTaskStatus does not enforce readiness: a task with open blockers can be started and completed.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.ListReadyTasksResponse> listReadyTasks(
        io.github.orchestrationledger.v1.ListReadyTasksRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListReadyTasksMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Claims a task, or the next ready ones: gives the caller a lease, starts an attempt, sets the task's status to
     * IN_PROGRESS and its assignee to the agent, in one transaction. Of any number of concurrent claims of a task, one
     * succeeds.
     * Without task_code the server takes the next ready tasks: P0 first, oldest first, then the others by create_time +
     * priority * age, where age is a setting of the server, a week by default. So old tasks of a low priority are not
     * passed for ever. If none is ready it waits up to `wait` for one, and then returns no claim, without an error.
     * While the lease is valid, only calls with its fence can change the task's status or assignee or delete it. A lease
     * cannot stop an effect outside the ledger: let the systems that the agent writes to check the fence, too.
     * Errors:
     * - INVALID_ARGUMENT: neither agent nor the metadata names an agent.
     * - NOT_FOUND: the task does not exist or is deleted.
     * - FAILED_PRECONDITION, reason TASK_HELD: another holder has a valid lease. The error carries holder, session_key
     *   and expire_time.
     * - FAILED_PRECONDITION, reason TASK_NOT_READY: the named task is not ready. The error lists the reasons;
     *   ExplainReadiness tells more.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.ClaimTaskResponse> claimTask(
        io.github.orchestrationledger.v1.ClaimTaskRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getClaimTaskMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Extends up to 10,000 leases in one statement, each by its duration from now. The response tells for each lease
     * whether it is still held, what its holder should do, and what is left of its time and of the budget of the task; a
     * lost lease is no error. Heartbeats write no event and change no revision.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.HeartbeatResponse> heartbeat(
        io.github.orchestrationledger.v1.HeartbeatRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getHeartbeatMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Ends the caller's attempt with an outcome. COMPLETED completes the task, FAILED and RETURNED make it PENDING
     * again, BLOCKED blocks it.
     * Errors:
     * - INVALID_ARGUMENT: the fence belongs to another task, or to none.
     * - FAILED_PRECONDITION, reason STALE_FENCE: the lease has ended. The error carries the present holder, if any.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.ReleaseTaskResponse> releaseTask(
        io.github.orchestrationledger.v1.ReleaseTaskRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getReleaseTaskMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Ends the open attempt at the task, with the outcome PREEMPTED, and makes the task PENDING again. The
     * holder learns of it by its next heartbeat, and each of its later writes fails.
     * Errors:
     * - NOT_FOUND: the task does not exist or is deleted.
     * - FAILED_PRECONDITION, reason NOT_HELD: nobody holds the task.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.PreemptTaskResponse> preemptTask(
        io.github.orchestrationledger.v1.PreemptTaskRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getPreemptTaskMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Lists the valid leases of the project, by task code.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.ListLeasesResponse> listLeases(
        io.github.orchestrationledger.v1.ListLeasesRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListLeasesMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Lists the attempts at a task, newest first.
     * Errors:
     * - NOT_FOUND: the task never existed.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.ListAttemptsResponse> listAttempts(
        io.github.orchestrationledger.v1.ListAttemptsRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListAttemptsMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Explains why a task is ready or not, or why an agent would get no task: every reason, with what would change it.
     * ClaimTask decides by the same function.
     * Errors:
     * - NOT_FOUND: the task does not exist or is deleted.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.ExplainReadinessResponse> explainReadiness(
        io.github.orchestrationledger.v1.ExplainReadinessRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getExplainReadinessMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Stops claims of a part of the project until ResumeWork, and tells the holders there by their heartbeats what to do.
     * Pausing the whole project with the mode CANCEL is the kill switch of a fleet. Pausing a scope again replaces its
     * mode and reason. No claim that the pause stops succeeds after the response. Logs orchestration.work.paused.
     * Errors:
     * - NOT_FOUND: the sprint or the task does not exist or is deleted.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.PauseWorkResponse> pauseWork(
        io.github.orchestrationledger.v1.PauseWorkRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getPauseWorkMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Ends a pause. Logs orchestration.work.resumed.
     * Errors:
     * - NOT_FOUND: the scope is not paused.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.ResumeWorkResponse> resumeWork(
        io.github.orchestrationledger.v1.ResumeWorkRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getResumeWorkMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Lists the pauses of the project.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.ListPausesResponse> listPauses(
        io.github.orchestrationledger.v1.ListPausesRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListPausesMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Sets how many tasks may be worked on at the same time by an agent, under a label, or with a provider. The limit is
     * exact, whatever the number of servers. Leases beyond a lowered limit stay. Logs orchestration.work.limit_changed.
     * Errors:
     * - NOT_FOUND: the limit to remove does not exist.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.SetWorkLimitResponse> setWorkLimit(
        io.github.orchestrationledger.v1.SetWorkLimitRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getSetWorkLimitMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Lists the limits of the project, with their use.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.ListWorkLimitsResponse> listWorkLimits(
        io.github.orchestrationledger.v1.ListWorkLimitsRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListWorkLimitsMethod(), getCallOptions()), request);
    }
  }

  private static final int METHODID_ADD_DEPENDENCY = 0;
  private static final int METHODID_REMOVE_DEPENDENCY = 1;
  private static final int METHODID_LIST_DEPENDENCIES = 2;
  private static final int METHODID_LIST_READY_TASKS = 3;
  private static final int METHODID_CLAIM_TASK = 4;
  private static final int METHODID_HEARTBEAT = 5;
  private static final int METHODID_RELEASE_TASK = 6;
  private static final int METHODID_PREEMPT_TASK = 7;
  private static final int METHODID_LIST_LEASES = 8;
  private static final int METHODID_LIST_ATTEMPTS = 9;
  private static final int METHODID_EXPLAIN_READINESS = 10;
  private static final int METHODID_PAUSE_WORK = 11;
  private static final int METHODID_RESUME_WORK = 12;
  private static final int METHODID_LIST_PAUSES = 13;
  private static final int METHODID_SET_WORK_LIMIT = 14;
  private static final int METHODID_LIST_WORK_LIMITS = 15;

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
        case METHODID_ADD_DEPENDENCY:
          serviceImpl.addDependency((io.github.orchestrationledger.v1.AddDependencyRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.AddDependencyResponse>) responseObserver);
          break;
        case METHODID_REMOVE_DEPENDENCY:
          serviceImpl.removeDependency((io.github.orchestrationledger.v1.RemoveDependencyRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.RemoveDependencyResponse>) responseObserver);
          break;
        case METHODID_LIST_DEPENDENCIES:
          serviceImpl.listDependencies((io.github.orchestrationledger.v1.ListDependenciesRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ListDependenciesResponse>) responseObserver);
          break;
        case METHODID_LIST_READY_TASKS:
          serviceImpl.listReadyTasks((io.github.orchestrationledger.v1.ListReadyTasksRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ListReadyTasksResponse>) responseObserver);
          break;
        case METHODID_CLAIM_TASK:
          serviceImpl.claimTask((io.github.orchestrationledger.v1.ClaimTaskRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ClaimTaskResponse>) responseObserver);
          break;
        case METHODID_HEARTBEAT:
          serviceImpl.heartbeat((io.github.orchestrationledger.v1.HeartbeatRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.HeartbeatResponse>) responseObserver);
          break;
        case METHODID_RELEASE_TASK:
          serviceImpl.releaseTask((io.github.orchestrationledger.v1.ReleaseTaskRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ReleaseTaskResponse>) responseObserver);
          break;
        case METHODID_PREEMPT_TASK:
          serviceImpl.preemptTask((io.github.orchestrationledger.v1.PreemptTaskRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.PreemptTaskResponse>) responseObserver);
          break;
        case METHODID_LIST_LEASES:
          serviceImpl.listLeases((io.github.orchestrationledger.v1.ListLeasesRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ListLeasesResponse>) responseObserver);
          break;
        case METHODID_LIST_ATTEMPTS:
          serviceImpl.listAttempts((io.github.orchestrationledger.v1.ListAttemptsRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ListAttemptsResponse>) responseObserver);
          break;
        case METHODID_EXPLAIN_READINESS:
          serviceImpl.explainReadiness((io.github.orchestrationledger.v1.ExplainReadinessRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ExplainReadinessResponse>) responseObserver);
          break;
        case METHODID_PAUSE_WORK:
          serviceImpl.pauseWork((io.github.orchestrationledger.v1.PauseWorkRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.PauseWorkResponse>) responseObserver);
          break;
        case METHODID_RESUME_WORK:
          serviceImpl.resumeWork((io.github.orchestrationledger.v1.ResumeWorkRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ResumeWorkResponse>) responseObserver);
          break;
        case METHODID_LIST_PAUSES:
          serviceImpl.listPauses((io.github.orchestrationledger.v1.ListPausesRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ListPausesResponse>) responseObserver);
          break;
        case METHODID_SET_WORK_LIMIT:
          serviceImpl.setWorkLimit((io.github.orchestrationledger.v1.SetWorkLimitRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.SetWorkLimitResponse>) responseObserver);
          break;
        case METHODID_LIST_WORK_LIMITS:
          serviceImpl.listWorkLimits((io.github.orchestrationledger.v1.ListWorkLimitsRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ListWorkLimitsResponse>) responseObserver);
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
          getAddDependencyMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.AddDependencyRequest,
              io.github.orchestrationledger.v1.AddDependencyResponse>(
                service, METHODID_ADD_DEPENDENCY)))
        .addMethod(
          getRemoveDependencyMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.RemoveDependencyRequest,
              io.github.orchestrationledger.v1.RemoveDependencyResponse>(
                service, METHODID_REMOVE_DEPENDENCY)))
        .addMethod(
          getListDependenciesMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.ListDependenciesRequest,
              io.github.orchestrationledger.v1.ListDependenciesResponse>(
                service, METHODID_LIST_DEPENDENCIES)))
        .addMethod(
          getListReadyTasksMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.ListReadyTasksRequest,
              io.github.orchestrationledger.v1.ListReadyTasksResponse>(
                service, METHODID_LIST_READY_TASKS)))
        .addMethod(
          getClaimTaskMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.ClaimTaskRequest,
              io.github.orchestrationledger.v1.ClaimTaskResponse>(
                service, METHODID_CLAIM_TASK)))
        .addMethod(
          getHeartbeatMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.HeartbeatRequest,
              io.github.orchestrationledger.v1.HeartbeatResponse>(
                service, METHODID_HEARTBEAT)))
        .addMethod(
          getReleaseTaskMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.ReleaseTaskRequest,
              io.github.orchestrationledger.v1.ReleaseTaskResponse>(
                service, METHODID_RELEASE_TASK)))
        .addMethod(
          getPreemptTaskMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.PreemptTaskRequest,
              io.github.orchestrationledger.v1.PreemptTaskResponse>(
                service, METHODID_PREEMPT_TASK)))
        .addMethod(
          getListLeasesMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.ListLeasesRequest,
              io.github.orchestrationledger.v1.ListLeasesResponse>(
                service, METHODID_LIST_LEASES)))
        .addMethod(
          getListAttemptsMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.ListAttemptsRequest,
              io.github.orchestrationledger.v1.ListAttemptsResponse>(
                service, METHODID_LIST_ATTEMPTS)))
        .addMethod(
          getExplainReadinessMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.ExplainReadinessRequest,
              io.github.orchestrationledger.v1.ExplainReadinessResponse>(
                service, METHODID_EXPLAIN_READINESS)))
        .addMethod(
          getPauseWorkMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.PauseWorkRequest,
              io.github.orchestrationledger.v1.PauseWorkResponse>(
                service, METHODID_PAUSE_WORK)))
        .addMethod(
          getResumeWorkMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.ResumeWorkRequest,
              io.github.orchestrationledger.v1.ResumeWorkResponse>(
                service, METHODID_RESUME_WORK)))
        .addMethod(
          getListPausesMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.ListPausesRequest,
              io.github.orchestrationledger.v1.ListPausesResponse>(
                service, METHODID_LIST_PAUSES)))
        .addMethod(
          getSetWorkLimitMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.SetWorkLimitRequest,
              io.github.orchestrationledger.v1.SetWorkLimitResponse>(
                service, METHODID_SET_WORK_LIMIT)))
        .addMethod(
          getListWorkLimitsMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.ListWorkLimitsRequest,
              io.github.orchestrationledger.v1.ListWorkLimitsResponse>(
                service, METHODID_LIST_WORK_LIMITS)))
        .build();
  }

  private static abstract class CoordinationServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoFileDescriptorSupplier, io.grpc.protobuf.ProtoServiceDescriptorSupplier {
    CoordinationServiceBaseDescriptorSupplier() {}

    @java.lang.Override
    public com.google.protobuf.Descriptors.FileDescriptor getFileDescriptor() {
      return io.github.orchestrationledger.v1.CoordinationProto.getDescriptor();
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.ServiceDescriptor getServiceDescriptor() {
      return getFileDescriptor().findServiceByName("CoordinationService");
    }
  }

  private static final class CoordinationServiceFileDescriptorSupplier
      extends CoordinationServiceBaseDescriptorSupplier {
    CoordinationServiceFileDescriptorSupplier() {}
  }

  private static final class CoordinationServiceMethodDescriptorSupplier
      extends CoordinationServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoMethodDescriptorSupplier {
    private final java.lang.String methodName;

    CoordinationServiceMethodDescriptorSupplier(java.lang.String methodName) {
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
      synchronized (CoordinationServiceGrpc.class) {
        result = serviceDescriptor;
        if (result == null) {
          serviceDescriptor = result = io.grpc.ServiceDescriptor.newBuilder(SERVICE_NAME)
              .setSchemaDescriptor(new CoordinationServiceFileDescriptorSupplier())
              .addMethod(getAddDependencyMethod())
              .addMethod(getRemoveDependencyMethod())
              .addMethod(getListDependenciesMethod())
              .addMethod(getListReadyTasksMethod())
              .addMethod(getClaimTaskMethod())
              .addMethod(getHeartbeatMethod())
              .addMethod(getReleaseTaskMethod())
              .addMethod(getPreemptTaskMethod())
              .addMethod(getListLeasesMethod())
              .addMethod(getListAttemptsMethod())
              .addMethod(getExplainReadinessMethod())
              .addMethod(getPauseWorkMethod())
              .addMethod(getResumeWorkMethod())
              .addMethod(getListPausesMethod())
              .addMethod(getSetWorkLimitMethod())
              .addMethod(getListWorkLimitsMethod())
              .build();
        }
      }
    }
    return result;
  }
}
