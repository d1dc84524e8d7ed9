package io.github.orchestrationledger.client;

import io.github.orchestrationledger.v1.Directive;
import io.github.orchestrationledger.v1.LeaseState;
import io.github.orchestrationledger.v1.LeaseStatus;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.OptionalLong;
import java.util.Set;

/**
 * The leases of one client: when to beat, and when a lease is lost. No I/O and no clock of its own;
 * the moments are in nanoseconds of a monotonic clock, which are compared by their difference. The
 * keeper calls it under its lock.
 */
final class LeaseTable {
  /** The most leases of one heartbeat. */
  static final int MAX_BEATS = 10_000;

  /** Heartbeats in the duration of a lease. */
  private static final int BEATS_PER_LEASE = 3;

  /** Attempts in the duration of a lease while heartbeats fail. */
  private static final int RETRIES_PER_LEASE = 20;

  static final String HAS_ENDED = "the server says that the lease has ended";
  static final String OUT_OF_TIME = "no heartbeat was accepted in time";

  private final Set<KeptLease> kept = new LinkedHashSet<>();

  /** Keep a lease from now on. */
  void add(KeptLease lease, long now) {
    long left = Math.min(lease.duration, Math.max(0, lease.validUntil - now));
    lease.nextBeat = now + left / BEATS_PER_LEASE;
    kept.add(lease);
  }

  /** Keep a lease no longer. Answers that arrive later are ignored. */
  void remove(KeptLease lease) {
    kept.remove(lease);
  }

  /**
   * Return the nanoseconds until the next heartbeat or expiry is due; empty if there is no lease.
   */
  OptionalLong untilWake(long now) {
    return kept.stream()
        .mapToLong(
            lease -> {
              long expiry = lease.validUntil - now;
              return lease.sending ? expiry : Math.min(lease.nextBeat - now, expiry);
            })
        .min();
  }

  /**
   * Return the nanoseconds until the first lease is lost unless a heartbeat is accepted; empty if
   * there is none.
   */
  OptionalLong untilExpiry(long now) {
    return kept.stream().mapToLong(lease -> lease.validUntil - now).min();
  }

  /** Give up the leases that are no longer certainly valid. */
  void expire(long now) {
    for (KeptLease lease : List.copyOf(kept)) {
      if (lease.validUntil - now <= 0) {
        kept.remove(lease);
        lease.lose(OUT_OF_TIME);
      }
    }
  }

  /** Give up all leases. */
  void loseAll(String reason) {
    for (KeptLease lease : List.copyOf(kept)) {
      kept.remove(lease);
      lease.lose(reason);
    }
  }

  /** Return the leases to beat now, and those that are due soon, so that they share a call. */
  List<KeptLease> due(long now) {
    List<KeptLease> found = new ArrayList<>();
    if (kept.stream().noneMatch(lease -> !lease.sending && lease.nextBeat - now <= 0)) {
      return found;
    }
    for (KeptLease lease : kept) {
      boolean soon = lease.nextBeat - now <= lease.duration / (2 * BEATS_PER_LEASE);
      if (!lease.sending && soon && found.size() < MAX_BEATS) {
        lease.sending = true;
        found.add(lease);
      }
    }
    return found;
  }

  /** Take the answer to a heartbeat that was sent at a moment: a state for each lease. */
  void accepted(List<KeptLease> beaten, List<LeaseState> states, long sentAt, long now) {
    for (int i = 0; i < beaten.size(); i++) {
      KeptLease lease = beaten.get(i);
      lease.sending = false;
      if (kept.contains(lease)) {
        accepted(lease, states.get(i), sentAt, now);
      }
    }
  }

  private void accepted(KeptLease lease, LeaseState state, long sentAt, long now) {
    if (state.getStatus() != LeaseStatus.LEASE_STATUS_HELD) {
      if (lease.ending) {
        lease.nextBeat = now + lease.duration / RETRIES_PER_LEASE;
        return;
      }
      kept.remove(lease);
      lease.lose(HAS_ENDED);
      return;
    }
    // The deadline of an attempt may leave less than the duration. Time passes at the same speed on
    // all clocks,
    // whatever they show.
    long left = Math.min(lease.duration, Times.nanos(Times.duration(state.getTimeLeft())));
    lease.validUntil = sentAt + left;
    lease.nextBeat = sentAt + left / BEATS_PER_LEASE;
    Directive directive = state.getDirective();
    if (directive == Directive.DIRECTIVE_UNSPECIFIED && state.getReason().isEmpty()) {
      directive = Directive.DIRECTIVE_CONTINUE;
    }
    lease.told = new KeptLease.Told(directive, state.getReason(), state.getBudgetLeft());
  }

  /** Take the failure of a heartbeat. The server may have accepted it, so try again soon. */
  void failed(List<KeptLease> beaten, long now) {
    for (KeptLease lease : beaten) {
      lease.sending = false;
      lease.nextBeat = now + lease.duration / RETRIES_PER_LEASE;
    }
  }
}
