package io.github.orchestrationledger.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.Timestamp;
import io.github.orchestrationledger.v1.AttemptOutcome;
import io.github.orchestrationledger.v1.ClaimTaskRequest;
import io.github.orchestrationledger.v1.ClaimTaskResponse;
import io.github.orchestrationledger.v1.ClaimedTask;
import io.github.orchestrationledger.v1.Directive;
import io.github.orchestrationledger.v1.EmitEventRequest;
import io.github.orchestrationledger.v1.EmitEventResponse;
import io.github.orchestrationledger.v1.HeartbeatRequest;
import io.github.orchestrationledger.v1.HeartbeatResponse;
import io.github.orchestrationledger.v1.Lease;
import io.github.orchestrationledger.v1.LeaseStatus;
import io.github.orchestrationledger.v1.ListReadyTasksResponse;
import io.github.orchestrationledger.v1.LogActivityRequest;
import io.github.orchestrationledger.v1.LogActivityResponse;
import io.github.orchestrationledger.v1.ReleaseTaskRequest;
import io.github.orchestrationledger.v1.ReleaseTaskResponse;
import io.github.orchestrationledger.v1.Task;
import io.github.orchestrationledger.v1.UpdateTaskRequest;
import io.github.orchestrationledger.v1.UpdateTaskResponse;
import io.grpc.Context;
import io.grpc.Status;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentLinkedDeque;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class WorkTest {
  private static final String CLAIM = "CoordinationService/ClaimTask";
  private static final String BEAT = "CoordinationService/Heartbeat";
  private static final String RELEASE = "CoordinationService/ReleaseTask";
  private static final ClaimTaskRequest NEXT = ClaimTaskRequest.getDefaultInstance();

  private final FakeLedger ledger = new FakeLedger();
  private final ConcurrentLinkedDeque<String> ready = new ConcurrentLinkedDeque<>(List.of("t1"));
  private volatile LeaseStatus status = LeaseStatus.LEASE_STATUS_HELD;
  private volatile int leaseMillis = 30_000;
  private LedgerClient client;

  @BeforeEach
  void open() {
    client = ledger.client().build();
    ledger.on(CLAIM, call -> call.answer(claim(call.as(ClaimTaskRequest.class))));
    ledger.on(BEAT, call -> call.answer(beat(call.as(HeartbeatRequest.class))));
    ledger.on(RELEASE, call -> call.answer(release(call.as(ReleaseTaskRequest.class))));
  }

  @AfterEach
  void close() {
    client.close();
    ledger.close();
  }

  private ClaimTaskResponse claim(ClaimTaskRequest request) {
    String code = request.getTaskCode();
    if (code.isEmpty()) {
      code = ready.poll();
    } else {
      ready.remove(code);
    }
    ClaimTaskResponse.Builder answer = ClaimTaskResponse.newBuilder();
    if (code != null) {
      Lease.Builder lease =
          Lease.newBuilder()
              .setTaskCode(code)
              .setFence(41)
              .setAttempt(2)
              .setDuration(Times.proto(java.time.Duration.ofMillis(leaseMillis)))
              .setStartTime(Timestamp.newBuilder().setSeconds(1_000))
              .setExpireTime(Timestamp.newBuilder().setSeconds(9_000));
      answer.addClaims(
          ClaimedTask.newBuilder().setLease(lease).setTask(Task.newBuilder().setCode(code)));
    }
    return answer.build();
  }

  private HeartbeatResponse beat(HeartbeatRequest request) {
    HeartbeatResponse.Builder answer = HeartbeatResponse.newBuilder();
    request
        .getLeasesList()
        .forEach(
            lease ->
                answer
                    .addLeasesBuilder()
                    .setStatus(status)
                    .setDirective(Directive.DIRECTIVE_DRAIN)
                    .setReason("enough")
                    .setTimeLeft(Times.proto(java.time.Duration.ofMillis(leaseMillis))));
    return answer.build();
  }

  private ReleaseTaskResponse release(ReleaseTaskRequest request) {
    if (request.getOutcome() == AttemptOutcome.ATTEMPT_OUTCOME_RETURNED) {
      ready.addFirst(request.getTaskCode());
    }
    return ReleaseTaskResponse.newBuilder()
        .setTask(Task.newBuilder().setCode(request.getTaskCode()))
        .build();
  }

  private Work take() {
    return client.claim(NEXT).orElseThrow();
  }

  private List<ReleaseTaskRequest> releases() {
    return ledger.calls(RELEASE).stream().map(call -> call.as(ReleaseTaskRequest.class)).toList();
  }

  private AttemptOutcome onlyOutcome() {
    assertEquals(1, releases().size());
    assertEquals(41, releases().get(0).getFence());
    return releases().get(0).getOutcome();
  }

  @Test
  void nothingIsReady() {
    ready.clear();
    assertTrue(client.claim(NEXT).isEmpty());
  }

  @Test
  void finishedWorkIsNotReleasedAgain() {
    take().run(work -> work.finish("done"));
    assertEquals(AttemptOutcome.ATTEMPT_OUTCOME_COMPLETED, onlyOutcome());
    assertEquals("done", releases().get(0).getReason());
  }

  @Test
  void aFailureOfTheBodyReleasesAsFailed() {
    IOException failure = new IOException("no disk");
    Work work = take();
    IOException thrown =
        assertThrows(
            IOException.class,
            () ->
                work.run(
                    taken -> {
                      throw failure;
                    }));
    assertSame(failure, thrown);
    assertEquals(AttemptOutcome.ATTEMPT_OUTCOME_FAILED, onlyOutcome());
    assertEquals("java.io.IOException: no disk", releases().get(0).getReason());
  }

  @Test
  void theEndOfTheBodyWithoutAnOutcomeGivesBack() {
    take().run(work -> {});
    assertEquals(AttemptOutcome.ATTEMPT_OUTCOME_RETURNED, onlyOutcome());
  }

  @Test
  void closingGivesBack() {
    try (Work work = take()) {
      assertEquals(41, work.fence());
    }
    assertEquals(AttemptOutcome.ATTEMPT_OUTCOME_RETURNED, onlyOutcome());
  }

  @Test
  void interruptionGivesBack() {
    Work work = take();
    assertThrows(
        InterruptedException.class,
        () ->
            work.run(
                taken -> {
                  Thread.currentThread().interrupt();
                  Thread.sleep(60_000);
                }));
    assertEquals(AttemptOutcome.ATTEMPT_OUTCOME_RETURNED, onlyOutcome());
  }

  @Test
  void aCallOfAnInterruptedBodyGivesBackToo() {
    ledger.on("TaskService/GetTask", call -> {});
    Work work = take();
    assertThrows(
        LedgerException.class,
        () ->
            work.run(
                taken -> {
                  Thread.currentThread().interrupt();
                  taken.log("never sent");
                }));
    assertTrue(Thread.interrupted());
    assertEquals(AttemptOutcome.ATTEMPT_OUTCOME_RETURNED, onlyOutcome());
  }

  @Test
  void aCancelledContextGivesBack() throws Exception {
    Work work = take();
    try (Context.CancellableContext context = Context.ROOT.withCancellation()) {
      context.call(
          () -> {
            context.cancel(null);
            assertThrows(LedgerException.class, () -> work.run(taken -> taken.log("never sent")));
            return null;
          });
    }
    assertEquals(AttemptOutcome.ATTEMPT_OUTCOME_RETURNED, onlyOutcome());
  }

  @Test
  void aRefusedReleaseDoesNotHideTheFailure() {
    ledger.on(RELEASE, call -> call.fail(Status.Code.FAILED_PRECONDITION));
    Work work = take();
    IllegalStateException failure =
        assertThrows(
            IllegalStateException.class,
            () ->
                work.run(
                    taken -> {
                      throw new IllegalStateException("broken");
                    }));
    assertEquals(1, failure.getSuppressed().length);
  }

  @Test
  void writesCarryTheFence() {
    ledger.on(
        "TaskService/UpdateTask",
        call ->
            call.answer(
                UpdateTaskResponse.newBuilder()
                    .setTask(call.as(UpdateTaskRequest.class).getTask())
                    .build()));
    take().update(Task.newBuilder().setTitle("New").setPhase("p").build());
    UpdateTaskRequest sent =
        ledger.calls("TaskService/UpdateTask").get(0).as(UpdateTaskRequest.class);
    assertEquals(41, sent.getFence());
    assertEquals("t1", sent.getTask().getCode());
    assertEquals(List.of("title", "phase"), sent.getUpdateMask().getPathsList());
  }

  @Test
  void aLongReasonIsShortenedBetweenCharacters() {
    take().fail("\ud83d\ude00".repeat(3_000));
    assertEquals("\ud83d\ude00".repeat(2_000), releases().get(0).getReason());
  }

  @Test
  void aLogIsAnEventAboutTheTask() {
    ledger.on(
        "EventService/EmitEvent", call -> call.answer(EmitEventResponse.getDefaultInstance()));
    take().log("half done", "progress", Map.of("files", 3));
    EmitEventRequest sent =
        ledger.calls("EventService/EmitEvent").get(0).as(EmitEventRequest.class);
    assertEquals("t1", sent.getEvent().getEntityCode());
    assertEquals(
        Structs.of(
            Map.of(
                "kind",
                "progress",
                "message",
                "half done",
                "fence",
                "41",
                "payload",
                Map.of("files", 3))),
        sent.getEvent().getPayload());
  }

  @Test
  void aLogOfASessionIsItsActivity() {
    ledger.on(
        "SessionService/LogActivity",
        call -> call.answer(LogActivityResponse.getDefaultInstance()));
    try (LedgerClient other = ledger.client().session("s1").build()) {
      other.claim(NEXT).orElseThrow().log("half done");
    }
    LogActivityRequest sent =
        ledger.calls("SessionService/LogActivity").get(0).as(LogActivityRequest.class);
    assertEquals("s1", sent.getSessionKey());
    assertEquals("note", sent.getKind());
  }

  @Test
  void theServerSaysThatTheLeaseIsLost() throws Exception {
    status = LeaseStatus.LEASE_STATUS_LOST;
    leaseMillis = 1_500;
    Work work = take();
    assertEquals("the server says that the lease has ended", work.lost().get());
    assertTrue(work.isLost());
    assertTrue(work.hasEnded());
    assertThrows(LeaseLostException.class, work::check);
    assertThrows(LeaseLostException.class, () -> work.finish("done"));
    assertThrows(
        LeaseLostException.class, () -> work.update(Task.newBuilder().setTitle("x").build()));
    work.close();
    assertEquals(List.of(), releases());
  }

  @Test
  void theWatchdogGivesUpWithoutAnAnswer() throws Exception {
    ledger.on(BEAT, call -> {});
    leaseMillis = 600;
    Work work = take();
    assertEquals("no heartbeat was accepted in time", work.lost().get());
  }

  @Test
  void heartbeatsKeepTheLeaseAndBringDirectives() throws Exception {
    leaseMillis = 900;
    Work work = take();
    assertThrows(TimeoutException.class, () -> work.lost().get(2, TimeUnit.SECONDS));
    assertEquals(Directive.DIRECTIVE_DRAIN, work.directive());
    assertEquals("enough", work.directiveReason());
    work.finish("done");
    assertFalse(work.isLost());
  }

  @Test
  void oneHeartbeatExtendsAllLeases() throws InterruptedException, ExecutionException {
    ready.addAll(List.of("t2", "t3"));
    leaseMillis = 1_500;
    List<Work> works = List.of(take(), take(), take());
    status = LeaseStatus.LEASE_STATUS_LOST;
    for (Work work : works) {
      work.lost().get();
    }
    assertEquals(1, ledger.calls(BEAT).size());
    assertEquals(3, ledger.calls(BEAT).get(0).as(HeartbeatRequest.class).getLeasesCount());
  }

  @Test
  void aLateClaimIsConfirmedByAHeartbeat() {
    ledger.on(
        CLAIM,
        call -> {
          TimeUnit.MILLISECONDS.sleep(1_100);
          call.answer(claim(call.as(ClaimTaskRequest.class)));
        });
    take();
    assertEquals(1, ledger.calls(BEAT).size());
  }

  @Test
  void theLoopTakesTasksUntilNoneIsReady() {
    ready.addAll(List.of("t2", "t3"));
    List<String> codes = new ArrayList<>();
    try (Claims claims = client.claims(NEXT)) {
      for (Work work : claims) {
        work.finish("done");
        codes.add(work.task().getCode());
      }
    }
    assertEquals(List.of("t1", "t2", "t3"), codes);
  }

  @Test
  void theLoopDoesNotClaimAgainWhatItGaveBack() {
    ready.add("t2");
    ledger.on("CoordinationService/ListReadyTasks", call -> call.answer(listed()));
    List<String> codes = new ArrayList<>();
    try (Claims claims = client.claims(NEXT)) {
      for (Work work : claims) {
        codes.add(work.task().getCode());
      }
    }
    assertEquals(List.of("t1", "t2"), codes);
    assertTrue(
        releases().stream()
            .allMatch(each -> each.getOutcome() == AttemptOutcome.ATTEMPT_OUTCOME_RETURNED));
    assertEquals(2, releases().size());
  }

  private ListReadyTasksResponse listed() {
    return ListReadyTasksResponse.newBuilder()
        .addAllTasks(ready.stream().map(code -> Task.newBuilder().setCode(code).build()).toList())
        .build();
  }

  @Test
  void leavingTheLoopGivesBack() {
    ready.add("t2");
    try (Claims claims = client.claims(NEXT)) {
      claims.next();
    }
    assertEquals(AttemptOutcome.ATTEMPT_OUTCOME_RETURNED, onlyOutcome());
  }

  @Test
  void aClaimOfSeveralTasksKeepsAll() {
    assertThrows(
        IllegalArgumentException.class, () -> client.claim(NEXT.toBuilder().setCount(2).build()));
    assertEquals(1, client.claimMany(NEXT.toBuilder().setCount(2).build()).size());
    assertEquals(
        Arrays.asList(2),
        List.of(ledger.calls(CLAIM).get(0).as(ClaimTaskRequest.class).getCount()));
  }
}
