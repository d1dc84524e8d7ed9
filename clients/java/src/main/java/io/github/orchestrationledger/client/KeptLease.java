package io.github.orchestrationledger.client;

import io.github.orchestrationledger.v1.Budget;
import io.github.orchestrationledger.v1.Directive;
import io.github.orchestrationledger.v1.Lease;
import io.github.orchestrationledger.v1.LeaseRef;
import io.github.orchestrationledger.v1.Usage;

/** A lease that the client keeps. The lease table owns the fields that are not volatile. */
final class KeptLease {
  /** The lease as ClaimTask returned it. */
  final Lease lease;

  /** The nanoseconds by which each heartbeat extends the lease. */
  final long duration;

  /**
   * The moment until which the lease is certainly valid: its duration after the sending of the last
   * heartbeat that the server accepted, or of the claim. By the monotonic clock.
   */
  volatile long validUntil;

  long nextBeat;
  boolean sending;

  /** True while the client releases the task. The server may say then that the lease has ended. */
  volatile boolean ending;

  /** What the attempt has used so far; null if it has not reported. Each heartbeat reports it. */
  volatile Usage usage;

  /** What the last heartbeat said. */
  volatile Told told = new Told(Directive.DIRECTIVE_CONTINUE, "", Budget.getDefaultInstance());

  private final Observer observer;

  /** Takes the loss of a lease. Called under the lock of the keeper, so it must not wait. */
  @FunctionalInterface
  interface Observer {
    void lost(String reason);
  }

  /**
   * What a heartbeat said.
   *
   * @param directive what the holder should do
   * @param reason why, and by whom
   * @param budgetLeft what is left of the budget of the task; empty if it has none
   */
  record Told(Directive directive, String reason, Budget budgetLeft) {}

  KeptLease(Lease lease, long sentAt, Observer observer) {
    this.lease = lease;
    this.observer = observer;
    this.duration = Times.nanos(Times.duration(lease.getDuration()));
    // The deadline of an attempt may leave less than the duration.
    long lasts = Times.nanos(Times.between(lease.getStartTime(), lease.getExpireTime()));
    this.validUntil = sentAt + Math.min(duration, lasts);
  }

  void lose(String reason) {
    observer.lost(reason);
  }

  /** Return the lease as a heartbeat names it. */
  LeaseRef reference() {
    LeaseRef.Builder reference =
        LeaseRef.newBuilder().setTaskCode(lease.getTaskCode()).setFence(lease.getFence());
    Usage used = usage;
    return (used == null ? reference : reference.setUsage(used)).build();
  }
}
