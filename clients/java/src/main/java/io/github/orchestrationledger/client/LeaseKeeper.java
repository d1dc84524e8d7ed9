package io.github.orchestrationledger.client;

import io.github.orchestrationledger.v1.CoordinationServiceGrpc.CoordinationServiceBlockingStub;
import io.github.orchestrationledger.v1.HeartbeatRequest;
import io.github.orchestrationledger.v1.HeartbeatResponse;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.time.Duration;
import java.util.List;
import java.util.OptionalLong;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.logging.Level;

/** The heartbeats of all work of one client, on one thread that starts with the first lease. */
final class LeaseKeeper implements AutoCloseable {
  /** The longest deadline of a heartbeat. */
  static final Duration BEAT_TIMEOUT = Duration.ofSeconds(5);

  private static final String CLOSED = "the client is closed";

  private static final Duration SHORTEST_TIMEOUT = Duration.ofMillis(50);

  private final CoordinationServiceBlockingStub coordination;
  private final LeaseTable table = new LeaseTable();
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  private boolean closed;
  private Thread thread;

  LeaseKeeper(CoordinationServiceBlockingStub coordination) {
    this.coordination = coordination;
  }

  /** Beat for a lease until {@link #drop}. */
  void keep(KeptLease lease) {
    lock.lock();
    try {
      if (closed) {
        lease.lose(CLOSED);
        return;
      }
      table.add(lease, System.nanoTime());
      if (thread == null) {
        thread = new Thread(this::run, "orchestration-leases");
        thread.setDaemon(true);
        thread.start();
      }
      changed.signal();
    } finally {
      lock.unlock();
    }
  }

  /** Beat for a lease no longer. */
  void drop(KeptLease lease) {
    lock.lock();
    try {
      table.remove(lease);
    } finally {
      lock.unlock();
    }
  }

  /**
   * Beat once for leases that are not kept yet, and take the answer. If there is none, they stay as
   * they are.
   */
  void beatOnce(List<KeptLease> leases) {
    LeaseTable fresh = new LeaseTable();
    long sentAt = System.nanoTime();
    leases.forEach(lease -> fresh.add(lease, sentAt));
    HeartbeatResponse answer;
    try {
      answer = call(leases, BEAT_TIMEOUT);
    } catch (StatusRuntimeException error) {
      Retry.LOG.warning(() -> "the leases of a slow claim count from its sending: " + error);
      return;
    }
    fresh.accepted(leases, answer.getLeasesList(), sentAt, System.nanoTime());
  }

  /** End the heartbeats. The leases count as lost, and expire by themselves. */
  @Override
  public void close() {
    lock.lock();
    try {
      closed = true;
      table.loseAll(CLOSED);
      changed.signal();
      if (thread != null) {
        // It may wait for an answer.
        thread.interrupt();
      }
    } finally {
      lock.unlock();
    }
  }

  private void run() {
    try {
      while (true) {
        List<KeptLease> due = awaitDue();
        if (due.isEmpty()) {
          return;
        }
        beat(due);
      }
    } catch (InterruptedException error) {
      Thread.currentThread().interrupt(); // The client is closed.
    }
  }

  /** Wait until leases are due. Returns none if the keeper is closed. */
  private List<KeptLease> awaitDue() throws InterruptedException {
    lock.lock();
    try {
      while (!closed) {
        table.expire(System.nanoTime());
        List<KeptLease> due = table.due(System.nanoTime());
        if (!due.isEmpty()) {
          return due;
        }
        OptionalLong wake = table.untilWake(System.nanoTime());
        if (wake.isPresent()) {
          changed.awaitNanos(wake.getAsLong());
        } else {
          changed.await();
        }
      }
      return List.of();
    } finally {
      lock.unlock();
    }
  }

  private void beat(List<KeptLease> due) {
    long sentAt = System.nanoTime();
    // A call that is not answered by then is of no use: the watchdog must not wait for it.
    Duration timeout = timeout(sentAt);
    try {
      HeartbeatResponse answer = call(due, timeout);
      lock.lock();
      try {
        table.accepted(due, answer.getLeasesList(), sentAt, System.nanoTime());
      } finally {
        lock.unlock();
      }
    } catch (RuntimeException error) {
      // Whatever it is, the thread goes on: it keeps all leases of the client.
      Level level = Thread.currentThread().isInterrupted() ? Level.FINE : Level.WARNING;
      Retry.LOG.log(level, () -> "heartbeat of " + due.size() + " leases failed: " + error);
      lock.lock();
      try {
        table.failed(due, System.nanoTime());
      } finally {
        lock.unlock();
      }
    }
  }

  private Duration timeout(long now) {
    lock.lock();
    try {
      long left = table.untilExpiry(now).orElse(BEAT_TIMEOUT.toNanos());
      long bounded = Math.min(BEAT_TIMEOUT.toNanos(), left);
      return Duration.ofNanos(Math.max(SHORTEST_TIMEOUT.toNanos(), bounded));
    } finally {
      lock.unlock();
    }
  }

  private HeartbeatResponse call(List<KeptLease> leases, Duration timeout) {
    HeartbeatRequest.Builder request = HeartbeatRequest.newBuilder();
    leases.forEach(lease -> request.addLeases(lease.reference()));
    HeartbeatResponse answer =
        coordination
            .withDeadlineAfter(timeout.toNanos(), TimeUnit.NANOSECONDS)
            .heartbeat(request.build());
    if (answer.getLeasesCount() != leases.size()) {
      throw Status.INTERNAL
          .withDescription("the server answered " + answer.getLeasesCount() + " leases")
          .asRuntimeException();
    }
    return answer;
  }
}
