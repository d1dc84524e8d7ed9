package io.github.orchestrationledger.client;

import com.google.protobuf.Any;
import com.google.protobuf.Message;
import io.grpc.Grpc;
import io.grpc.InsecureServerCredentials;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Server;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerServiceDefinition;
import io.grpc.ServiceDescriptor;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.ServerCalls;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;

/**
 * A server in this process whose answers a test gives. Methods without an answer are not
 * implemented.
 */
final class FakeLedger implements AutoCloseable {
  /** Answers a call; a stream of requests calls it for each. */
  interface Handler {
    void answer(Call call) throws Exception;
  }

  /** A request and where its answer goes. */
  record Call(
      Message request, Metadata metadata, StreamObserver<Message> answers, long deadlineNanos) {
    @SuppressWarnings("unchecked")
    <Q extends Message> Q as(Class<Q> type) {
      return (Q) request;
    }

    void answer(Message message) {
      answers.onNext(message);
      answers.onCompleted();
    }

    void fail(Status.Code code) {
      answers.onError(code.toStatus().withDescription("a test says so").asRuntimeException());
    }

    String header(String name) {
      return metadata.get(Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER));
    }
  }

  private final Map<String, Handler> handlers = new ConcurrentHashMap<>();
  private final Map<String, List<Call>> calls = new ConcurrentHashMap<>();
  private final Server server;

  FakeLedger() {
    this(0);
  }

  FakeLedger(int port) {
    var builder = Grpc.newServerBuilderForPort(port, InsecureServerCredentials.create());
    builder.maxInboundMessageSize(32 * 1024 * 1024);
    for (ServiceDescriptor service : ServiceConfig.SERVICES) {
      builder.addService(service(service));
    }
    try {
      server = builder.build().start();
    } catch (IOException error) {
      throw new IllegalStateException(error);
    }
  }

  int port() {
    return server.getPort();
  }

  String address() {
    return "127.0.0.1:" + port();
  }

  LedgerClientBuilder client() {
    LedgerClientBuilder builder = LedgerClient.builder().address(address()).agent("tester");
    builder.environment = Map.of();
    return builder;
  }

  /** Answer a method, such as TaskService/GetTask. */
  FakeLedger on(String method, Handler handler) {
    handlers.put(method, handler);
    return this;
  }

  List<Call> calls(String method) {
    return calls.computeIfAbsent(method, name -> new CopyOnWriteArrayList<>());
  }

  /** Return an error with details. */
  static StatusRuntimeException error(Status.Code code, Message... details) {
    var status = com.google.rpc.Status.newBuilder().setCode(code.value()).setMessage("refused");
    for (Message detail : details) {
      status.addDetails(Any.pack(detail));
    }
    return StatusProto.toStatusRuntimeException(status.build());
  }

  @Override
  public void close() {
    server.shutdownNow();
    try {
      server.awaitTermination(10, TimeUnit.SECONDS);
    } catch (InterruptedException error) {
      Thread.currentThread().interrupt();
    }
  }

  @SuppressWarnings("unchecked")
  private ServerServiceDefinition service(ServiceDescriptor service) {
    var definition = ServerServiceDefinition.builder(service);
    for (MethodDescriptor<?, ?> method : service.getMethods()) {
      MethodDescriptor<Message, Message> typed = (MethodDescriptor<Message, Message>) method;
      String name = service.getName().replaceFirst(".*\\.", "") + "/" + method.getBareMethodName();
      ServerCallHandler<Message, Message> handler =
          switch (method.getType()) {
            case UNARY -> ServerCalls.asyncUnaryCall((request, out) -> answer(name, request, out));
            case SERVER_STREAMING ->
                ServerCalls.asyncServerStreamingCall((request, out) -> answer(name, request, out));
            default -> ServerCalls.asyncBidiStreamingCall(out -> requests(name, out));
          };
      definition.addMethod(typed, new Recording(handler));
    }
    return definition.build();
  }

  private StreamObserver<Message> requests(String name, StreamObserver<Message> out) {
    return new StreamObserver<>() {
      @Override
      public void onNext(Message request) {
        answer(name, request, out);
      }

      @Override
      public void onError(Throwable error) {}

      @Override
      public void onCompleted() {
        out.onCompleted();
      }
    };
  }

  private void answer(String name, Message request, StreamObserver<Message> out) {
    io.grpc.Deadline deadline = io.grpc.Context.current().getDeadline();
    long left = deadline == null ? -1 : deadline.timeRemaining(TimeUnit.NANOSECONDS);
    Call call = new Call(request, Recording.METADATA.get(), out, left);
    calls(name).add(call);
    Handler handler = handlers.get(name);
    try {
      if (handler == null) {
        out.onError(Status.UNIMPLEMENTED.withDescription(name).asRuntimeException());
      } else {
        handler.answer(call);
      }
    } catch (StatusRuntimeException error) {
      out.onError(error);
    } catch (Exception error) {
      out.onError(Status.UNKNOWN.withDescription(error.toString()).asRuntimeException());
    }
  }

  /** Puts the metadata of a call into its context. */
  private record Recording(ServerCallHandler<Message, Message> handler)
      implements ServerCallHandler<Message, Message> {
    static final io.grpc.Context.Key<Metadata> METADATA = io.grpc.Context.key("metadata");

    @Override
    public ServerCall.Listener<Message> startCall(
        ServerCall<Message, Message> call, Metadata headers) {
      var context = io.grpc.Context.current().withValue(METADATA, headers);
      return io.grpc.Contexts.interceptCall(context, call, headers, handler);
    }
  }
}
