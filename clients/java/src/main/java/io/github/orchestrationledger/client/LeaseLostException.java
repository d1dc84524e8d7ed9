package io.github.orchestrationledger.client;

import io.grpc.Status;
import java.util.Map;

/** Thrown by work whose lease is lost. Stop the work: another agent may have the task. */
public final class LeaseLostException extends LedgerException {
  private static final long serialVersionUID = 1L;

  LeaseLostException(String taskCode, String reason) {
    super(
        Details.of(
            Status.FAILED_PRECONDITION.withDescription(
                "the lease of task " + taskCode + " is lost: " + reason),
            "STALE_FENCE",
            Map.of()),
        null);
  }
}
