package io.github.orchestrationledger.client;

import com.google.protobuf.Descriptors.FieldDescriptor;
import com.google.protobuf.Message;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptor;
import io.grpc.ForwardingClientCall.SimpleForwardingClientCall;
import io.grpc.ForwardingClientCallListener.SimpleForwardingClientCallListener;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.MethodDescriptor.MethodType;
import io.grpc.Status;
import java.time.Duration;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;

/**
 * Adds the caller's metadata to every call, and a deadline and a request_id to unary calls. What
 * the call itself sets takes precedence. It runs before the retries of the channel, so all attempts
 * carry the same request_id. Messages of a stream stay unchanged, because the caller matches
 * answers by their ids.
 */
final class CallInterceptor implements ClientInterceptor {
  private final Metadata metadata;
  private final Duration timeout;
  private final BooleanSupplier closed;

  CallInterceptor(Metadata metadata, Duration timeout, BooleanSupplier closed) {
    this.metadata = metadata;
    this.timeout = timeout;
    this.closed = closed;
  }

  @Override
  public <Q, R> ClientCall<Q, R> interceptCall(
      MethodDescriptor<Q, R> method, CallOptions options, Channel next) {
    if (closed.getAsBoolean()) {
      throw new ClientClosedException();
    }
    boolean unary = method.getType() == MethodType.UNARY;
    CallOptions completed = options;
    if (unary && timeout != null && options.getDeadline() == null) {
      completed = options.withDeadlineAfter(timeout.toNanos(), TimeUnit.NANOSECONDS);
    }
    return new SimpleForwardingClientCall<Q, R>(next.newCall(method, completed)) {
      @Override
      public void start(Listener<R> listener, Metadata headers) {
        addAbsent(headers);
        super.start(new ClosedAware<>(listener), headers);
      }

      @Override
      public void sendMessage(Q message) {
        super.sendMessage(unary ? withRequestId(message) : message);
      }
    };
  }

  /** Tells a call that ends because the client was closed from one that found no server. */
  private final class ClosedAware<R> extends SimpleForwardingClientCallListener<R> {
    ClosedAware(ClientCall.Listener<R> listener) {
      super(listener);
    }

    @Override
    public void onClose(Status status, Metadata trailers) {
      boolean ours = closed.getAsBoolean() && status.getCode() == Status.Code.UNAVAILABLE;
      super.onClose(
          ours ? Status.CANCELLED.withDescription("the client was closed") : status, trailers);
    }
  }

  private void addAbsent(Metadata headers) {
    for (String name : metadata.keys()) {
      Metadata.Key<String> key = Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER);
      if (!headers.containsKey(key)) {
        headers.put(key, metadata.get(key));
      }
    }
  }

  /** Return a new id for one mutation and its retries. */
  static String newRequestId() {
    return UUID.randomUUID().toString().replace("-", "");
  }

  /**
   * Return the request, or a copy with a new request_id if it has a field for one that is empty.
   */
  static <Q> Q withRequestId(Q request) {
    if (!(request instanceof Message message)) {
      return request;
    }
    FieldDescriptor field = message.getDescriptorForType().findFieldByName("request_id");
    if (field == null || !"".equals(message.getField(field))) {
      return request;
    }
    @SuppressWarnings("unchecked") // A builder of a message builds messages of its class.
    Q completed = (Q) message.toBuilder().setField(field, newRequestId()).build();
    return completed;
  }
}
