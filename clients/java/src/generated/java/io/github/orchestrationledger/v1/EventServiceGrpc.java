package io.github.orchestrationledger.v1;

import static io.grpc.MethodDescriptor.generateFullMethodName;

/**
 * <pre>
 * Manages the event log. The server writes the ledger's own events (types under "orchestration.") in the transaction
 * of the change that they describe. Callers can add events of their own.
 * </pre>
 */
@io.grpc.stub.annotations.GrpcGenerated
public final class EventServiceGrpc {

  private EventServiceGrpc() {}

  public static final java.lang.String SERVICE_NAME = "orchestration.v1.EventService";

  // Static method descriptors that strictly reflect the proto.
  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.EmitEventRequest,
      io.github.orchestrationledger.v1.EmitEventResponse> getEmitEventMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "EmitEvent",
      requestType = io.github.orchestrationledger.v1.EmitEventRequest.class,
      responseType = io.github.orchestrationledger.v1.EmitEventResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.EmitEventRequest,
      io.github.orchestrationledger.v1.EmitEventResponse> getEmitEventMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.EmitEventRequest, io.github.orchestrationledger.v1.EmitEventResponse> getEmitEventMethod;
    if ((getEmitEventMethod = EventServiceGrpc.getEmitEventMethod) == null) {
      synchronized (EventServiceGrpc.class) {
        if ((getEmitEventMethod = EventServiceGrpc.getEmitEventMethod) == null) {
          EventServiceGrpc.getEmitEventMethod = getEmitEventMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.EmitEventRequest, io.github.orchestrationledger.v1.EmitEventResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "EmitEvent"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.EmitEventRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.EmitEventResponse.getDefaultInstance()))
              .setSchemaDescriptor(new EventServiceMethodDescriptorSupplier("EmitEvent"))
              .build();
        }
      }
    }
    return getEmitEventMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.EmitEventsRequest,
      io.github.orchestrationledger.v1.EmitEventsResponse> getEmitEventsMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "EmitEvents",
      requestType = io.github.orchestrationledger.v1.EmitEventsRequest.class,
      responseType = io.github.orchestrationledger.v1.EmitEventsResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.BIDI_STREAMING)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.EmitEventsRequest,
      io.github.orchestrationledger.v1.EmitEventsResponse> getEmitEventsMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.EmitEventsRequest, io.github.orchestrationledger.v1.EmitEventsResponse> getEmitEventsMethod;
    if ((getEmitEventsMethod = EventServiceGrpc.getEmitEventsMethod) == null) {
      synchronized (EventServiceGrpc.class) {
        if ((getEmitEventsMethod = EventServiceGrpc.getEmitEventsMethod) == null) {
          EventServiceGrpc.getEmitEventsMethod = getEmitEventsMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.EmitEventsRequest, io.github.orchestrationledger.v1.EmitEventsResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.BIDI_STREAMING)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "EmitEvents"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.EmitEventsRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.EmitEventsResponse.getDefaultInstance()))
              .setSchemaDescriptor(new EventServiceMethodDescriptorSupplier("EmitEvents"))
              .build();
        }
      }
    }
    return getEmitEventsMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.GetEventRequest,
      io.github.orchestrationledger.v1.GetEventResponse> getGetEventMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "GetEvent",
      requestType = io.github.orchestrationledger.v1.GetEventRequest.class,
      responseType = io.github.orchestrationledger.v1.GetEventResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.GetEventRequest,
      io.github.orchestrationledger.v1.GetEventResponse> getGetEventMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.GetEventRequest, io.github.orchestrationledger.v1.GetEventResponse> getGetEventMethod;
    if ((getGetEventMethod = EventServiceGrpc.getGetEventMethod) == null) {
      synchronized (EventServiceGrpc.class) {
        if ((getGetEventMethod = EventServiceGrpc.getGetEventMethod) == null) {
          EventServiceGrpc.getGetEventMethod = getGetEventMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.GetEventRequest, io.github.orchestrationledger.v1.GetEventResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "GetEvent"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.GetEventRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.GetEventResponse.getDefaultInstance()))
              .setSchemaDescriptor(new EventServiceMethodDescriptorSupplier("GetEvent"))
              .build();
        }
      }
    }
    return getGetEventMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ListEventsRequest,
      io.github.orchestrationledger.v1.ListEventsResponse> getListEventsMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListEvents",
      requestType = io.github.orchestrationledger.v1.ListEventsRequest.class,
      responseType = io.github.orchestrationledger.v1.ListEventsResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ListEventsRequest,
      io.github.orchestrationledger.v1.ListEventsResponse> getListEventsMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ListEventsRequest, io.github.orchestrationledger.v1.ListEventsResponse> getListEventsMethod;
    if ((getListEventsMethod = EventServiceGrpc.getListEventsMethod) == null) {
      synchronized (EventServiceGrpc.class) {
        if ((getListEventsMethod = EventServiceGrpc.getListEventsMethod) == null) {
          EventServiceGrpc.getListEventsMethod = getListEventsMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.ListEventsRequest, io.github.orchestrationledger.v1.ListEventsResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListEvents"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.ListEventsRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.ListEventsResponse.getDefaultInstance()))
              .setSchemaDescriptor(new EventServiceMethodDescriptorSupplier("ListEvents"))
              .build();
        }
      }
    }
    return getListEventsMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.StreamTimelineRequest,
      io.github.orchestrationledger.v1.StreamTimelineResponse> getStreamTimelineMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "StreamTimeline",
      requestType = io.github.orchestrationledger.v1.StreamTimelineRequest.class,
      responseType = io.github.orchestrationledger.v1.StreamTimelineResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.StreamTimelineRequest,
      io.github.orchestrationledger.v1.StreamTimelineResponse> getStreamTimelineMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.StreamTimelineRequest, io.github.orchestrationledger.v1.StreamTimelineResponse> getStreamTimelineMethod;
    if ((getStreamTimelineMethod = EventServiceGrpc.getStreamTimelineMethod) == null) {
      synchronized (EventServiceGrpc.class) {
        if ((getStreamTimelineMethod = EventServiceGrpc.getStreamTimelineMethod) == null) {
          EventServiceGrpc.getStreamTimelineMethod = getStreamTimelineMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.StreamTimelineRequest, io.github.orchestrationledger.v1.StreamTimelineResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "StreamTimeline"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.StreamTimelineRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.StreamTimelineResponse.getDefaultInstance()))
              .setSchemaDescriptor(new EventServiceMethodDescriptorSupplier("StreamTimeline"))
              .build();
        }
      }
    }
    return getStreamTimelineMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.GetEventStatsRequest,
      io.github.orchestrationledger.v1.GetEventStatsResponse> getGetEventStatsMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "GetEventStats",
      requestType = io.github.orchestrationledger.v1.GetEventStatsRequest.class,
      responseType = io.github.orchestrationledger.v1.GetEventStatsResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.GetEventStatsRequest,
      io.github.orchestrationledger.v1.GetEventStatsResponse> getGetEventStatsMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.GetEventStatsRequest, io.github.orchestrationledger.v1.GetEventStatsResponse> getGetEventStatsMethod;
    if ((getGetEventStatsMethod = EventServiceGrpc.getGetEventStatsMethod) == null) {
      synchronized (EventServiceGrpc.class) {
        if ((getGetEventStatsMethod = EventServiceGrpc.getGetEventStatsMethod) == null) {
          EventServiceGrpc.getGetEventStatsMethod = getGetEventStatsMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.GetEventStatsRequest, io.github.orchestrationledger.v1.GetEventStatsResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "GetEventStats"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.GetEventStatsRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.GetEventStatsResponse.getDefaultInstance()))
              .setSchemaDescriptor(new EventServiceMethodDescriptorSupplier("GetEventStats"))
              .build();
        }
      }
    }
    return getGetEventStatsMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.GetEntityHistoryRequest,
      io.github.orchestrationledger.v1.GetEntityHistoryResponse> getGetEntityHistoryMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "GetEntityHistory",
      requestType = io.github.orchestrationledger.v1.GetEntityHistoryRequest.class,
      responseType = io.github.orchestrationledger.v1.GetEntityHistoryResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.GetEntityHistoryRequest,
      io.github.orchestrationledger.v1.GetEntityHistoryResponse> getGetEntityHistoryMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.GetEntityHistoryRequest, io.github.orchestrationledger.v1.GetEntityHistoryResponse> getGetEntityHistoryMethod;
    if ((getGetEntityHistoryMethod = EventServiceGrpc.getGetEntityHistoryMethod) == null) {
      synchronized (EventServiceGrpc.class) {
        if ((getGetEntityHistoryMethod = EventServiceGrpc.getGetEntityHistoryMethod) == null) {
          EventServiceGrpc.getGetEntityHistoryMethod = getGetEntityHistoryMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.GetEntityHistoryRequest, io.github.orchestrationledger.v1.GetEntityHistoryResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "GetEntityHistory"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.GetEntityHistoryRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.GetEntityHistoryResponse.getDefaultInstance()))
              .setSchemaDescriptor(new EventServiceMethodDescriptorSupplier("GetEntityHistory"))
              .build();
        }
      }
    }
    return getGetEntityHistoryMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ReconstructStateRequest,
      io.github.orchestrationledger.v1.ReconstructStateResponse> getReconstructStateMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ReconstructState",
      requestType = io.github.orchestrationledger.v1.ReconstructStateRequest.class,
      responseType = io.github.orchestrationledger.v1.ReconstructStateResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ReconstructStateRequest,
      io.github.orchestrationledger.v1.ReconstructStateResponse> getReconstructStateMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ReconstructStateRequest, io.github.orchestrationledger.v1.ReconstructStateResponse> getReconstructStateMethod;
    if ((getReconstructStateMethod = EventServiceGrpc.getReconstructStateMethod) == null) {
      synchronized (EventServiceGrpc.class) {
        if ((getReconstructStateMethod = EventServiceGrpc.getReconstructStateMethod) == null) {
          EventServiceGrpc.getReconstructStateMethod = getReconstructStateMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.ReconstructStateRequest, io.github.orchestrationledger.v1.ReconstructStateResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ReconstructState"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.ReconstructStateRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.ReconstructStateResponse.getDefaultInstance()))
              .setSchemaDescriptor(new EventServiceMethodDescriptorSupplier("ReconstructState"))
              .build();
        }
      }
    }
    return getReconstructStateMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ReplayEventsRequest,
      io.github.orchestrationledger.v1.ReplayEventsResponse> getReplayEventsMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ReplayEvents",
      requestType = io.github.orchestrationledger.v1.ReplayEventsRequest.class,
      responseType = io.github.orchestrationledger.v1.ReplayEventsResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ReplayEventsRequest,
      io.github.orchestrationledger.v1.ReplayEventsResponse> getReplayEventsMethod() {
    io.grpc.MethodDescriptor<io.github.orchestrationledger.v1.ReplayEventsRequest, io.github.orchestrationledger.v1.ReplayEventsResponse> getReplayEventsMethod;
    if ((getReplayEventsMethod = EventServiceGrpc.getReplayEventsMethod) == null) {
      synchronized (EventServiceGrpc.class) {
        if ((getReplayEventsMethod = EventServiceGrpc.getReplayEventsMethod) == null) {
          EventServiceGrpc.getReplayEventsMethod = getReplayEventsMethod =
              io.grpc.MethodDescriptor.<io.github.orchestrationledger.v1.ReplayEventsRequest, io.github.orchestrationledger.v1.ReplayEventsResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ReplayEvents"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.ReplayEventsRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.orchestrationledger.v1.ReplayEventsResponse.getDefaultInstance()))
              .setSchemaDescriptor(new EventServiceMethodDescriptorSupplier("ReplayEvents"))
              .build();
        }
      }
    }
    return getReplayEventsMethod;
  }

  /**
   * Creates a new async stub that supports all call types for the service
   */
  public static EventServiceStub newStub(io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<EventServiceStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<EventServiceStub>() {
        @java.lang.Override
        public EventServiceStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new EventServiceStub(channel, callOptions);
        }
      };
    return EventServiceStub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports all types of calls on the service
   */
  public static EventServiceBlockingV2Stub newBlockingV2Stub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<EventServiceBlockingV2Stub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<EventServiceBlockingV2Stub>() {
        @java.lang.Override
        public EventServiceBlockingV2Stub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new EventServiceBlockingV2Stub(channel, callOptions);
        }
      };
    return EventServiceBlockingV2Stub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports unary and streaming output calls on the service
   */
  public static EventServiceBlockingStub newBlockingStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<EventServiceBlockingStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<EventServiceBlockingStub>() {
        @java.lang.Override
        public EventServiceBlockingStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new EventServiceBlockingStub(channel, callOptions);
        }
      };
    return EventServiceBlockingStub.newStub(factory, channel);
  }

  /**
   * Creates a new ListenableFuture-style stub that supports unary calls on the service
   */
  public static EventServiceFutureStub newFutureStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<EventServiceFutureStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<EventServiceFutureStub>() {
        @java.lang.Override
        public EventServiceFutureStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new EventServiceFutureStub(channel, callOptions);
        }
      };
    return EventServiceFutureStub.newStub(factory, channel);
  }

  /**
   * <pre>
   * Manages the event log. The server writes the ledger's own events (types under "orchestration.") in the transaction
   * of the change that they describe. Callers can add events of their own.
   * </pre>
   */
  public interface AsyncService {

    /**
     * <pre>
     * Stores one event of the caller and responds after its commit. If its dedup_key exists already, returns the
     * existing event.
     * </pre>
     */
    default void emitEvent(io.github.orchestrationledger.v1.EmitEventRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.EmitEventResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getEmitEventMethod(), responseObserver);
    }

    /**
     * <pre>
     * Stores events of the caller in messages of up to 500. The server responds to each message after its commit, in
     * order. A message that fails does not end the stream: its response carries the error.
     * </pre>
     */
    default io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.EmitEventsRequest> emitEvents(
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.EmitEventsResponse> responseObserver) {
      return io.grpc.stub.ServerCalls.asyncUnimplementedStreamingCall(getEmitEventsMethod(), responseObserver);
    }

    /**
     * <pre>
     * Returns an event.
     * Errors:
     * - NOT_FOUND: the event does not exist, or it is archived and include_archived is not set.
     * </pre>
     */
    default void getEvent(io.github.orchestrationledger.v1.GetEventRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.GetEventResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getGetEventMethod(), responseObserver);
    }

    /**
     * <pre>
     * Lists events by occur_time, newest first by default. All pages show the log as it was when the first page was
     * read. To receive later events, start StreamTimeline at the cursor of any of these events.
     * </pre>
     */
    default void listEvents(io.github.orchestrationledger.v1.ListEventsRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ListEventsResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListEventsMethod(), responseObserver);
    }

    /**
     * <pre>
     * Streams events in the order of the log: the history and then, with follow, live events. From any cursor the
     * stream sends each event exactly once, across reconnects, restarts and servers. Events of one entity come in the
     * order of its revisions.
     * Errors:
     * - FAILED_PRECONDITION, reason CURSOR_ARCHIVED: events after the cursor are archived, and include_archived is
     *   not set. The error's metadata has live_from: the from_time from which all events are available. Also raised
     *   while the stream reads them.
     * - FAILED_PRECONDITION, reason CURSOR_EXPIRED: retention deleted events after the cursor. live_from as above.
     * - UNAVAILABLE, reason SERVER_STOPPING: the server is stopping. Continue from the last cursor at another server.
     * </pre>
     */
    default void streamTimeline(io.github.orchestrationledger.v1.StreamTimelineRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.StreamTimelineResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getStreamTimelineMethod(), responseObserver);
    }

    /**
     * <pre>
     * Counts events, including archived ones, over a range of occur_time.
     * </pre>
     */
    default void getEventStats(io.github.orchestrationledger.v1.GetEventStatsRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.GetEventStatsResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getGetEventStatsMethod(), responseObserver);
    }

    /**
     * <pre>
     * Returns the changes of an entity: the values before and after, who made them, and when. Works for deleted
     * entities.
     * Errors:
     * - NOT_FOUND: the entity never existed.
     * </pre>
     */
    default void getEntityHistory(io.github.orchestrationledger.v1.GetEntityHistoryRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.GetEntityHistoryResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getGetEntityHistoryMethod(), responseObserver);
    }

    /**
     * <pre>
     * Rebuilds a sprint, a task or a session as it was, from its events alone, including archived ones.
     * Errors:
     * - NOT_FOUND: the entity did not exist yet.
     * - INVALID_ARGUMENT, reason CURSOR_INVALID, CURSOR_FOREIGN or CURSOR_OF_ANOTHER_PROJECT: the cursor is not one
     *   of this project's log.
     * - FAILED_PRECONDITION, reason HISTORY_INCOMPLETE: the log no longer has all the events that this needs.
     * </pre>
     */
    default void reconstructState(io.github.orchestrationledger.v1.ReconstructStateRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ReconstructStateResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getReconstructStateMethod(), responseObserver);
    }

    /**
     * <pre>
     * Checks that a correlation chain is complete and consistent. Writes nothing.
     * Errors:
     * - NOT_FOUND: no event has the correlation id.
     * </pre>
     */
    default void replayEvents(io.github.orchestrationledger.v1.ReplayEventsRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ReplayEventsResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getReplayEventsMethod(), responseObserver);
    }
  }

  /**
   * Base class for the server implementation of the service EventService.
   * <pre>
   * Manages the event log. The server writes the ledger's own events (types under "orchestration.") in the transaction
   * of the change that they describe. Callers can add events of their own.
   * </pre>
   */
  public static abstract class EventServiceImplBase
      implements io.grpc.BindableService, AsyncService {

    @java.lang.Override public final io.grpc.ServerServiceDefinition bindService() {
      return EventServiceGrpc.bindService(this);
    }
  }

  /**
   * A stub to allow clients to do asynchronous rpc calls to service EventService.
   * <pre>
   * Manages the event log. The server writes the ledger's own events (types under "orchestration.") in the transaction
   * of the change that they describe. Callers can add events of their own.
   * </pre>
   */
  public static final class EventServiceStub
      extends io.grpc.stub.AbstractAsyncStub<EventServiceStub> {
    private EventServiceStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected EventServiceStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new EventServiceStub(channel, callOptions);
    }

    /**
     * <pre>
     * Stores one event of the caller and responds after its commit. If its dedup_key exists already, returns the
     * existing event.
     * </pre>
     */
    public void emitEvent(io.github.orchestrationledger.v1.EmitEventRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.EmitEventResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getEmitEventMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Stores events of the caller in messages of up to 500. The server responds to each message after its commit, in
     * order. A message that fails does not end the stream: its response carries the error.
     * </pre>
     */
    public io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.EmitEventsRequest> emitEvents(
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.EmitEventsResponse> responseObserver) {
      return io.grpc.stub.ClientCalls.asyncBidiStreamingCall(
          getChannel().newCall(getEmitEventsMethod(), getCallOptions()), responseObserver);
    }

    /**
     * <pre>
     * Returns an event.
     * Errors:
     * - NOT_FOUND: the event does not exist, or it is archived and include_archived is not set.
     * </pre>
     */
    public void getEvent(io.github.orchestrationledger.v1.GetEventRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.GetEventResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getGetEventMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Lists events by occur_time, newest first by default. All pages show the log as it was when the first page was
     * read. To receive later events, start StreamTimeline at the cursor of any of these events.
     * </pre>
     */
    public void listEvents(io.github.orchestrationledger.v1.ListEventsRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ListEventsResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListEventsMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Streams events in the order of the log: the history and then, with follow, live events. From any cursor the
     * stream sends each event exactly once, across reconnects, restarts and servers. Events of one entity come in the
     * order of its revisions.
     * Errors:
     * - FAILED_PRECONDITION, reason CURSOR_ARCHIVED: events after the cursor are archived, and include_archived is
     *   not set. The error's metadata has live_from: the from_time from which all events are available. Also raised
     *   while the stream reads them.
     * - FAILED_PRECONDITION, reason CURSOR_EXPIRED: retention deleted events after the cursor. live_from as above.
     * - UNAVAILABLE, reason SERVER_STOPPING: the server is stopping. Continue from the last cursor at another server.
     * </pre>
     */
    public void streamTimeline(io.github.orchestrationledger.v1.StreamTimelineRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.StreamTimelineResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncServerStreamingCall(
          getChannel().newCall(getStreamTimelineMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Counts events, including archived ones, over a range of occur_time.
     * </pre>
     */
    public void getEventStats(io.github.orchestrationledger.v1.GetEventStatsRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.GetEventStatsResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getGetEventStatsMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Returns the changes of an entity: the values before and after, who made them, and when. Works for deleted
     * entities.
     * Errors:
     * - NOT_FOUND: the entity never existed.
     * </pre>
     */
    public void getEntityHistory(io.github.orchestrationledger.v1.GetEntityHistoryRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.GetEntityHistoryResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getGetEntityHistoryMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Rebuilds a sprint, a task or a session as it was, from its events alone, including archived ones.
     * Errors:
     * - NOT_FOUND: the entity did not exist yet.
     * - INVALID_ARGUMENT, reason CURSOR_INVALID, CURSOR_FOREIGN or CURSOR_OF_ANOTHER_PROJECT: the cursor is not one
     *   of this project's log.
     * - FAILED_PRECONDITION, reason HISTORY_INCOMPLETE: the log no longer has all the events that this needs.
     * </pre>
     */
    public void reconstructState(io.github.orchestrationledger.v1.ReconstructStateRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ReconstructStateResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getReconstructStateMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Checks that a correlation chain is complete and consistent. Writes nothing.
     * Errors:
     * - NOT_FOUND: no event has the correlation id.
     * </pre>
     */
    public void replayEvents(io.github.orchestrationledger.v1.ReplayEventsRequest request,
        io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ReplayEventsResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getReplayEventsMethod(), getCallOptions()), request, responseObserver);
    }
  }

  /**
   * A stub to allow clients to do synchronous rpc calls to service EventService.
   * <pre>
   * Manages the event log. The server writes the ledger's own events (types under "orchestration.") in the transaction
   * of the change that they describe. Callers can add events of their own.
   * </pre>
   */
  public static final class EventServiceBlockingV2Stub
      extends io.grpc.stub.AbstractBlockingStub<EventServiceBlockingV2Stub> {
    private EventServiceBlockingV2Stub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected EventServiceBlockingV2Stub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new EventServiceBlockingV2Stub(channel, callOptions);
    }

    /**
     * <pre>
     * Stores one event of the caller and responds after its commit. If its dedup_key exists already, returns the
     * existing event.
     * </pre>
     */
    public io.github.orchestrationledger.v1.EmitEventResponse emitEvent(io.github.orchestrationledger.v1.EmitEventRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getEmitEventMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Stores events of the caller in messages of up to 500. The server responds to each message after its commit, in
     * order. A message that fails does not end the stream: its response carries the error.
     * </pre>
     */
    @io.grpc.ExperimentalApi("https://github.com/grpc/grpc-java/issues/10918")
    public io.grpc.stub.BlockingClientCall<io.github.orchestrationledger.v1.EmitEventsRequest, io.github.orchestrationledger.v1.EmitEventsResponse>
        emitEvents() {
      return io.grpc.stub.ClientCalls.blockingBidiStreamingCall(
          getChannel(), getEmitEventsMethod(), getCallOptions());
    }

    /**
     * <pre>
     * Returns an event.
     * Errors:
     * - NOT_FOUND: the event does not exist, or it is archived and include_archived is not set.
     * </pre>
     */
    public io.github.orchestrationledger.v1.GetEventResponse getEvent(io.github.orchestrationledger.v1.GetEventRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getGetEventMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Lists events by occur_time, newest first by default. All pages show the log as it was when the first page was
     * read. To receive later events, start StreamTimeline at the cursor of any of these events.
     * </pre>
     */
    public io.github.orchestrationledger.v1.ListEventsResponse listEvents(io.github.orchestrationledger.v1.ListEventsRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListEventsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Streams events in the order of the log: the history and then, with follow, live events. From any cursor the
     * stream sends each event exactly once, across reconnects, restarts and servers. Events of one entity come in the
     * order of its revisions.
     * Errors:
     * - FAILED_PRECONDITION, reason CURSOR_ARCHIVED: events after the cursor are archived, and include_archived is
     *   not set. The error's metadata has live_from: the from_time from which all events are available. Also raised
     *   while the stream reads them.
     * - FAILED_PRECONDITION, reason CURSOR_EXPIRED: retention deleted events after the cursor. live_from as above.
     * - UNAVAILABLE, reason SERVER_STOPPING: the server is stopping. Continue from the last cursor at another server.
     * </pre>
     */
    @io.grpc.ExperimentalApi("https://github.com/grpc/grpc-java/issues/10918")
    public io.grpc.stub.BlockingClientCall<?, io.github.orchestrationledger.v1.StreamTimelineResponse>
        streamTimeline(io.github.orchestrationledger.v1.StreamTimelineRequest request) {
      return io.grpc.stub.ClientCalls.blockingV2ServerStreamingCall(
          getChannel(), getStreamTimelineMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Counts events, including archived ones, over a range of occur_time.
     * </pre>
     */
    public io.github.orchestrationledger.v1.GetEventStatsResponse getEventStats(io.github.orchestrationledger.v1.GetEventStatsRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getGetEventStatsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Returns the changes of an entity: the values before and after, who made them, and when. Works for deleted
     * entities.
     * Errors:
     * - NOT_FOUND: the entity never existed.
     * </pre>
     */
    public io.github.orchestrationledger.v1.GetEntityHistoryResponse getEntityHistory(io.github.orchestrationledger.v1.GetEntityHistoryRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getGetEntityHistoryMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Rebuilds a sprint, a task or a session as it was, from its events alone, including archived ones.
     * Errors:
     * - NOT_FOUND: the entity did not exist yet.
     * - INVALID_ARGUMENT, reason CURSOR_INVALID, CURSOR_FOREIGN or CURSOR_OF_ANOTHER_PROJECT: the cursor is not one
     *   of this project's log.
     * - FAILED_PRECONDITION, reason HISTORY_INCOMPLETE: the log no longer has all the events that this needs.
     * </pre>
     */
    public io.github.orchestrationledger.v1.ReconstructStateResponse reconstructState(io.github.orchestrationledger.v1.ReconstructStateRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getReconstructStateMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Checks that a correlation chain is complete and consistent. Writes nothing.
     * Errors:
     * - NOT_FOUND: no event has the correlation id.
     * </pre>
     */
    public io.github.orchestrationledger.v1.ReplayEventsResponse replayEvents(io.github.orchestrationledger.v1.ReplayEventsRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getReplayEventsMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do limited synchronous rpc calls to service EventService.
   * <pre>
   * Manages the event log. The server writes the ledger's own events (types under "orchestration.") in the transaction
   * of the change that they describe. Callers can add events of their own.
   * </pre>
   */
  public static final class EventServiceBlockingStub
      extends io.grpc.stub.AbstractBlockingStub<EventServiceBlockingStub> {
    private EventServiceBlockingStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected EventServiceBlockingStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new EventServiceBlockingStub(channel, callOptions);
    }

    /**
     * <pre>
     * Stores one event of the caller and responds after its commit. If its dedup_key exists already, returns the
     * existing event.
     * </pre>
     */
    public io.github.orchestrationledger.v1.EmitEventResponse emitEvent(io.github.orchestrationledger.v1.EmitEventRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getEmitEventMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Returns an event.
     * Errors:
     * - NOT_FOUND: the event does not exist, or it is archived and include_archived is not set.
     * </pre>
     */
    public io.github.orchestrationledger.v1.GetEventResponse getEvent(io.github.orchestrationledger.v1.GetEventRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getGetEventMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Lists events by occur_time, newest first by default. All pages show the log as it was when the first page was
     * read. To receive later events, start StreamTimeline at the cursor of any of these events.
     * </pre>
     */
    public io.github.orchestrationledger.v1.ListEventsResponse listEvents(io.github.orchestrationledger.v1.ListEventsRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListEventsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Streams events in the order of the log: the history and then, with follow, live events. From any cursor the
     * stream sends each event exactly once, across reconnects, restarts and servers. Events of one entity come in the
     * order of its revisions.
     * Errors:
     * - FAILED_PRECONDITION, reason CURSOR_ARCHIVED: events after the cursor are archived, and include_archived is
     *   not set. The error's metadata has live_from: the from_time from which all events are available. Also raised
     *   while the stream reads them.
     * - FAILED_PRECONDITION, reason CURSOR_EXPIRED: retention deleted events after the cursor. live_from as above.
     * - UNAVAILABLE, reason SERVER_STOPPING: the server is stopping. Continue from the last cursor at another server.
     * </pre>
     */
    public java.util.Iterator<io.github.orchestrationledger.v1.StreamTimelineResponse> streamTimeline(
        io.github.orchestrationledger.v1.StreamTimelineRequest request) {
      return io.grpc.stub.ClientCalls.blockingServerStreamingCall(
          getChannel(), getStreamTimelineMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Counts events, including archived ones, over a range of occur_time.
     * </pre>
     */
    public io.github.orchestrationledger.v1.GetEventStatsResponse getEventStats(io.github.orchestrationledger.v1.GetEventStatsRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getGetEventStatsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Returns the changes of an entity: the values before and after, who made them, and when. Works for deleted
     * entities.
     * Errors:
     * - NOT_FOUND: the entity never existed.
     * </pre>
     */
    public io.github.orchestrationledger.v1.GetEntityHistoryResponse getEntityHistory(io.github.orchestrationledger.v1.GetEntityHistoryRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getGetEntityHistoryMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Rebuilds a sprint, a task or a session as it was, from its events alone, including archived ones.
     * Errors:
     * - NOT_FOUND: the entity did not exist yet.
     * - INVALID_ARGUMENT, reason CURSOR_INVALID, CURSOR_FOREIGN or CURSOR_OF_ANOTHER_PROJECT: the cursor is not one
     *   of this project's log.
     * - FAILED_PRECONDITION, reason HISTORY_INCOMPLETE: the log no longer has all the events that this needs.
     * </pre>
     */
    public io.github.orchestrationledger.v1.ReconstructStateResponse reconstructState(io.github.orchestrationledger.v1.ReconstructStateRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getReconstructStateMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Checks that a correlation chain is complete and consistent. Writes nothing.
     * Errors:
     * - NOT_FOUND: no event has the correlation id.
     * </pre>
     */
    public io.github.orchestrationledger.v1.ReplayEventsResponse replayEvents(io.github.orchestrationledger.v1.ReplayEventsRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getReplayEventsMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do ListenableFuture-style rpc calls to service EventService.
   * <pre>
   * Manages the event log. The server writes the ledger's own events (types under "orchestration.") in the transaction
   * of the change that they describe. Callers can add events of their own.
   * </pre>
   */
  public static final class EventServiceFutureStub
      extends io.grpc.stub.AbstractFutureStub<EventServiceFutureStub> {
    private EventServiceFutureStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected EventServiceFutureStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new EventServiceFutureStub(channel, callOptions);
    }

    /**
     * <pre>
     * Stores one event of the caller and responds after its commit. If its dedup_key exists already, returns the
     * existing event.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.EmitEventResponse> emitEvent(
        io.github.orchestrationledger.v1.EmitEventRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getEmitEventMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Returns an event.
     * Errors:
     * - NOT_FOUND: the event does not exist, or it is archived and include_archived is not set.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.GetEventResponse> getEvent(
        io.github.orchestrationledger.v1.GetEventRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getGetEventMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Lists events by occur_time, newest first by default. All pages show the log as it was when the first page was
     * read. To receive later events, start StreamTimeline at the cursor of any of these events.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.ListEventsResponse> listEvents(
        io.github.orchestrationledger.v1.ListEventsRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListEventsMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Counts events, including archived ones, over a range of occur_time.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.GetEventStatsResponse> getEventStats(
        io.github.orchestrationledger.v1.GetEventStatsRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getGetEventStatsMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Returns the changes of an entity: the values before and after, who made them, and when. Works for deleted
     * entities.
     * Errors:
     * - NOT_FOUND: the entity never existed.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.GetEntityHistoryResponse> getEntityHistory(
        io.github.orchestrationledger.v1.GetEntityHistoryRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getGetEntityHistoryMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Rebuilds a sprint, a task or a session as it was, from its events alone, including archived ones.
     * Errors:
     * - NOT_FOUND: the entity did not exist yet.
     * - INVALID_ARGUMENT, reason CURSOR_INVALID, CURSOR_FOREIGN or CURSOR_OF_ANOTHER_PROJECT: the cursor is not one
     *   of this project's log.
     * - FAILED_PRECONDITION, reason HISTORY_INCOMPLETE: the log no longer has all the events that this needs.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.ReconstructStateResponse> reconstructState(
        io.github.orchestrationledger.v1.ReconstructStateRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getReconstructStateMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Checks that a correlation chain is complete and consistent. Writes nothing.
     * Errors:
     * - NOT_FOUND: no event has the correlation id.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.orchestrationledger.v1.ReplayEventsResponse> replayEvents(
        io.github.orchestrationledger.v1.ReplayEventsRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getReplayEventsMethod(), getCallOptions()), request);
    }
  }

  private static final int METHODID_EMIT_EVENT = 0;
  private static final int METHODID_GET_EVENT = 1;
  private static final int METHODID_LIST_EVENTS = 2;
  private static final int METHODID_STREAM_TIMELINE = 3;
  private static final int METHODID_GET_EVENT_STATS = 4;
  private static final int METHODID_GET_ENTITY_HISTORY = 5;
  private static final int METHODID_RECONSTRUCT_STATE = 6;
  private static final int METHODID_REPLAY_EVENTS = 7;
  private static final int METHODID_EMIT_EVENTS = 8;

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
        case METHODID_EMIT_EVENT:
          serviceImpl.emitEvent((io.github.orchestrationledger.v1.EmitEventRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.EmitEventResponse>) responseObserver);
          break;
        case METHODID_GET_EVENT:
          serviceImpl.getEvent((io.github.orchestrationledger.v1.GetEventRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.GetEventResponse>) responseObserver);
          break;
        case METHODID_LIST_EVENTS:
          serviceImpl.listEvents((io.github.orchestrationledger.v1.ListEventsRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ListEventsResponse>) responseObserver);
          break;
        case METHODID_STREAM_TIMELINE:
          serviceImpl.streamTimeline((io.github.orchestrationledger.v1.StreamTimelineRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.StreamTimelineResponse>) responseObserver);
          break;
        case METHODID_GET_EVENT_STATS:
          serviceImpl.getEventStats((io.github.orchestrationledger.v1.GetEventStatsRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.GetEventStatsResponse>) responseObserver);
          break;
        case METHODID_GET_ENTITY_HISTORY:
          serviceImpl.getEntityHistory((io.github.orchestrationledger.v1.GetEntityHistoryRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.GetEntityHistoryResponse>) responseObserver);
          break;
        case METHODID_RECONSTRUCT_STATE:
          serviceImpl.reconstructState((io.github.orchestrationledger.v1.ReconstructStateRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ReconstructStateResponse>) responseObserver);
          break;
        case METHODID_REPLAY_EVENTS:
          serviceImpl.replayEvents((io.github.orchestrationledger.v1.ReplayEventsRequest) request,
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.ReplayEventsResponse>) responseObserver);
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
        case METHODID_EMIT_EVENTS:
          return (io.grpc.stub.StreamObserver<Req>) serviceImpl.emitEvents(
              (io.grpc.stub.StreamObserver<io.github.orchestrationledger.v1.EmitEventsResponse>) responseObserver);
        default:
          throw new AssertionError();
      }
    }
  }

  public static final io.grpc.ServerServiceDefinition bindService(AsyncService service) {
    return io.grpc.ServerServiceDefinition.builder(getServiceDescriptor())
        .addMethod(
          getEmitEventMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.EmitEventRequest,
              io.github.orchestrationledger.v1.EmitEventResponse>(
                service, METHODID_EMIT_EVENT)))
        .addMethod(
          getEmitEventsMethod(),
          io.grpc.stub.ServerCalls.asyncBidiStreamingCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.EmitEventsRequest,
              io.github.orchestrationledger.v1.EmitEventsResponse>(
                service, METHODID_EMIT_EVENTS)))
        .addMethod(
          getGetEventMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.GetEventRequest,
              io.github.orchestrationledger.v1.GetEventResponse>(
                service, METHODID_GET_EVENT)))
        .addMethod(
          getListEventsMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.ListEventsRequest,
              io.github.orchestrationledger.v1.ListEventsResponse>(
                service, METHODID_LIST_EVENTS)))
        .addMethod(
          getStreamTimelineMethod(),
          io.grpc.stub.ServerCalls.asyncServerStreamingCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.StreamTimelineRequest,
              io.github.orchestrationledger.v1.StreamTimelineResponse>(
                service, METHODID_STREAM_TIMELINE)))
        .addMethod(
          getGetEventStatsMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.GetEventStatsRequest,
              io.github.orchestrationledger.v1.GetEventStatsResponse>(
                service, METHODID_GET_EVENT_STATS)))
        .addMethod(
          getGetEntityHistoryMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.GetEntityHistoryRequest,
              io.github.orchestrationledger.v1.GetEntityHistoryResponse>(
                service, METHODID_GET_ENTITY_HISTORY)))
        .addMethod(
          getReconstructStateMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.ReconstructStateRequest,
              io.github.orchestrationledger.v1.ReconstructStateResponse>(
                service, METHODID_RECONSTRUCT_STATE)))
        .addMethod(
          getReplayEventsMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.orchestrationledger.v1.ReplayEventsRequest,
              io.github.orchestrationledger.v1.ReplayEventsResponse>(
                service, METHODID_REPLAY_EVENTS)))
        .build();
  }

  private static abstract class EventServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoFileDescriptorSupplier, io.grpc.protobuf.ProtoServiceDescriptorSupplier {
    EventServiceBaseDescriptorSupplier() {}

    @java.lang.Override
    public com.google.protobuf.Descriptors.FileDescriptor getFileDescriptor() {
      return io.github.orchestrationledger.v1.EventProto.getDescriptor();
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.ServiceDescriptor getServiceDescriptor() {
      return getFileDescriptor().findServiceByName("EventService");
    }
  }

  private static final class EventServiceFileDescriptorSupplier
      extends EventServiceBaseDescriptorSupplier {
    EventServiceFileDescriptorSupplier() {}
  }

  private static final class EventServiceMethodDescriptorSupplier
      extends EventServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoMethodDescriptorSupplier {
    private final java.lang.String methodName;

    EventServiceMethodDescriptorSupplier(java.lang.String methodName) {
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
      synchronized (EventServiceGrpc.class) {
        result = serviceDescriptor;
        if (result == null) {
          serviceDescriptor = result = io.grpc.ServiceDescriptor.newBuilder(SERVICE_NAME)
              .setSchemaDescriptor(new EventServiceFileDescriptorSupplier())
              .addMethod(getEmitEventMethod())
              .addMethod(getEmitEventsMethod())
              .addMethod(getGetEventMethod())
              .addMethod(getListEventsMethod())
              .addMethod(getStreamTimelineMethod())
              .addMethod(getGetEventStatsMethod())
              .addMethod(getGetEntityHistoryMethod())
              .addMethod(getReconstructStateMethod())
              .addMethod(getReplayEventsMethod())
              .build();
        }
      }
    }
    return result;
  }
}
