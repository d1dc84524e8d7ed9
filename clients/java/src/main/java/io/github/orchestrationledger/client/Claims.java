package io.github.orchestrationledger.client;

import io.github.orchestrationledger.v1.AttemptOutcome;
import io.github.orchestrationledger.v1.ClaimTaskRequest;
import io.github.orchestrationledger.v1.ListReadyTasksRequest;
import io.github.orchestrationledger.v1.ListReadyTasksResponse;
import io.github.orchestrationledger.v1.Task;
import io.grpc.Status;
import java.time.Duration;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.Set;
import java.util.concurrent.TimeUnit;

/**
 * An iterator that claims the next ready task at each step, until none is ready in time.
 *
 * <p>A task that this loop gave back is not claimed again by the loop: other agents may have it.
 * Work that has not ended when the loop goes on, or is closed, is given back. One thread iterates.
 */
public final class Claims implements Iterable<Work>, Iterator<Work>, AutoCloseable {
  /** The longest wait of one call. */
  private static final Duration LONGEST_WAIT = Duration.ofSeconds(60);

  /** The time between two looks for a task that the loop has not given back. */
  private static final Duration LOOK_AGAIN = Duration.ofSeconds(5);

  /** How long a server may ask to wait. */
  private static final Duration PATIENCE = Duration.ofSeconds(60);

  /** The reasons for which another task is tried: somebody was faster. */
  private static final Set<String> TAKEN = Set.of("TASK_HELD", "TASK_NOT_READY", "NOT_FOUND");

  private final LedgerClient client;
  private final ClaimTaskRequest request;
  private final Duration wait;
  private final Set<String> givenBack = new HashSet<>();
  private Work last;
  private Work next;

  Claims(LedgerClient client, ClaimTaskRequest request, Duration wait) {
    this.client = client;
    this.request = request.toBuilder().clearWait().clearRequestId().setCount(1).build();
    this.wait = wait;
  }

  @Override
  public Iterator<Work> iterator() {
    return this;
  }

  /**
   * Give back the last work if it has not ended, and claim the next task. Returns false if none is
   * ready in time.
   */
  @Override
  public boolean hasNext() {
    if (next != null) {
      return true;
    }
    leaveLast();
    long until = System.nanoTime() + Times.nanos(wait);
    do {
      long left = Math.max(0, until - System.nanoTime());
      next = claim(Math.min(left, LONGEST_WAIT.toNanos()));
    } while (next == null && until - System.nanoTime() > 0);
    return next != null;
  }

  @Override
  public Work next() {
    if (!hasNext()) {
      throw new NoSuchElementException("no task is ready");
    }
    last = next;
    next = null;
    return last;
  }

  /** Give back work that has not ended. */
  @Override
  public void close() {
    leaveLast();
    last = next;
    next = null;
    leaveLast();
  }

  private void leaveLast() {
    Work work = last;
    last = null;
    if (work == null) {
      return;
    }
    if (!work.hasEnded()) {
      Retry.LOG.warning(
          () ->
              "the loop went on before the work on "
                  + work.task().getCode()
                  + " had ended: it is given back");
      work.close();
    }
    if (work.outcome() == AttemptOutcome.ATTEMPT_OUTCOME_RETURNED) {
      givenBack.add(work.task().getCode());
    }
  }

  private Work claim(long waitNanos) {
    if (givenBack.isEmpty()) {
      ClaimTaskRequest.Builder asked = request.toBuilder();
      if (waitNanos > 0) {
        asked.setWait(Times.proto(Duration.ofNanos(waitNanos)));
      }
      List<Work> taken = claimPatiently(asked.build());
      return taken.isEmpty() ? null : taken.get(0);
    }
    Work found = claimOther();
    if (found == null && waitNanos > 0) {
      sleep(Math.min(waitNanos, LOOK_AGAIN.toNanos()));
    }
    return found;
  }

  /**
   * Claim, and wait as long as a server asks for that is at a limit, with one request_id for all
   * attempts.
   */
  private List<Work> claimPatiently(ClaimTaskRequest asked) {
    ClaimTaskRequest sent = CallInterceptor.withRequestId(asked);
    long until = System.nanoTime() + PATIENCE.toNanos();
    while (true) {
      try {
        return client.claimMany(sent);
      } catch (LedgerException error) {
        long delay = error.retryDelay().map(Times::nanos).orElse(Long.MAX_VALUE);
        boolean busy = error.code() == Status.Code.RESOURCE_EXHAUSTED;
        if (!busy || delay > until - System.nanoTime()) {
          throw error;
        }
        sleep(delay);
      }
    }
  }

  private static void sleep(long nanos) {
    try {
      TimeUnit.NANOSECONDS.sleep(nanos);
    } catch (InterruptedException error) {
      throw Timeline.interrupted(error);
    }
  }

  /**
   * Claim the next ready task that this loop has not given back, by its code. A claim has no filter
   * for that: it would get the same task again and again.
   */
  private Work claimOther() {
    ListReadyTasksRequest asked =
        ListReadyTasksRequest.newBuilder()
            .setSprintCode(request.getSprintCode())
            .setPageSize(500)
            .build();
    Iterator<Task> ready =
        client
            .pages(
                client.coordination()::listReadyTasks, asked, ListReadyTasksResponse::getTasksList)
            .iterator();
    while (ready.hasNext()) {
      Task task = ready.next();
      if (givenBack.contains(task.getCode()) || !matches(task)) {
        continue;
      }
      ClaimTaskRequest named =
          request.toBuilder()
              .setTaskCode(task.getCode())
              .clearSprintCode()
              .clearLabels()
              .clearPriorities()
              .clearCount()
              .build();
      try {
        return claimPatiently(named).get(0);
      } catch (LedgerException error) {
        if (!TAKEN.contains(error.reason())) {
          throw error;
        }
      }
    }
    return null;
  }

  /** Return true if a claim with the filters of the request takes the task. */
  private boolean matches(Task task) {
    return task.getLabelsList().containsAll(request.getLabelsList())
        && (request.getPrioritiesCount() == 0
            || request.getPrioritiesList().contains(task.getPriority()))
        && request.getCapabilitiesList().containsAll(task.getCapabilitiesList());
  }
}
