package io.github.orchestrationledger.client;

import com.google.protobuf.Message;
import io.github.orchestrationledger.v1.AdminServiceGrpc;
import io.github.orchestrationledger.v1.AdminServiceGrpc.AdminServiceBlockingStub;
import io.github.orchestrationledger.v1.ClaimTaskRequest;
import io.github.orchestrationledger.v1.ClaimTaskResponse;
import io.github.orchestrationledger.v1.ContextServiceGrpc;
import io.github.orchestrationledger.v1.ContextServiceGrpc.ContextServiceBlockingStub;
import io.github.orchestrationledger.v1.CoordinationServiceGrpc;
import io.github.orchestrationledger.v1.CoordinationServiceGrpc.CoordinationServiceBlockingStub;
import io.github.orchestrationledger.v1.EventServiceGrpc;
import io.github.orchestrationledger.v1.EventServiceGrpc.EventServiceBlockingStub;
import io.github.orchestrationledger.v1.NewEvent;
import io.github.orchestrationledger.v1.ReportServiceGrpc;
import io.github.orchestrationledger.v1.ReportServiceGrpc.ReportServiceBlockingStub;
import io.github.orchestrationledger.v1.ScheduleServiceGrpc;
import io.github.orchestrationledger.v1.ScheduleServiceGrpc.ScheduleServiceBlockingStub;
import io.github.orchestrationledger.v1.SessionServiceGrpc;
import io.github.orchestrationledger.v1.SessionServiceGrpc.SessionServiceBlockingStub;
import io.github.orchestrationledger.v1.SprintServiceGrpc;
import io.github.orchestrationledger.v1.SprintServiceGrpc.SprintServiceBlockingStub;
import io.github.orchestrationledger.v1.StreamTimelineRequest;
import io.github.orchestrationledger.v1.TaskServiceGrpc;
import io.github.orchestrationledger.v1.TaskServiceGrpc.TaskServiceBlockingStub;
import io.github.orchestrationledger.v1.TemplateServiceGrpc;
import io.github.orchestrationledger.v1.TemplateServiceGrpc.TemplateServiceBlockingStub;
import io.grpc.Channel;
import io.grpc.ClientInterceptors;
import io.grpc.ManagedChannel;
import io.grpc.StatusRuntimeException;
import java.time.Duration;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.Spliterator;
import java.util.Spliterators;
import java.util.WeakHashMap;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;

/**
 * A connection to the ledger for any number of threads.
 *
 * <p>The generated stubs are primary: {@link #tasks}, {@link #events} and the others. A call
 * through them, or through stubs on {@link #channel}, carries the caller's metadata. A unary call
 * also gets a deadline if it has none, and a request_id if it is a mutation without one, so that a
 * call that the channel retries takes effect once. The stubs throw {@link StatusRuntimeException};
 * {@link #call} and the methods of this package throw {@link LedgerException}, which has the reason
 * and the rest of the error.
 */
public final class LedgerClient implements AutoCloseable {
  /** The time that a claim has beyond its wait. */
  private static final Duration ANSWER_TIME = Duration.ofSeconds(10);

  /** The longest time of a claim that is taken off its lease without asking the server. */
  private static final long SURE_NANOS = TimeUnit.SECONDS.toNanos(1);

  private static final Duration EMIT_RETRY_TIMEOUT = Duration.ofSeconds(60);

  private final Settings settings;
  private final ManagedChannel managed;
  private final Reconnector reconnector;
  private final Channel channel;
  private final LeaseKeeper keeper;
  private final Set<Timeline> timelines =
      Collections.synchronizedSet(Collections.newSetFromMap(new WeakHashMap<>()));
  private volatile boolean closed;

  LedgerClient(Settings settings, ManagedChannel managed) {
    this.settings = settings;
    this.managed = managed;
    this.reconnector = new Reconnector(managed);
    this.channel =
        ClientInterceptors.intercept(
            managed, new CallInterceptor(settings.metadata(), settings.timeout(), () -> closed));
    this.keeper = new LeaseKeeper(coordination());
  }

  /**
   * Return a builder of clients.
   *
   * @return the builder, whose settings come from the environment until they are set
   */
  public static LedgerClientBuilder builder() {
    return new LedgerClientBuilder();
  }

  /**
   * Return the channel, for stubs of other kinds. Calls on it get what all calls of the client get.
   *
   * @return the channel
   */
  public Channel channel() {
    return channel;
  }

  /**
   * Return the stub of SprintService.
   *
   * @return the stub
   */
  public SprintServiceBlockingStub sprints() {
    return SprintServiceGrpc.newBlockingStub(channel);
  }

  /**
   * Return the stub of TaskService.
   *
   * @return the stub
   */
  public TaskServiceBlockingStub tasks() {
    return TaskServiceGrpc.newBlockingStub(channel);
  }

  /**
   * Return the stub of EventService.
   *
   * @return the stub
   */
  public EventServiceBlockingStub events() {
    return EventServiceGrpc.newBlockingStub(channel);
  }

  /**
   * Return the stub of SessionService.
   *
   * @return the stub
   */
  public SessionServiceBlockingStub sessions() {
    return SessionServiceGrpc.newBlockingStub(channel);
  }

  /**
   * Return the stub of ContextService.
   *
   * @return the stub
   */
  public ContextServiceBlockingStub contexts() {
    return ContextServiceGrpc.newBlockingStub(channel);
  }

  /**
   * Return the stub of CoordinationService.
   *
   * @return the stub
   */
  public CoordinationServiceBlockingStub coordination() {
    return CoordinationServiceGrpc.newBlockingStub(channel);
  }

  /**
   * Return the stub of TemplateService.
   *
   * @return the stub
   */
  public TemplateServiceBlockingStub templates() {
    return TemplateServiceGrpc.newBlockingStub(channel);
  }

  /**
   * Return the stub of ScheduleService.
   *
   * @return the stub
   */
  public ScheduleServiceBlockingStub schedules() {
    return ScheduleServiceGrpc.newBlockingStub(channel);
  }

  /**
   * Return the stub of ReportService.
   *
   * @return the stub
   */
  public ReportServiceBlockingStub reports() {
    return ReportServiceGrpc.newBlockingStub(channel);
  }

  /**
   * Return the stub of AdminService.
   *
   * @return the stub
   */
  public AdminServiceBlockingStub admin() {
    return AdminServiceGrpc.newBlockingStub(channel);
  }

  /**
   * Call a method of a stub, such as {@code client.call(client.tasks()::getTask, request)}.
   *
   * @param method the method
   * @param request the request
   * @param <Q> the request
   * @param <R> the response
   * @return the response
   * @throws LedgerException if the server or the transport refuses
   */
  public <Q, R> R call(Function<Q, R> method, Q request) {
    try {
      return method.apply(request);
    } catch (StatusRuntimeException error) {
      throw LedgerException.of(error);
    }
  }

  /**
   * Return the items of all pages of a list, which are read while the stream is consumed.
   *
   * <p>{@code client.pages(client.tasks()::listTasks, request, ListTasksResponse::getTasksList)}
   *
   * @param method the method of a stub that lists
   * @param request the request; its page_size is the size of a page, not of the list
   * @param items the items of a page
   * @param <Q> the request
   * @param <R> the response
   * @param <T> the items
   * @return a stream that throws {@link LedgerException} if the server refuses a page
   */
  public <Q extends Message, R extends Message, T> Stream<T> pages(
      Function<Q, R> method, Q request, Function<R, List<T>> items) {
    Spliterator<T> all =
        Spliterators.spliteratorUnknownSize(
            new Pages<>(method, request, items), Spliterator.ORDERED | Spliterator.NONNULL);
    return StreamSupport.stream(all, false);
  }

  /**
   * Follow the timeline from the start that the request names, and return each event once. It tries
   * for ever to reconnect, and logs each try as a warning of the logger "orchestration".
   *
   * @param request the filter, the start, and whether to go on after the history
   * @return the timeline, which is closed with the client
   */
  public Timeline follow(StreamTimelineRequest request) {
    return follow(request, null);
  }

  /**
   * Follow the timeline as {@link #follow(StreamTimelineRequest)}, but not for ever without a
   * server.
   *
   * @param request the filter, the start, and whether to go on after the history
   * @param retryTimeout how long to try without a message before the error is thrown; null to try
   *     for ever
   * @return the timeline, which is closed with the client
   */
  public Timeline follow(StreamTimelineRequest request, Duration retryTimeout) {
    requireOpen();
    Timeline opened = new Timeline(channel, request, retryTimeout);
    timelines.add(opened);
    return opened;
  }

  /**
   * Store all events over one stream, as {@link #emitAll(Iterable, int, Duration)} does, in
   * messages of up to 500 events, and try for a minute to reconnect.
   *
   * @param events the events; for a stream, {@code stream::iterator}
   * @return the numbers of events
   */
  public EmitTotals emitAll(Iterable<NewEvent> events) {
    return emitAll(events, Batches.MAX_EVENTS, EMIT_RETRY_TIMEOUT);
  }

  /**
   * Store all events over one stream, in messages of up to 2 MiB.
   *
   * <p>At most 4 messages wait for an answer, so memory does not grow with the number of events. If
   * the stream breaks, unanswered messages are sent again under the same request_id.
   *
   * @param events the events; for a stream, {@code stream::iterator}
   * @param batch the most events of a message, 1 to 500
   * @param retryTimeout how long to try without an answer before the error is thrown; null to try
   *     for ever
   * @return the numbers of events
   * @throws LedgerException if the server refuses a message; the metadata's {@code first_event} is
   *     the index of its first event. The events of other messages may be stored then, so give
   *     events a dedup_key if you may run the whole again.
   */
  public EmitTotals emitAll(Iterable<NewEvent> events, int batch, Duration retryTimeout) {
    requireOpen();
    return new Emission(channel, new Batches(events.iterator(), batch), retryTimeout).run();
  }

  /**
   * Claim a task, or the next ready one, and keep its lease by heartbeats.
   *
   * @param request the task, or the filters and the wait
   * @return the work; empty if no task was ready in time
   */
  public Optional<Work> claim(ClaimTaskRequest request) {
    if (request.getCount() > 1) {
      throw new IllegalArgumentException("claim takes one task: use claimMany");
    }
    return claimMany(request).stream().findFirst();
  }

  /**
   * Claim the next ready tasks that match, in one call, and keep their leases by heartbeats.
   *
   * @param request the filters, the count and the wait
   * @return the work on each task, in the order of the response; empty if no task was ready in time
   */
  public List<Work> claimMany(ClaimTaskRequest request) {
    // One id for all attempts of the call, so that a retry gets the same leases.
    ClaimTaskRequest sent = CallInterceptor.withRequestId(request);
    Duration timeout = Times.duration(request.getWait()).plus(ANSWER_TIME);
    CoordinationServiceBlockingStub stub =
        coordination().withDeadlineAfter(timeout.toNanos(), TimeUnit.NANOSECONDS);
    long sentAt = System.nanoTime();
    ClaimTaskResponse answer = call(stub::claimTask, sent);
    boolean slow = System.nanoTime() - sentAt > SURE_NANOS;
    List<Work> taken =
        answer.getClaimsList().stream().map(each -> new Work(this, each, sentAt)).toList();
    if (slow && !taken.isEmpty()) {
      // It is not known when in that time the leases began: a heartbeat tells until when they are
      // valid.
      keeper.beatOnce(taken.stream().map(Work::kept).toList());
    }
    taken.stream().filter(work -> !work.isKnownLost()).forEach(work -> keeper.keep(work.kept()));
    return taken;
  }

  /**
   * Iterate over ready tasks: claim one, work on it, and claim the next, until none is ready in
   * time.
   *
   * @param request the filters; its wait is the longest time to wait for the next task
   * @return an iterator of work, to close if the loop may end early
   */
  public Claims claims(ClaimTaskRequest request) {
    return claims(request, Times.duration(request.getWait()));
  }

  /**
   * Iterate over ready tasks as {@link #claims(ClaimTaskRequest)}.
   *
   * @param request the filters
   * @param wait how long to wait for the next task, also longer than one call may wait
   * @return an iterator of work, to close if the loop may end early
   */
  public Claims claims(ClaimTaskRequest request, Duration wait) {
    requireOpen();
    return new Claims(this, request, wait);
  }

  /** End the timelines and heartbeats, and close the channel. Pending calls fail with CANCELLED. */
  @Override
  public void close() {
    closed = true;
    synchronized (timelines) {
      timelines.forEach(Timeline::close);
    }
    keeper.close();
    reconnector.close();
    managed.shutdownNow();
  }

  String session() {
    return settings.session();
  }

  LeaseKeeper keeper() {
    return keeper;
  }

  private void requireOpen() {
    if (closed) {
      throw new ClientClosedException();
    }
  }
}
