package io.github.orchestrationledger.client;

import io.grpc.Context;

/**
 * Calls that are made although the caller was interrupted or cancelled, such as the release of a
 * task.
 */
final class Detached {
  private Detached() {}

  static void run(Runnable call) {
    boolean interrupted = Thread.interrupted();
    try {
      Context.ROOT.run(call);
    } finally {
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }
}
