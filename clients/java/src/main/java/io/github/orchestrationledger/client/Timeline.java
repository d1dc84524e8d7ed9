package io.github.orchestrationledger.client;

import io.github.orchestrationledger.v1.Event;
import io.github.orchestrationledger.v1.EventServiceGrpc;
import io.github.orchestrationledger.v1.StreamTimelineRequest;
import io.github.orchestrationledger.v1.StreamTimelineResponse;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.Context;
import io.grpc.Status;
import java.time.Duration;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;

/**
 * An iterator over events, in the order of the log, each once, across broken connections and
 * replaced servers.
 *
 * <p>One thread iterates. Any thread may read {@link #cursor} or call {@link #close}, which ends
 * the iteration. The iteration throws {@link LedgerException} if the timeline cannot go on: the
 * position is not live any more, the filter is invalid, the caller may not read it, or no server
 * answered for the retry timeout.
 *
 * <p>If the thread is interrupted or its {@link Context} is cancelled, the iteration throws a
 * {@link LedgerException} with the code CANCELLED. No event is lost: a later call goes on from
 * there.
 */
public final class Timeline implements Iterable<Event>, Iterator<Event>, AutoCloseable {
  private static final long FOREVER = Duration.ofDays(36_500).toNanos();

  private final Channel channel;
  private final Position position;
  private final Retry retry;
  private final CountDownLatch closed = new CountDownLatch(1);
  private final ReentrantLock lock = new ReentrantLock();

  /**
   * Written under the lock by the thread that iterates; read under it by the thread that closes.
   */
  private MessageStream<StreamTimelineRequest, StreamTimelineResponse> stream;

  private long retryAt = System.nanoTime();

  Timeline(Channel channel, StreamTimelineRequest request, Duration retryTimeout) {
    this.channel = channel;
    this.position = new Position(request);
    this.retry = new Retry(retryTimeout);
  }

  /**
   * Return the position to store and to resume from, as {@code after_cursor}.
   *
   * <p>It is that of the last returned event. It also advances while no event matches the filter.
   *
   * @return the cursor; empty until the server has sent a first one
   */
  public String cursor() {
    return position.cursor();
  }

  /**
   * Return true if the history has been read and the following events are live.
   *
   * @return true if it has been read
   */
  public boolean caughtUp() {
    return position.caughtUp();
  }

  /**
   * Return true if the iteration has ended: at the end of the history, by an error or by {@link
   * #close}.
   *
   * @return true if no event will follow
   */
  public boolean hasEnded() {
    return closed.getCount() == 0;
  }

  /** Wait for the next event. Returns false if the timeline has ended. */
  @Override
  public boolean hasNext() {
    try {
      return advance(System.nanoTime() + FOREVER);
    } catch (InterruptedException error) {
      throw interrupted(error);
    }
  }

  @Override
  public Event next() {
    if (!hasNext()) {
      throw new NoSuchElementException("the timeline has ended");
    }
    return position.take();
  }

  /**
   * Wait for the next event, for a limited time.
   *
   * @param timeout how long to wait
   * @return the event; empty if none came in time or the timeline has ended
   * @throws InterruptedException if the thread is interrupted; a later call goes on
   */
  public Optional<Event> poll(Duration timeout) throws InterruptedException {
    boolean found = advance(System.nanoTime() + Times.nanos(timeout));
    return found ? Optional.of(position.take()) : Optional.empty();
  }

  @Override
  public Iterator<Event> iterator() {
    return this;
  }

  /** End the iteration, even if another thread waits in it. */
  @Override
  public void close() {
    lock.lock();
    try {
      closed.countDown();
      if (stream != null) {
        stream.cancel();
      }
    } finally {
      lock.unlock();
    }
  }

  static LedgerException interrupted(InterruptedException error) {
    Thread.currentThread().interrupt();
    Status status = Status.CANCELLED.withDescription("the thread was interrupted");
    return LedgerException.of(status, null, error);
  }

  /** Make an event available. Returns false if the timeline has ended or the moment has passed. */
  private boolean advance(long until) throws InterruptedException {
    while (!hasEnded()) {
      if (position.hasEvent()) {
        return true;
      }
      if (!read(until)) {
        return false;
      }
    }
    return false;
  }

  /** Read one message. Returns false if the moment has passed. */
  private boolean read(long until) throws InterruptedException {
    if (stream == null) {
      long left = until - System.nanoTime();
      long pause = retryAt - System.nanoTime();
      if (closed.await(Math.min(left, pause), TimeUnit.NANOSECONDS)) {
        return true;
      }
      if (pause > left) {
        return false;
      }
      if (!open()) {
        return true;
      }
    }
    MessageStream.Item<StreamTimelineResponse> item = stream.take(until - System.nanoTime());
    if (item == null) {
      return false;
    }
    if (item.isEnd()) {
      broken(item.failure());
    } else {
      if (position.accept(item.message())) {
        retry.progress();
      } else {
        retry.heard();
      }
    }
    return true;
  }

  /** Decide what follows the end of the stream; the next read opens it again. */
  private void broken(LedgerException failure) {
    replace(null);
    if (failure == null && !position.follows()) {
      closed.countDown();
    }
    if (hasEnded()) {
      return;
    }
    LedgerException error = failure == null ? LedgerException.of(Retry.ENDED, null, null) : failure;
    try {
      retryAt = System.nanoTime() + retry.pause(error);
    } catch (LedgerException permanent) {
      if (!Context.current().isCancelled()) {
        closed.countDown();
      }
      throw permanent;
    }
  }

  /** Open the stream at the position. Returns false if the timeline is closed. */
  private boolean open() {
    lock.lock();
    try {
      if (!hasEnded()) {
        stream =
            MessageStream.open(
                channel, EventServiceGrpc.getStreamTimelineMethod(), CallOptions.DEFAULT);
        stream.send(position.resume());
        stream.halfClose();
      }
    } catch (ClientClosedException error) {
      closed.countDown(); // The client closes, and has not come to this timeline yet.
    } finally {
      lock.unlock();
    }
    return !hasEnded();
  }

  private void replace(MessageStream<StreamTimelineRequest, StreamTimelineResponse> next) {
    lock.lock();
    try {
      stream = next;
    } finally {
      lock.unlock();
    }
  }
}
