package io.github.orchestrationledger.client;

import com.google.protobuf.FieldMask;
import io.github.orchestrationledger.v1.AssembleContextRequest;
import io.github.orchestrationledger.v1.Attempt;
import io.github.orchestrationledger.v1.AttemptOutcome;
import io.github.orchestrationledger.v1.Budget;
import io.github.orchestrationledger.v1.ClaimedTask;
import io.github.orchestrationledger.v1.Context;
import io.github.orchestrationledger.v1.ContextFormat;
import io.github.orchestrationledger.v1.ContextOptions;
import io.github.orchestrationledger.v1.Directive;
import io.github.orchestrationledger.v1.Lease;
import io.github.orchestrationledger.v1.LogActivityRequest;
import io.github.orchestrationledger.v1.ReleaseTaskRequest;
import io.github.orchestrationledger.v1.ReleaseTaskResponse;
import io.github.orchestrationledger.v1.Task;
import io.github.orchestrationledger.v1.UpdateTaskRequest;
import io.github.orchestrationledger.v1.Usage;
import java.util.Map;
import java.util.concurrent.CompletableFuture;

/**
 * A claimed task, whose lease is kept by heartbeats until the work ends or the lease is lost.
 *
 * <p>{@link #run} releases the task as failed if its body throws, and gives it back if the body
 * ends without an outcome. In a {@code try} with resources {@link #close} does the latter; it
 * cannot see an exception. The methods throw {@link LedgerException} if the server refuses, and
 * writes throw {@link LeaseLostException} once the lease is lost. Any thread may call them.
 */
public final class Work implements AutoCloseable {
  private final LedgerClient client;
  private final KeptLease kept;
  private final Context context;
  private final Releases releases = new Releases();
  private final CompletableFuture<String> lost = new CompletableFuture<>();
  private volatile Task task;
  private volatile String lostReason = "";
  private volatile AttemptOutcome outcome = AttemptOutcome.ATTEMPT_OUTCOME_UNSPECIFIED;

  Work(LedgerClient client, ClaimedTask claimed, long sentAt) {
    this.client = client;
    this.context = claimed.getContext();
    this.task = claimed.getTask();
    this.kept = new KeptLease(claimed.getLease(), sentAt, this::lose);
  }

  KeptLease kept() {
    return kept;
  }

  private void lose(String reason) {
    lostReason = reason;
    // The callbacks of the caller must not run on the thread of the heartbeats.
    lost.completeAsync(() -> reason);
  }

  /**
   * Return the task, as the last answer has it.
   *
   * @return the task
   */
  public Task task() {
    return task;
  }

  /**
   * Return the context of the task.
   *
   * @return the context; empty if the claim did not ask for it
   */
  public Context context() {
    return context;
  }

  /**
   * Return the lease as the claim returned it.
   *
   * @return the lease
   */
  public Lease lease() {
    return kept.lease;
  }

  /**
   * Return the fence of the lease, for systems outside the ledger that can refuse an older one.
   *
   * @return the fence
   */
  public long fence() {
    return kept.lease.getFence();
  }

  /**
   * Return true if the lease is lost. Stop the work then: another agent may have the task.
   *
   * @return true if it is lost
   */
  public boolean isLost() {
    return !lostReason().isEmpty();
  }

  /** Return true if the loss of the lease was told already. */
  boolean isKnownLost() {
    return !lostReason.isEmpty();
  }

  /**
   * Return a future that completes with the reason when the lease is lost.
   *
   * @return a new future; it stays incomplete if the work ends otherwise
   */
  public CompletableFuture<String> lost() {
    return lost.copy();
  }

  /**
   * Return why the lease is lost.
   *
   * @return the reason; empty if it is not lost
   */
  public String lostReason() {
    boolean ended = outcome != AttemptOutcome.ATTEMPT_OUTCOME_UNSPECIFIED;
    // The thread of the heartbeats may not have seen yet that the time is over.
    boolean over = !ended && kept.validUntil - System.nanoTime() <= 0;
    return over && lostReason.isEmpty() ? LeaseTable.OUT_OF_TIME : lostReason;
  }

  /**
   * Return what the server asks the holder to do, by the last heartbeat.
   *
   * @return the directive
   */
  public Directive directive() {
    return kept.told.directive();
  }

  /**
   * Return why the server asks for it, and by whom.
   *
   * @return the reason; empty for CONTINUE
   */
  public String directiveReason() {
    return kept.told.reason();
  }

  /**
   * Return what is left of the budget of the task, by the last heartbeat.
   *
   * @return the rest; empty if the task has no budget
   */
  public Budget budgetLeft() {
    return kept.told.budgetLeft();
  }

  /**
   * Return how this client ended the attempt.
   *
   * @return the outcome; unspecified while it has not
   */
  public AttemptOutcome outcome() {
    return outcome;
  }

  /**
   * Return true if the work has ended: by an outcome or by the loss of the lease.
   *
   * @return true if it has ended
   */
  public boolean hasEnded() {
    return isLost() || outcome != AttemptOutcome.ATTEMPT_OUTCOME_UNSPECIFIED;
  }

  /**
   * Throw {@link LeaseLostException} if the lease is lost. Call it before an effect outside the
   * ledger.
   */
  public void check() {
    if (isLost()) {
      throw new LeaseLostException(task.getCode(), lostReason());
    }
  }

  /**
   * Report by each heartbeat from now on what the attempt has used since its start.
   *
   * <p>If the budget of the task is used up, {@link #directive} becomes CANCEL.
   *
   * @param usage what the attempt has used
   */
  public void report(Usage usage) {
    kept.usage = usage;
  }

  /**
   * Return the context of the task as Markdown, for a model. The server writes it within the
   * budget.
   *
   * @param tokens the most tokens of the text, 200 to 1,000,000; 0 for no limit
   * @return the text
   */
  public String prompt(int tokens) {
    ContextOptions.Builder options =
        ContextOptions.newBuilder()
            .setTokenBudget(tokens)
            .setFormat(ContextFormat.CONTEXT_FORMAT_MARKDOWN);
    AssembleContextRequest request =
        AssembleContextRequest.newBuilder().setTaskCode(task.getCode()).setOptions(options).build();
    return client.call(client.contexts()::assembleContext, request).getContext().getMarkdown();
  }

  /**
   * Log what the agent did, as {@link #log(String, String, Map)} does, with the kind "note".
   *
   * @param message what it did, in 1 to 10,000 characters
   */
  public void log(String message) {
    log(message, "note", Map.of());
  }

  /**
   * Log what the agent did: an activity of the client's session, or else an event about the task.
   *
   * @param message what it did, in 1 to 10,000 characters
   * @param kind the kind of activity, such as "note" or "decision"
   * @param fields JSON values that the payload of the event gets
   */
  public void log(String message, String kind, Map<String, ?> fields) {
    if (!client.session().isEmpty()) {
      LogActivityRequest activity = WorkLog.activity(client.session(), message, kind, fields);
      client.call(client.sessions()::logActivity, activity);
    } else {
      client.call(client.events()::emitEvent, WorkLog.event(kept.lease, message, kind, fields));
    }
  }

  /**
   * Update the fields of the task that are set, with the fence.
   *
   * @param changes a task with the fields to write; to empty one, use {@link #update(Task,
   *     FieldMask)}
   * @return the task after the change
   */
  public Task update(Task changes) {
    FieldMask.Builder mask = FieldMask.newBuilder();
    changes.getAllFields().keySet().stream()
        .filter(field -> field.getNumber() != Task.CODE_FIELD_NUMBER)
        .forEach(field -> mask.addPaths(field.getName()));
    return update(changes, mask.build());
  }

  /**
   * Update fields of the task, with the fence.
   *
   * @param changes a task with the values
   * @param mask the fields to write
   * @return the task after the change
   */
  public Task update(Task changes, FieldMask mask) {
    check();
    UpdateTaskRequest request =
        UpdateTaskRequest.newBuilder()
            .setTask(changes.toBuilder().setCode(task.getCode()))
            .setUpdateMask(mask)
            .setFence(fence())
            .build();
    task = client.call(client.tasks()::updateTask, request).getTask();
    return task;
  }

  /**
   * Complete the task.
   *
   * @param summary what was done, in up to 2,000 characters
   * @return the attempt as it ended
   */
  public Attempt finish(String summary) {
    return end(AttemptOutcome.ATTEMPT_OUTCOME_COMPLETED, summary);
  }

  /**
   * End the attempt as failed. The retry policy of the task decides what follows.
   *
   * @param reason why it failed
   * @return the attempt as it ended
   */
  public Attempt fail(String reason) {
    return end(AttemptOutcome.ATTEMPT_OUTCOME_FAILED, reason);
  }

  /**
   * Give the task back without a fault of the task, which is ready again at once.
   *
   * @param reason why, such as a note for the next agent
   * @return the attempt as it ended
   */
  public Attempt giveBack(String reason) {
    return end(AttemptOutcome.ATTEMPT_OUTCOME_RETURNED, reason);
  }

  /**
   * End the attempt because the task cannot continue for now, and block the task.
   *
   * @param reason why, in 1 to 2,000 characters
   * @return the attempt as it ended
   */
  public Attempt block(String reason) {
    return end(AttemptOutcome.ATTEMPT_OUTCOME_BLOCKED, reason);
  }

  /**
   * End the attempt with all that a release can say: usage, artifacts, or that another try cannot
   * succeed.
   *
   * @param release the outcome, the reason and the rest; the task and the fence are filled in
   * @return the attempt as it ended
   */
  public Attempt end(ReleaseTaskRequest release) {
    ReleaseTaskRequest request =
        releases.same(
            release.toBuilder()
                .setTaskCode(task.getCode())
                .setFence(fence())
                .setReason(Releases.shortened(release.getReason()))
                .build(),
            this::check);
    // From here on a heartbeat may find that the lease has ended.
    kept.ending = true;
    ReleaseTaskResponse answer;
    try {
      answer = client.call(client.coordination()::releaseTask, request);
    } catch (RuntimeException error) {
      kept.ending = false;
      throw error;
    }
    outcome = request.getOutcome();
    client.keeper().drop(kept);
    task = answer.getTask();
    return answer.getAttempt();
  }

  private Attempt end(AttemptOutcome outcome, String reason) {
    return end(ReleaseTaskRequest.newBuilder().setOutcome(outcome).setReason(reason).build());
  }

  /** End the heartbeats and send nothing: the lease expires by itself. */
  public void abandon() {
    client.keeper().drop(kept);
  }

  /**
   * Do the work of a body, and end the attempt if the body did not.
   *
   * <p>If the body throws, the attempt has failed; if it was interrupted or cancelled, or ends
   * without an outcome, the task is given back.
   *
   * @param body what to do
   * @param <X> the checked exception that it may throw
   * @throws X if the body does
   */
  public <X extends Exception> void run(WorkBody<X> body) throws X {
    try {
      body.run(this);
    } catch (Throwable error) {
      leave(error);
      throw error;
    }
    close();
  }

  /** Give the task back if the attempt has not ended, and stop the heartbeats. */
  @Override
  public void close() {
    leave(null);
  }

  private void leave(Throwable error) {
    try {
      if (!hasEnded()) {
        boolean stopped = error != null && Releases.wasStopped(error);
        boolean failed = error != null && !stopped;
        AttemptOutcome ending =
            failed
                ? AttemptOutcome.ATTEMPT_OUTCOME_FAILED
                : AttemptOutcome.ATTEMPT_OUTCOME_RETURNED;
        String reason = error == null ? "the block ended without an outcome" : error.toString();
        Detached.run(() -> end(ending, reason));
      }
    } catch (RuntimeException refused) {
      if (error == null) {
        throw refused;
      }
      error.addSuppressed(refused);
    } finally {
      client.keeper().drop(kept);
    }
  }
}
