package io.github.orchestrationledger.client;

import io.grpc.Context;
import io.grpc.Status;
import java.time.Duration;
import java.util.Set;
import java.util.concurrent.ThreadLocalRandom;
import java.util.function.DoubleSupplier;
import java.util.function.LongSupplier;
import java.util.logging.Level;
import java.util.logging.Logger;

/** A backoff with jitter, from 0.05 to 5 seconds, that restarts at each progress. */
final class Retry {
  /** The error of a stream that the server ended although it should go on. */
  static final Status ENDED = Status.UNAVAILABLE.withDescription("the server ended the stream");

  static final Logger LOG = Logger.getLogger("orchestration");

  private static final long INITIAL = Duration.ofMillis(50).toNanos();
  private static final long LONGEST = Duration.ofSeconds(5).toNanos();
  private static final Set<Status.Code> TRANSIENT =
      Set.of(
          Status.Code.UNAVAILABLE,
          Status.Code.CANCELLED,
          Status.Code.DEADLINE_EXCEEDED,
          Status.Code.ABORTED);

  /** A connection reset causes one of these, and so does a permanent fault of the server. */
  private static final Set<Status.Code> AMBIGUOUS =
      Set.of(Status.Code.INTERNAL, Status.Code.UNKNOWN);

  private static final int AMBIGUOUS_ATTEMPTS = 5;

  private final Duration timeout;
  private final LongSupplier clock;
  private final DoubleSupplier random;
  private int attempts;
  private int ambiguous;
  private long brokenSince;
  private boolean heard;
  private long heardSince;

  /**
   * Initialize.
   *
   * @param timeout the time without progress after which an error is raised; null to retry for ever
   */
  Retry(Duration timeout) {
    this(timeout, System::nanoTime, () -> ThreadLocalRandom.current().nextDouble());
  }

  Retry(Duration timeout, LongSupplier clock, DoubleSupplier random) {
    this.timeout = timeout;
    this.clock = clock;
    this.random = random;
  }

  /** Note that a message brought the caller on. */
  void progress() {
    attempts = 0;
    ambiguous = 0;
  }

  /**
   * Note that a message arrived that brought nothing new. It is progress if the stream lives on: a
   * server may greet each stream, and end it at once.
   */
  void heard() {
    if (!heard) {
      heardSince = clock.getAsLong();
    }
    heard = true;
  }

  /**
   * Return the nanoseconds to wait before the next attempt; throw the error if another one would
   * not help.
   */
  long pause(LedgerException error) {
    return pause(error, false);
  }

  /**
   * Return the pause as {@link #pause(LedgerException)}, for an error that the server may have
   * declared retryable.
   */
  long pause(LedgerException error, boolean retryable) {
    long now = clock.getAsLong();
    if (heard && now - heardSince >= LONGEST) {
      progress();
    }
    heard = false;
    if (attempts == 0) {
      brokenSince = now;
    }
    attempts++;
    if (AMBIGUOUS.contains(error.code())) {
      ambiguous++;
    }
    boolean late = timeout != null && now - brokenSince >= Times.nanos(timeout);
    // The caller's own cancellation ends the stream with a code that the server sends, too.
    if (Context.current().isCancelled() || late || !(retryable || maySucceed(error))) {
      throw error;
    }
    long ceiling = Math.min(LONGEST, INITIAL << Math.min(attempts - 1, 10));
    long delay = (long) (ceiling * (0.5 + 0.5 * random.getAsDouble()));
    delay = Math.max(delay, error.retryDelay().map(Times::nanos).orElse(0L));
    log(error, delay);
    return delay;
  }

  private boolean maySucceed(LedgerException error) {
    if (error.code() == Status.Code.RESOURCE_EXHAUSTED) {
      // Without a delay it comes from the transport and means that a message is too large.
      return error.retryDelay().isPresent();
    }
    if (AMBIGUOUS.contains(error.code())) {
      return ambiguous < AMBIGUOUS_ATTEMPTS;
    }
    return TRANSIENT.contains(error.code());
  }

  private static void log(LedgerException error, long delay) {
    // This package sets the deadline, to leave a stream that hangs.
    Level level = error.code() == Status.Code.DEADLINE_EXCEEDED ? Level.FINE : Level.WARNING;
    LOG.log(
        level,
        () -> String.format("stream broke: %s; again in %.2f s", error.getMessage(), delay / 1e9));
  }
}
