package io.github.orchestrationledger.client;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.Context;
import io.grpc.Contexts;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/**
 * A call that streams messages, read by one thread with a time limit. Any thread may cancel it.
 *
 * @param <Q> the requests
 * @param <R> the responses
 */
final class MessageStream<Q, R> {
  /** Messages that may wait here while the reader works on another one. */
  private static final int PREFETCH = 2;

  private final ClientCall<Q, R> call;
  private final BlockingQueue<Item<R>> arrived = new LinkedBlockingQueue<>();

  /**
   * What arrives: a message, or the end of the stream.
   *
   * @param message the message; null at the end
   * @param failure the error that ended the stream; null if the server ended it in order
   * @param wake true for neither: the reader has to look at its context
   */
  record Item<R>(R message, LedgerException failure, boolean wake) {
    boolean isEnd() {
      return message == null;
    }
  }

  private MessageStream(ClientCall<Q, R> call) {
    this.call = call;
  }

  static <Q, R> MessageStream<Q, R> open(
      Channel channel, MethodDescriptor<Q, R> method, CallOptions options) {
    // The stream outlives the context in which it is opened: a timeline may be read in several.
    Context context = Context.current().fork();
    Context previous = context.attach();
    MessageStream<Q, R> stream;
    try {
      stream = new MessageStream<>(channel.newCall(method, options));
    } finally {
      context.detach(previous);
    }
    stream.call.start(stream.new Listener(), new Metadata());
    stream.call.request(PREFETCH);
    return stream;
  }

  /** Send a message, without waiting for its answer. */
  void send(Q message) {
    call.sendMessage(message);
  }

  /** Tell the server that there are no more messages. */
  void halfClose() {
    call.halfClose();
  }

  void cancel() {
    call.cancel("the client left the stream", null);
  }

  /**
   * Return what arrives within the nanoseconds, or null if nothing does. The end is returned once.
   * Throws LedgerException if the context of the caller is cancelled; the stream stays as it is
   * then.
   */
  Item<R> take(long nanos) throws InterruptedException {
    Context context = Context.current();
    Context.CancellationListener waker = cancelled -> arrived.add(new Item<>(null, null, true));
    context.addListener(waker, Runnable::run);
    try {
      long until = System.nanoTime() + nanos;
      while (true) {
        if (context.isCancelled()) {
          Status status = Contexts.statusFromCancelled(context);
          throw LedgerException.of(status, null, context.cancellationCause());
        }
        Item<R> item = arrived.poll(until - System.nanoTime(), TimeUnit.NANOSECONDS);
        if (item == null || !item.wake()) {
          if (item != null && !item.isEnd()) {
            call.request(1);
          }
          return item;
        }
      }
    } finally {
      context.removeListener(waker);
    }
  }

  private final class Listener extends ClientCall.Listener<R> {
    @Override
    public void onMessage(R message) {
      arrived.add(new Item<>(message, null, false));
    }

    @Override
    public void onClose(Status status, Metadata trailers) {
      LedgerException failure =
          status.isOk() ? null : LedgerException.of(status, trailers, status.getCause());
      arrived.add(new Item<>(null, failure, false));
    }
  }
}
