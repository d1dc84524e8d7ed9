package io.github.orchestrationledger.client;

import com.google.protobuf.Descriptors.FieldDescriptor;
import com.google.protobuf.Message;
import io.github.orchestrationledger.v1.EventServiceGrpc;
import io.github.orchestrationledger.v1.StreamTimelineRequest;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptor;
import io.grpc.ForwardingClientCall.SimpleForwardingClientCall;
import io.grpc.Grpc;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.MethodDescriptor;
import io.grpc.MethodDescriptor.Marshaller;
import java.io.InputStream;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Faults of a client on purpose, so that the table of the suite can be seen to turn red. Not in the
 * package.
 */
public final class Faults {
  private static final String FAULT = System.getenv().getOrDefault("CONFORMANCE_FAULT", "");

  private Faults() {}

  /**
   * Build the fault into the clients of a builder, if there is one.
   *
   * @param builder the builder
   */
  public static void apply(LedgerClientBuilder builder) {
    if (!FAULT.isEmpty()) {
      builder.channels = Faults::open;
    }
  }

  private static ManagedChannel open(Settings settings) {
    ManagedChannelBuilder<?> channel =
        Channels.configure(
            Grpc.newChannelBuilder(settings.address(), settings.credentials()), settings);
    channel.intercept(
        switch (FAULT) {
          case "forget-cursor" -> new ForgottenCursor();
          case "fresh-request-id" -> new FreshRequestId();
          default -> throw new IllegalStateException("no fault is called " + FAULT);
        });
    return channel.build();
  }

  /** Sends the first request of a follower again in place of one that resumes. */
  private static final class ForgottenCursor implements ClientInterceptor {
    private final Map<StreamTimelineRequest, StreamTimelineRequest> originals =
        new ConcurrentHashMap<>();

    @Override
    public <Q, R> ClientCall<Q, R> interceptCall(
        MethodDescriptor<Q, R> method, CallOptions options, Channel next) {
      ClientCall<Q, R> call = next.newCall(method, options);
      if (!method
          .getFullMethodName()
          .equals(EventServiceGrpc.getStreamTimelineMethod().getFullMethodName())) {
        return call;
      }
      return new SimpleForwardingClientCall<Q, R>(call) {
        @Override
        @SuppressWarnings("unchecked")
        public void sendMessage(Q message) {
          super.sendMessage((Q) original((StreamTimelineRequest) message));
        }
      };
    }

    private StreamTimelineRequest original(StreamTimelineRequest request) {
      return originals.computeIfAbsent(request.toBuilder().clearStart().build(), key -> request);
    }
  }

  /** Gives each attempt a new request_id: a retry serializes the request again. */
  private static final class FreshRequestId implements ClientInterceptor {
    @Override
    public <Q, R> ClientCall<Q, R> interceptCall(
        MethodDescriptor<Q, R> method, CallOptions options, Channel next) {
      if (method.getType() != MethodDescriptor.MethodType.UNARY) {
        return next.newCall(method, options);
      }
      Marshaller<Q> plain = method.getRequestMarshaller();
      Marshaller<Q> fresh =
          new Marshaller<>() {
            @Override
            public InputStream stream(Q value) {
              return plain.stream(withoutRequestId(value));
            }

            @Override
            public Q parse(InputStream stream) {
              return plain.parse(stream);
            }
          };
      return next.newCall(method.toBuilder(fresh, method.getResponseMarshaller()).build(), options);
    }

    @SuppressWarnings("unchecked")
    private static <Q> Q withoutRequestId(Q request) {
      Message message = (Message) request;
      FieldDescriptor field = message.getDescriptorForType().findFieldByName("request_id");
      if (field == null) {
        return request;
      }
      return (Q) CallInterceptor.withRequestId(message.toBuilder().clearField(field).build());
    }
  }
}
