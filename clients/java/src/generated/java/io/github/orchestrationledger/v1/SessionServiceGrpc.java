package io.github.orchestrationledger.v1;

import static io.grpc.MethodDescriptor.generateFullMethodName;

/**
 * <pre>
 * Manages sessions. Each write commits the change, its events and its request_id in one transaction.
 * </pre>
 */
@io.grpc.stub.annotations.GrpcGenerated
public final class SessionServiceGrpc {

  private SessionServiceGrpc() {}

  public static final java.lang.String SERVICE_NAME = "orchestration.v1.SessionService";

  // Static method descriptors that strictly reflect the proto.
  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.InitAgentRequest,
      io.github.orchestrationledger.v1.InitAgentResponse> getInitAgentMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "InitAgent",
      requestType = io.github.orchestrationledger.v1.InitAgentRequest.class,
      responseType = io.github.orchestrationledger.v1.InitAgentResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.InitAgentRequest,
      io.github.orchestrationledger.v1.InitAgentResponse> getInitAgentMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.InitAgentRequest, io.github.orchestrationledger.v1.InitAgentResponse> getInitAgentMethod;
    if ((getInitAgentMethod = SessionServiceGrpc.getInitAgentMethod) == null) {
      synchronized (SessionServiceGrpc.class) {
        if ((getInitAgentMethod = SessionServiceGrpc.getInitAgentMethod) == null) {
          SessionServiceGrpc.getInitAgentMethod = getInitAgentMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.InitAgentRequest, io.github.orchestrationledger.v1.InitAgentResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "InitAgent"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.InitAgentRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.InitAgentResponse.getDefaultInstance()))
              .setSchemaDescriptor(new SessionServiceMethodDescriptorSupplier("InitAgent"))
              .build();
        }
      }
    }
    return getInitAgentMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.GetSessionRequest,
      io.github.orchestrationledger.v1.GetSessionResponse> getGetSessionMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "GetSession",
      requestType = io.github.orchestrationledger.v1.GetSessionRequest.class,
      responseType = io.github.orchestrationledger.v1.GetSessionResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.GetSessionRequest,
      io.github.orchestrationledger.v1.GetSessionResponse> getGetSessionMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.GetSessionRequest, io.github.orchestrationledger.v1.GetSessionResponse> getGetSessionMethod;
    if ((getGetSessionMethod = SessionServiceGrpc.getGetSessionMethod) == null) {
      synchronized (SessionServiceGrpc.class) {
        if ((getGetSessionMethod = SessionServiceGrpc.getGetSessionMethod) == null) {
          SessionServiceGrpc.getGetSessionMethod = getGetSessionMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.GetSessionRequest, io.github.orchestrationledger.v1.GetSessionResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "GetSession"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.GetSessionRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.GetSessionResponse.getDefaultInstance()))
              .setSchemaDescriptor(new SessionServiceMethodDescriptorSupplier("GetSession"))
              .build();
        }
      }
    }
    return getGetSessionMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ListSessionsRequest,
      io.github.orchestrationledger.v1.ListSessionsResponse> getListSessionsMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListSessions",
      requestType = io.github.orchestrationledger.v1.ListSessionsRequest.class,
      responseType = io.github.orchestrationledger.v1.ListSessionsResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ListSessionsRequest,
      io.github.orchestrationledger.v1.ListSessionsResponse> getListSessionsMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ListSessionsRequest, io.github.orchestrationledger.v1.ListSessionsResponse> getListSessionsMethod;
    if ((getListSessionsMethod = SessionServiceGrpc.getListSessionsMethod) == null) {
      synchronized (SessionServiceGrpc.class) {
        if ((getListSessionsMethod = SessionServiceGrpc.getListSessionsMethod) == null) {
          SessionServiceGrpc.getListSessionsMethod = getListSessionsMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.ListSessionsRequest, io.github.orchestrationledger.v1.ListSessionsResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListSessions"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.ListSessionsRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.ListSessionsResponse.getDefaultInstance()))
              .setSchemaDescriptor(new SessionServiceMethodDescriptorSupplier("ListSessions"))
              .build();
        }
      }
    }
    return getListSessionsMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.GetSessionContextRequest,
      io.github.orchestrationledger.v1.GetSessionContextResponse> getGetSessionContextMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "GetSessionContext",
      requestType = io.github.orchestrationledger.v1.GetSessionContextRequest.class,
      responseType = io.github.orchestrationledger.v1.GetSessionContextResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.GetSessionContextRequest,
      io.github.orchestrationledger.v1.GetSessionContextResponse> getGetSessionContextMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.GetSessionContextRequest, io.github.orchestrationledger.v1.GetSessionContextResponse> getGetSessionContextMethod;
    if ((getGetSessionContextMethod = SessionServiceGrpc.getGetSessionContextMethod) == null) {
      synchronized (SessionServiceGrpc.class) {
        if ((getGetSessionContextMethod = SessionServiceGrpc.getGetSessionContextMethod) == null) {
          SessionServiceGrpc.getGetSessionContextMethod = getGetSessionContextMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.GetSessionContextRequest, io.github.orchestrationledger.v1.GetSessionContextResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "GetSessionContext"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.GetSessionContextRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.GetSessionContextResponse.getDefaultInstance()))
              .setSchemaDescriptor(new SessionServiceMethodDescriptorSupplier("GetSessionContext"))
              .build();
        }
      }
    }
    return getGetSessionContextMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.LogActivityRequest,
      io.github.orchestrationledger.v1.LogActivityResponse> getLogActivityMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "LogActivity",
      requestType = io.github.orchestrationledger.v1.LogActivityRequest.class,
      responseType = io.github.orchestrationledger.v1.LogActivityResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.LogActivityRequest,
      io.github.orchestrationledger.v1.LogActivityResponse> getLogActivityMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.LogActivityRequest, io.github.orchestrationledger.v1.LogActivityResponse> getLogActivityMethod;
    if ((getLogActivityMethod = SessionServiceGrpc.getLogActivityMethod) == null) {
      synchronized (SessionServiceGrpc.class) {
        if ((getLogActivityMethod = SessionServiceGrpc.getLogActivityMethod) == null) {
          SessionServiceGrpc.getLogActivityMethod = getLogActivityMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.LogActivityRequest, io.github.orchestrationledger.v1.LogActivityResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "LogActivity"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.LogActivityRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.LogActivityResponse.getDefaultInstance()))
              .setSchemaDescriptor(new SessionServiceMethodDescriptorSupplier("LogActivity"))
              .build();
        }
      }
    }
    return getLogActivityMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.PauseSessionRequest,
      io.github.orchestrationledger.v1.PauseSessionResponse> getPauseSessionMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "PauseSession",
      requestType = io.github.orchestrationledger.v1.PauseSessionRequest.class,
      responseType = io.github.orchestrationledger.v1.PauseSessionResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.PauseSessionRequest,
      io.github.orchestrationledger.v1.PauseSessionResponse> getPauseSessionMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.PauseSessionRequest, io.github.orchestrationledger.v1.PauseSessionResponse> getPauseSessionMethod;
    if ((getPauseSessionMethod = SessionServiceGrpc.getPauseSessionMethod) == null) {
      synchronized (SessionServiceGrpc.class) {
        if ((getPauseSessionMethod = SessionServiceGrpc.getPauseSessionMethod) == null) {
          SessionServiceGrpc.getPauseSessionMethod = getPauseSessionMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.PauseSessionRequest, io.github.orchestrationledger.v1.PauseSessionResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "PauseSession"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.PauseSessionRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.PauseSessionResponse.getDefaultInstance()))
              .setSchemaDescriptor(new SessionServiceMethodDescriptorSupplier("PauseSession"))
              .build();
        }
      }
    }
    return getPauseSessionMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.CloseSessionRequest,
      io.github.orchestrationledger.v1.CloseSessionResponse> getCloseSessionMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "CloseSession",
      requestType = io.github.orchestrationledger.v1.CloseSessionRequest.class,
      responseType = io.github.orchestrationledger.v1.CloseSessionResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.CloseSessionRequest,
      io.github.orchestrationledger.v1.CloseSessionResponse> getCloseSessionMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.CloseSessionRequest, io.github.orchestrationledger.v1.CloseSessionResponse> getCloseSessionMethod;
    if ((getCloseSessionMethod = SessionServiceGrpc.getCloseSessionMethod) == null) {
      synchronized (SessionServiceGrpc.class) {
        if ((getCloseSessionMethod = SessionServiceGrpc.getCloseSessionMethod) == null) {
          SessionServiceGrpc.getCloseSessionMethod = getCloseSessionMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.CloseSessionRequest, io.github.orchestrationledger.v1.CloseSessionResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "CloseSession"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.CloseSessionRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.CloseSessionResponse.getDefaultInstance()))
              .setSchemaDescriptor(new SessionServiceMethodDescriptorSupplier("CloseSession"))
              .build();
        }
      }
    }
    return getCloseSessionMethod;
  }

  /**
   * Creates a new async stub that supports all call types for the service
   */
  public static SessionServiceStub newStub(io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<SessionServiceStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<SessionServiceStub>() {
        @java.lang.Override
        public SessionServiceStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new SessionServiceStub(channel, callOptions);
        }
      };
    return SessionServiceStub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports all types of calls on the service
   */
  public static SessionServiceBlockingV2Stub newBlockingV2Stub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<SessionServiceBlockingV2Stub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<SessionServiceBlockingV2Stub>() {
        @java.lang.Override
        public SessionServiceBlockingV2Stub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new SessionServiceBlockingV2Stub(channel, callOptions);
        }
      };
    return SessionServiceBlockingV2Stub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports unary and streaming output calls on the service
   */
  public static SessionServiceBlockingStub newBlockingStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<SessionServiceBlockingStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<SessionServiceBlockingStub>() {
        @java.lang.Override
        public SessionServiceBlockingStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new SessionServiceBlockingStub(channel, callOptions);
        }
      };
    return SessionServiceBlockingStub.newStub(factory, channel);
  }

  /**
   * Creates a new ListenableFuture-style stub that supports unary calls on the service
   */
  public static SessionServiceFutureStub newFutureStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<SessionServiceFutureStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<SessionServiceFutureStub>() {
        @java.lang.Override
        public SessionServiceFutureStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new SessionServiceFutureStub(channel, callOptions);
        }
      };
    return SessionServiceFutureStub.newStub(factory, channel);
  }

  /**
   * <pre>
   * Manages sessions. Each write commits the change, its events and its request_id in one transaction.
   * </pre>
   */
  public interface AsyncService {

    /**
     * <pre>
     * Starts or resumes a session on a task or sprint, and returns the context that the agent needs to begin.
     * If the agent has open sessions on the target, the newest one is resumed, unless force_new is set. A session that
     * is named by its key is resumed by any agent and becomes a session of that agent. The event is
     * "orchestration.session.started" or "orchestration.session.resumed". A retry returns the same session with its
     * current context.
     * Errors:
     * - NOT_FOUND: the task, sprint or session does not exist.
     * - FAILED_PRECONDITION, reason SESSION_CLOSED: the session is completed.
     * - ALREADY_EXISTS: new_session_key is or was in use in the project.
     * - INVALID_ARGUMENT: neither the request nor the call metadata names the agent.
     * </pre>
     */
    default void initAgent(io.github.orchestrationledger.v1.InitAgentRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.InitAgentResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getInitAgentMethod(), responseObserver);
    }

    /**
     * <pre>
     * Returns a session.
     * Errors:
     * - NOT_FOUND: the session does not exist.
     * </pre>
     */
    default void getSession(io.github.orchestrationledger.v1.GetSessionRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.GetSessionResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getGetSessionMethod(), responseObserver);
    }

    /**
     * <pre>
     * Lists the sessions of the project, newest first.
     * </pre>
     */
    default void listSessions(io.github.orchestrationledger.v1.ListSessionsRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ListSessionsResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListSessionsMethod(), responseObserver);
    }

    /**
     * <pre>
     * Returns the context of a session, open or completed, as ContextService.AssembleContext does.
     * </pre>
     */
    default void getSessionContext(io.github.orchestrationledger.v1.GetSessionContextRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.GetSessionContextResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getGetSessionContextMethod(), responseObserver);
    }

    /**
     * <pre>
     * Logs what an agent did, as the event "orchestration.activity.logged" about the session's target.
     * Errors:
     * - NOT_FOUND: the session does not exist.
     * - FAILED_PRECONDITION, reason SESSION_CLOSED: the session is completed.
     * </pre>
     */
    default void logActivity(io.github.orchestrationledger.v1.LogActivityRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.LogActivityResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getLogActivityMethod(), responseObserver);
    }

    /**
     * <pre>
     * Pauses a session, with the event "orchestration.session.paused". Pausing a paused session changes nothing. The
     * errors are those of LogActivity.
     * </pre>
     */
    default void pauseSession(io.github.orchestrationledger.v1.PauseSessionRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.PauseSessionResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getPauseSessionMethod(), responseObserver);
    }

    /**
     * <pre>
     * Closes a session, with the event "orchestration.session.closed". A closed session cannot be resumed. The errors
     * are those of LogActivity.
     * </pre>
     */
    default void closeSession(io.github.orchestrationledger.v1.CloseSessionRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.CloseSessionResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getCloseSessionMethod(), responseObserver);
    }
  }

  /**
   * Base class for the server implementation of the service SessionService.
   * <pre>
   * Manages sessions. Each write commits the change, its events and its request_id in one transaction.
   * </pre>
   */
  public static abstract class SessionServiceImplBase
      implements io.grpc.BindableService, AsyncService {

    @java.lang.Override public final io.grpc.ServerServiceDefinition bindService() {
      return SessionServiceGrpc.bindService(this);
    }
  }

  /**
   * A stub to allow clients to do asynchronous rpc calls to service SessionService.
   * <pre>
   * Manages sessions. Each write commits the change, its events and its request_id in one transaction.
   * </pre>
   */
  public static final class SessionServiceStub
      extends io.grpc.stub.AbstractAsyncStub<SessionServiceStub> {
    private SessionServiceStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected SessionServiceStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new SessionServiceStub(channel, callOptions);
    }

    /**
     * <pre>
     * Starts or resumes a session on a task or sprint, and returns the context that the agent needs to begin.
     * If the agent has open sessions on the target, the newest one is resumed, unless force_new is set. A session that
     * is named by its key is resumed by any agent and becomes a session of that agent. The event is
     * "orchestration.session.started" or "orchestration.session.resumed". A retry returns the same session with its
     * current context.
     * Errors:
     * - NOT_FOUND: the task, sprint or session does not exist.
     * - FAILED_PRECONDITION, reason SESSION_CLOSED: the session is completed.
     * - ALREADY_EXISTS: new_session_key is or was in use in the project.
     * - INVALID_ARGUMENT: neither the request nor the call metadata names the agent.
     * </pre>
     */
    public void initAgent(io.github.orchestrationledger.v1.InitAgentRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.InitAgentResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getInitAgentMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Returns a session.
     * Errors:
     * - NOT_FOUND: the session does not exist.
     * </pre>
     */
    public void getSession(io.github.orchestrationledger.v1.GetSessionRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.GetSessionResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getGetSessionMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Lists the sessions of the project, newest first.
     * </pre>
     */
    public void listSessions(io.github.orchestrationledger.v1.ListSessionsRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ListSessionsResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListSessionsMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Returns the context of a session, open or completed, as ContextService.AssembleContext does.
     * </pre>
     */
    public void getSessionContext(io.github.orchestrationledger.v1.GetSessionContextRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.GetSessionContextResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getGetSessionContextMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Logs what an agent did, as the event "orchestration.activity.logged" about the session's target.
     * Errors:
     * - NOT_FOUND: the session does not exist.
     * - FAILED_PRECONDITION, reason SESSION_CLOSED: the session is completed.
     * </pre>
     */
    public void logActivity(io.github.orchestrationledger.v1.LogActivityRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.LogActivityResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getLogActivityMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Pauses a session, with the event "orchestration.session.paused". Pausing a paused session changes nothing. The
     * errors are those of LogActivity.
     * </pre>
     */
    public void pauseSession(io.github.orchestrationledger.v1.PauseSessionRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.PauseSessionResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getPauseSessionMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Closes a session, with the event "orchestration.session.closed". A closed session cannot be resumed. The errors
     * are those of LogActivity.
     * </pre>
     */
    public void closeSession(io.github.orchestrationledger.v1.CloseSessionRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.CloseSessionResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getCloseSessionMethod(), getCallOptions()), request, responseObserver);
    }
  }

  /**
   * A stub to allow clients to do synchronous rpc calls to service SessionService.
   * <pre>
   * Manages sessions. Each write commits the change, its events and its request_id in one transaction.
   * </pre>
   */
  public static final class SessionServiceBlockingV2Stub
      extends io.grpc.stub.AbstractBlockingStub<SessionServiceBlockingV2Stub> {
    private SessionServiceBlockingV2Stub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected SessionServiceBlockingV2Stub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new SessionServiceBlockingV2Stub(channel, callOptions);
    }

    /**
     * <pre>
     * Starts or resumes a session on a task or sprint, and returns the context that the agent needs to begin.
     * If the agent has open sessions on the target, the newest one is resumed, unless force_new is set. A session that
     * is named by its key is resumed by any agent and becomes a session of that agent. The event is
     * "orchestration.session.started" or "orchestration.session.resumed". A retry returns the same session with its
     * current context.
     * Errors:
     * - NOT_FOUND: the task, sprint or session does not exist.
     * - FAILED_PRECONDITION, reason SESSION_CLOSED: the session is completed.
     * - ALREADY_EXISTS: new_session_key is or was in use in the project.
     * - INVALID_ARGUMENT: neither the request nor the call metadata names the agent.
     * </pre>
     */
    public io.github.orchestrationledger.v1.InitAgentResponse initAgent(io.github.orchestrationledger.v1.InitAgentRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getInitAgentMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Returns a session.
     * Errors:
     * - NOT_FOUND: the session does not exist.
     * </pre>
     */
    public io.github.orchestrationledger.v1.GetSessionResponse getSession(io.github.orchestrationledger.v1.GetSessionRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getGetSessionMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Lists the sessions of the project, newest first.
     * </pre>
     */
    public io.github.orchestrationledger.v1.ListSessionsResponse listSessions(io.github.orchestrationledger.v1.ListSessionsRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListSessionsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Returns the context of a session, open or completed, as ContextService.AssembleContext does.
     * </pre>
     */
    public io.github.orchestrationledger.v1.GetSessionContextResponse getSessionContext(io.github.orchestrationledger.v1.GetSessionContextRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getGetSessionContextMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Logs what an agent did, as the event "orchestration.activity.logged" about the session's target.
     * Errors:
     * - NOT_FOUND: the session does not exist.
     * - FAILED_PRECONDITION, reason SESSION_CLOSED: the session is completed.
     * </pre>
     */
    public io.github.orchestrationledger.v1.LogActivityResponse logActivity(io.github.orchestrationledger.v1.LogActivityRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getLogActivityMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Pauses a session, with the event "orchestration.session.paused". Pausing a paused session changes nothing. The
     * errors are those of LogActivity.
     * </pre>
     */
    public io.github.orchestrationledger.v1.PauseSessionResponse pauseSession(io.github.orchestrationledger.v1.PauseSessionRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getPauseSessionMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Closes a session, with the event "orchestration.session.closed". A closed session cannot be resumed. The errors
     * are those of LogActivity.
     * </pre>
     */
    public io.github.orchestrationledger.v1.CloseSessionResponse closeSession(io.github.orchestrationledger.v1.CloseSessionRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getCloseSessionMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do limited synchronous rpc calls to service SessionService.
   * <pre>
   * Manages sessions. Each write commits the change, its events and its request_id in one transaction.
   * </pre>
   */
  public static final class SessionServiceBlockingStub
      extends io.grpc.stub.AbstractBlockingStub<SessionServiceBlockingStub> {
    private SessionServiceBlockingStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected SessionServiceBlockingStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new SessionServiceBlockingStub(channel, callOptions);
    }

    /**
     * <pre>
     * Starts or resumes a session on a task or sprint, and returns the context that the agent needs to begin.
     * If the agent has open sessions on the target, the newest one is resumed, unless force_new is set. A session that
     * is named by its key is resumed by any agent and becomes a session of that agent. The event is
     * "orchestration.session.started" or "orchestration.session.resumed". A retry returns the same session with its
     * current context.
     * Errors:
     * - NOT_FOUND: the task, sprint or session does not exist.
     * - FAILED_PRECONDITION, reason SESSION_CLOSED: the session is completed.
     * - ALREADY_EXISTS: new_session_key is or was in use in the project.
     * - INVALID_ARGUMENT: neither the request nor the call metadata names the agent.
     * </pre>
     */
    public io.github.orchestrationledger.v1.InitAgentResponse initAgent(io.github.orchestrationledger.v1.InitAgentRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getInitAgentMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Returns a session.
     * Errors:
     * - NOT_FOUND: the session does not exist.
     * </pre>
     */
    public io.github.orchestrationledger.v1.GetSessionResponse getSession(io.github.orchestrationledger.v1.GetSessionRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getGetSessionMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Lists the sessions of the project, newest first.
     * </pre>
     */
    public io.github.orchestrationledger.v1.ListSessionsResponse listSessions(io.github.orchestrationledger.v1.ListSessionsRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListSessionsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Returns the context of a session, open or completed, as ContextService.AssembleContext does.
     * </pre>
     */
    public io.github.orchestrationledger.v1.GetSessionContextResponse getSessionContext(io.github.orchestrationledger.v1.GetSessionContextRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getGetSessionContextMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Logs what an agent did, as the event "orchestration.activity.logged" about the session's target.
     * Errors:
     * - NOT_FOUND: the session does not exist.
     * - FAILED_PRECONDITION, reason SESSION_CLOSED: the session is completed.
     * </pre>
     */
    public io.github.orchestrationledger.v1.LogActivityResponse logActivity(io.github.orchestrationledger.v1.LogActivityRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getLogActivityMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Pauses a session, with the event "orchestration.session.paused". Pausing a paused session changes nothing. The
     * errors are those of LogActivity.
     * </pre>
     */
    public io.github.orchestrationledger.v1.PauseSessionResponse pauseSession(io.github.orchestrationledger.v1.PauseSessionRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getPauseSessionMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Closes a session, with the event "orchestration.session.closed". A closed session cannot be resumed. The errors
     * are those of LogActivity.
     * </pre>
     */
    public io.github.orchestrationledger.v1.CloseSessionResponse closeSession(io.github.orchestrationledger.v1.CloseSessionRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getCloseSessionMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do ListenableFuture-style rpc calls to service SessionService.
   * <pre>
   * Manages sessions. Each write commits the change, its events and its request_id in one transaction.
   * </pre>
   */
  public static final class SessionServiceFutureStub
      extends io.grpc.stub.AbstractFutureStub<SessionServiceFutureStub> {
    private SessionServiceFutureStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected SessionServiceFutureStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new SessionServiceFutureStub(channel, callOptions);
    }

    /**
     * <pre>
     * Starts or resumes a session on a task or sprint, and returns the context that the agent needs to begin.
     * If the agent has open sessions on the target, the newest one is resumed, unless force_new is set. A session that
     * is named by its key is resumed by any agent and becomes a session of that agent. The event is
     * "orchestration.session.started" or "orchestration.session.resumed". A retry returns the same session with its
     * current context.
     * Errors:
     * - NOT_FOUND: the task, sprint or session does not exist.
     * - FAILED_PRECONDITION, reason SESSION_CLOSED: the session is completed.
     * - ALREADY_EXISTS: new_session_key is or was in use in the project.
     * - INVALID_ARGUMENT: neither the request nor the call metadata names the agent.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.InitAgentResponse> initAgent(
        io.github.orchestrationledger.v1.InitAgentRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getInitAgentMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Returns a session.
     * Errors:
     * - NOT_FOUND: the session does not exist.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.GetSessionResponse> getSession(
        io.github.orchestrationledger.v1.GetSessionRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getGetSessionMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Lists the sessions of the project, newest first.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.ListSessionsResponse> listSessions(
        io.github.orchestrationledger.v1.ListSessionsRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListSessionsMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Returns the context of a session, open or completed, as ContextService.AssembleContext does.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.GetSessionContextResponse> getSessionContext(
        io.github.orchestrationledger.v1.GetSessionContextRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getGetSessionContextMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Logs what an agent did, as the event "orchestration.activity.logged" about the session's target.
     * Errors:
     * - NOT_FOUND: the session does not exist.
     * - FAILED_PRECONDITION, reason SESSION_CLOSED: the session is completed.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.LogActivityResponse> logActivity(
        io.github.orchestrationledger.v1.LogActivityRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getLogActivityMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Pauses a session, with the event "orchestration.session.paused". Pausing a paused session changes nothing. The
     * errors are those of LogActivity.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.PauseSessionResponse> pauseSession(
        io.github.orchestrationledger.v1.PauseSessionRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getPauseSessionMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Closes a session, with the event "orchestration.session.closed". A closed session cannot be resumed. The errors
     * are those of LogActivity.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.CloseSessionResponse> closeSession(
        io.github.orchestrationledger.v1.CloseSessionRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getCloseSessionMethod(), getCallOptions()), request);
    }
  }

  private static final int METHODID_INIT_AGENT = 0;
  private static final int METHODID_GET_SESSION = 1;
  private static final int METHODID_LIST_SESSIONS = 2;
  private static final int METHODID_GET_SESSION_CONTEXT = 3;
  private static final int METHODID_LOG_ACTIVITY = 4;
  private static final int METHODID_PAUSE_SESSION = 5;
  private static final int METHODID_CLOSE_SESSION = 6;

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
        case METHODID_INIT_AGENT:
          serviceImpl.initAgent((io.github.orchestrationledger.v1.InitAgentRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.InitAgentResponse>) responseObserver);
          break;
        case METHODID_GET_SESSION:
          serviceImpl.getSession((io.github.orchestrationledger.v1.GetSessionRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.GetSessionResponse>) responseObserver);
          break;
        case METHODID_LIST_SESSIONS:
          serviceImpl.listSessions((io.github.orchestrationledger.v1.ListSessionsRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ListSessionsResponse>) responseObserver);
          break;
        case METHODID_GET_SESSION_CONTEXT:
          serviceImpl.getSessionContext((io.github.orchestrationledger.v1.GetSessionContextRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.GetSessionContextResponse>) responseObserver);
          break;
        case METHODID_LOG_ACTIVITY:
          serviceImpl.logActivity((io.github.orchestrationledger.v1.LogActivityRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.LogActivityResponse>) responseObserver);
          break;
        case METHODID_PAUSE_SESSION:
          serviceImpl.pauseSession((io.github.orchestrationledger.v1.PauseSessionRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.PauseSessionResponse>) responseObserver);
          break;
        case METHODID_CLOSE_SESSION:
          serviceImpl.closeSession((io.github.orchestrationledger.v1.CloseSessionRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.CloseSessionResponse>) responseObserver);
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
          getInitAgentMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.InitAgentRequest,
              io.github.orchestrationledger.v1.InitAgentResponse>(
                service, METHODID_INIT_AGENT)))
        .addMethod(
          getGetSessionMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.GetSessionRequest,
              io.github.orchestrationledger.v1.GetSessionResponse>(
                service, METHODID_GET_SESSION)))
        .addMethod(
          getListSessionsMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.ListSessionsRequest,
              io.github.orchestrationledger.v1.ListSessionsResponse>(
                service, METHODID_LIST_SESSIONS)))
        .addMethod(
          getGetSessionContextMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.GetSessionContextRequest,
              io.github.orchestrationledger.v1.GetSessionContextResponse>(
                service, METHODID_GET_SESSION_CONTEXT)))
        .addMethod(
          getLogActivityMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.LogActivityRequest,
              io.github.orchestrationledger.v1.LogActivityResponse>(
                service, METHODID_LOG_ACTIVITY)))
        .addMethod(
          getPauseSessionMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.PauseSessionRequest,
              io.github.orchestrationledger.v1.PauseSessionResponse>(
                service, METHODID_PAUSE_SESSION)))
        .addMethod(
          getCloseSessionMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.CloseSessionRequest,
              io.github.orchestrationledger.v1.CloseSessionResponse>(
                service, METHODID_CLOSE_SESSION)))
        .build();
  }

  private static abstract class SessionServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoFileDescriptorSupplier, io.grpc.protobuf.ProtoServiceDescriptorSupplier {
    SessionServiceBaseDescriptorSupplier() {}

    @java.lang.Override
    public com.google.protobuf.Descriptors.FileDescriptor getFileDescriptor() {
      return io.github.orchestrationledger.v1.SessionProto.getDescriptor();
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.ServiceDescriptor getServiceDescriptor() {
      return getFileDescriptor().findServiceByName("SessionService");
    }
  }

  private static final class SessionServiceFileDescriptorSupplier
      extends SessionServiceBaseDescriptorSupplier {
    SessionServiceFileDescriptorSupplier() {}
  }

  private static final class SessionServiceMethodDescriptorSupplier
      extends SessionServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoMethodDescriptorSupplier {
    private final java.lang.String methodName;

    SessionServiceMethodDescriptorSupplier(java.lang.String methodName) {
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
      synchronized (SessionServiceGrpc.class) {
        result = serviceDescriptor;
        if (result == null) {
          serviceDescriptor = result = io.grpc.ServiceDescriptor.newBuilder(SERVICE_NAME)
              .setSchemaDescriptor(new SessionServiceFileDescriptorSupplier())
              .addMethod(getInitAgentMethod())
              .addMethod(getGetSessionMethod())
              .addMethod(getListSessionsMethod())
              .addMethod(getGetSessionContextMethod())
              .addMethod(getLogActivityMethod())
              .addMethod(getPauseSessionMethod())
              .addMethod(getCloseSessionMethod())
              .build();
        }
      }
    }
    return result;
  }
}
