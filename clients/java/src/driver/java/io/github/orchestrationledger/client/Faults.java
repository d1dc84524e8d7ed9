package io.github.orchestrationledger.client;

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
   * Return true if each attempt of a write has a new request_id.
   *
   * @return true for that fault
   */
  public static boolean freshRequestId() {
    return FAULT.equals("fresh-request-id");
  }

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
    if (freshRequestId()) {
      channel.disableRetry(); // The driver retries, with an empty request_id.
    } else if (FAULT.equals("forget-cursor")) {
      channel.intercept(new ForgottenCursor());
    } else {
      throw new IllegalStateException(
          "CONFORMANCE_FAULT is " + FAULT + ", which no fault is called");
    }
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
}
