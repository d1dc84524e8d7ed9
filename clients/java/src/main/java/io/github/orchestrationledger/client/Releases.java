package io.github.orchestrationledger.client;

import io.github.orchestrationledger.v1.ReleaseTaskRequest;
import java.util.concurrent.CancellationException;

/** The ends of one attempt: the last release that was sent, and what belongs into one. */
final class Releases {
  /** The most characters of the reason of an attempt. */
  private static final int MAX_REASON = 2_000;

  /** The last release that was sent; null before. */
  private ReleaseTaskRequest last;

  /**
   * Return the last release if it had the same content, or else the given one with an id, after the
   * check. The last one may have taken effect although its answer was an error, and ended the
   * lease.
   */
  synchronized ReleaseTaskRequest same(ReleaseTaskRequest given, Runnable check) {
    boolean named = last == null || !given.getRequestId().isEmpty();
    String id = named ? given.getRequestId() : last.getRequestId();
    if (!given.toBuilder().setRequestId(id).build().equals(last)) {
      check.run();
      last = CallInterceptor.withRequestId(given);
    }
    return last;
  }

  /** Return true if an error means that the caller was told to stop. */
  static boolean wasStopped(Throwable error) {
    return error instanceof InterruptedException
        || error instanceof CancellationException
        || Thread.currentThread().isInterrupted()
        || io.grpc.Context.current().isCancelled();
  }

  /** Return the reason in as many characters as the ledger takes. */
  static String shortened(String reason) {
    int length = reason.codePointCount(0, reason.length());
    return length <= MAX_REASON
        ? reason
        : reason.substring(0, reason.offsetByCodePoints(0, MAX_REASON));
  }
}
