package io.github.orchestrationledger.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.ResourceInfo;
import com.google.rpc.RetryInfo;
import io.github.orchestrationledger.v1.CreateTaskRequest;
import io.github.orchestrationledger.v1.CreateTaskResponse;
import io.github.orchestrationledger.v1.GetTaskRequest;
import io.github.orchestrationledger.v1.GetTaskResponse;
import io.github.orchestrationledger.v1.Task;
import io.grpc.Context;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class CallsTest {
  private static final String GET = "TaskService/GetTask";
  private static final String CREATE = "TaskService/CreateTask";
  private static final GetTaskRequest ONE = GetTaskRequest.newBuilder().setTaskCode("t1").build();
  private static final CreateTaskRequest NEW =
      CreateTaskRequest.newBuilder()
          .setTask(Task.newBuilder().setCode("t1").setTitle("One"))
          .build();

  private final FakeLedger ledger = new FakeLedger();

  @AfterEach
  void close() {
    ledger.close();
  }

  private static FakeLedger.Handler found() {
    return call -> call.answer(GetTaskResponse.getDefaultInstance());
  }

  /** Return a handler that fails the first calls and then creates. */
  private static FakeLedger.Handler failing(Status.Code code, int times) {
    AtomicInteger left = new AtomicInteger(times);
    return call -> {
      if (left.getAndDecrement() > 0) {
        call.fail(code);
      } else {
        call.answer(CreateTaskResponse.getDefaultInstance());
      }
    };
  }

  private Set<String> requestIds() {
    Set<String> ids = new HashSet<>();
    ledger.calls(CREATE).forEach(call -> ids.add(call.as(CreateTaskRequest.class).getRequestId()));
    return ids;
  }

  @Test
  void everyCallCarriesTheCallersMetadataAndADeadline() {
    ledger.on(GET, found());
    try (LedgerClient client =
        ledger.client().project("p").session("s").correlationId("c").token("t").build()) {
      client.tasks().getTask(ONE);
    }
    FakeLedger.Call call = ledger.calls(GET).get(0);
    assertEquals("tester", call.header("orchestration-agent"));
    assertEquals("p", call.header("orchestration-project"));
    assertEquals("s", call.header("orchestration-session"));
    assertEquals("c", call.header("orchestration-correlation-id"));
    assertEquals("Bearer t", call.header("authorization"));
    long seconds = TimeUnit.NANOSECONDS.toSeconds(call.deadlineNanos());
    assertTrue(seconds >= 8 && seconds <= 10, () -> seconds + " s");
  }

  @Test
  void aDeadlineOfTheCallTakesPrecedence() {
    ledger.on(GET, found());
    try (LedgerClient client = ledger.client().build()) {
      client.tasks().withDeadlineAfter(100, TimeUnit.SECONDS).getTask(ONE);
    }
    assertTrue(ledger.calls(GET).get(0).deadlineNanos() > TimeUnit.SECONDS.toNanos(80));
  }

  @ParameterizedTest
  @EnumSource(names = {"UNAVAILABLE", "CANCELLED"})
  void aWriteIsRetriedWithItsRequestId(Status.Code code) {
    ledger.on(CREATE, failing(code, ServiceConfig.ATTEMPTS - 1));
    try (LedgerClient client = ledger.client().build()) {
      client.tasks().createTask(NEW);
    }
    assertEquals(ServiceConfig.ATTEMPTS, ledger.calls(CREATE).size());
    assertEquals(1, requestIds().size());
    assertFalse(requestIds().contains(""));
  }

  @Test
  void eachWriteHasItsOwnRequestIdUnlessItHasOne() {
    ledger.on(CREATE, failing(Status.Code.OK, 0));
    try (LedgerClient client = ledger.client().build()) {
      client.tasks().createTask(NEW);
      client.tasks().createTask(NEW);
      client.tasks().createTask(NEW.toBuilder().setRequestId("mine").build());
    }
    assertEquals(3, requestIds().size());
    assertTrue(requestIds().contains("mine"));
  }

  @Test
  void theLastAttemptsErrorIsThrown() {
    ledger.on(CREATE, failing(Status.Code.UNAVAILABLE, 100));
    try (LedgerClient client = ledger.client().build()) {
      LedgerException error =
          assertThrows(LedgerException.class, () -> client.call(client.tasks()::createTask, NEW));
      assertEquals(Status.Code.UNAVAILABLE, error.code());
    }
    assertEquals(ServiceConfig.ATTEMPTS, ledger.calls(CREATE).size());
  }

  @ParameterizedTest
  @EnumSource(names = {"ABORTED", "RESOURCE_EXHAUSTED", "INTERNAL", "FAILED_PRECONDITION"})
  void otherErrorsAreNotRetried(Status.Code code) {
    ledger.on(CREATE, failing(code, 1));
    try (LedgerClient client = ledger.client().build()) {
      LedgerException error =
          assertThrows(LedgerException.class, () -> client.call(client.tasks()::createTask, NEW));
      assertEquals(code, error.code());
    }
    assertEquals(1, ledger.calls(CREATE).size());
  }

  @Test
  void aLargeWriteIsRetriedToo() {
    ledger.on(CREATE, failing(Status.Code.UNAVAILABLE, 2));
    Task large = Task.newBuilder().setCode("t1").setDescription("x".repeat(5_000_000)).build();
    try (LedgerClient client = ledger.client().build()) {
      client.tasks().createTask(CreateTaskRequest.newBuilder().setTask(large).build());
    }
    assertEquals(3, ledger.calls(CREATE).size());
  }

  @Test
  void aLargeAnswerIsRead() {
    Task large = Task.newBuilder().setDescription("x".repeat(15_000_000)).build();
    ledger.on(GET, call -> call.answer(GetTaskResponse.newBuilder().setTask(large).build()));
    try (LedgerClient client = ledger.client().build()) {
      assertEquals(large, client.tasks().getTask(ONE).getTask());
    }
  }

  @Test
  void theCallersCancellationIsNotRetried() throws InterruptedException {
    CountDownLatch arrived = new CountDownLatch(1);
    ledger.on(GET, call -> arrived.countDown());
    try (LedgerClient client = ledger.client().build();
        Context.CancellableContext context = Context.ROOT.withCancellation()) {
      Thread canceller =
          new Thread(
              () -> {
                try {
                  arrived.await();
                } catch (InterruptedException error) {
                  Thread.currentThread().interrupt();
                }
                context.cancel(null);
              });
      canceller.start();
      StatusRuntimeException error =
          assertThrows(
              StatusRuntimeException.class, () -> context.call(() -> client.tasks().getTask(ONE)));
      assertEquals(Status.Code.CANCELLED, error.getStatus().getCode());
      canceller.join();
    }
    assertEquals(1, ledger.calls(GET).size());
  }

  @Test
  void interruptionEndsACall() {
    ledger.on(GET, call -> {});
    try (LedgerClient client = ledger.client().build()) {
      Thread.currentThread().interrupt();
      StatusRuntimeException error =
          assertThrows(StatusRuntimeException.class, () -> client.tasks().getTask(ONE));
      assertEquals(Status.Code.CANCELLED, error.getStatus().getCode());
      assertTrue(Thread.interrupted());
    }
    assertTrue(ledger.calls(GET).size() <= 1);
  }

  @Test
  void theDeadlinePasses() {
    ledger.on(GET, call -> {});
    try (LedgerClient client = ledger.client().timeout(Duration.ofMillis(200)).build()) {
      LedgerException error =
          assertThrows(LedgerException.class, () -> client.call(client.tasks()::getTask, ONE));
      assertEquals(Status.Code.DEADLINE_EXCEEDED, error.code());
    }
  }

  @Test
  void anErrorHasItsDetails() {
    ledger.on(
        GET,
        call -> {
          throw FakeLedger.error(
              Status.Code.RESOURCE_EXHAUSTED,
              ErrorInfo.newBuilder().setReason("RATE_LIMITED").putMetadata("limit", "5").build(),
              BadRequest.newBuilder()
                  .addFieldViolations(
                      BadRequest.FieldViolation.newBuilder()
                          .setField("a.b")
                          .setDescription("is bad"))
                  .build(),
              ResourceInfo.newBuilder().setResourceType("task").setResourceName("t1").build(),
              RetryInfo.newBuilder()
                  .setRetryDelay(com.google.protobuf.Duration.newBuilder().setNanos(250_000_000))
                  .build());
        });
    try (LedgerClient client = ledger.client().build()) {
      LedgerException error =
          assertThrows(LedgerException.class, () -> client.call(client.tasks()::getTask, ONE));
      assertEquals(Status.Code.RESOURCE_EXHAUSTED, error.code());
      assertEquals("RATE_LIMITED", error.reason());
      assertEquals("refused", error.description());
      assertEquals("5", error.metadata().get("limit"));
      assertEquals("is bad", error.violations().get("a.b"));
      assertEquals(new LedgerException.Resource("task", "t1"), error.resource().orElseThrow());
      assertEquals(Duration.ofMillis(250), error.retryDelay().orElseThrow());
      assertEquals("RESOURCE_EXHAUSTED [RATE_LIMITED]: refused", error.getMessage());
    }
  }

  @Test
  void aLargeErrorKeepsItsDetails() {
    BadRequest.Builder bad = BadRequest.newBuilder();
    for (int i = 0; i < 400; i++) {
      bad.addFieldViolationsBuilder()
          .setField("tasks[" + i + "].code")
          .setDescription("is no code");
    }
    ledger.on(
        GET,
        call -> {
          throw FakeLedger.error(Status.Code.INVALID_ARGUMENT, bad.build());
        });
    try (LedgerClient client = ledger.client().build()) {
      LedgerException error =
          assertThrows(LedgerException.class, () -> client.call(client.tasks()::getTask, ONE));
      assertEquals(400, error.violations().size());
    }
  }

  @Test
  void callsAreDistributedOverSeveralServers() {
    try (FakeLedger other = new FakeLedger()) {
      ledger.on(GET, found());
      other.on(GET, found());
      String both = "ipv4:" + ledger.address() + "," + other.address();
      try (LedgerClient client = ledger.client().address(both).build()) {
        // The first calls may find only one connection.
        for (int i = 0; i < 10_000 && missing(List.of(ledger, other)); i++) {
          client.tasks().getTask(ONE);
        }
        int before = other.calls(GET).size();
        for (int i = 0; i < 10; i++) {
          client.tasks().getTask(ONE);
        }
        assertEquals(5, other.calls(GET).size() - before);
      }
    }
  }

  private static boolean missing(List<FakeLedger> ledgers) {
    return ledgers.stream().anyMatch(each -> each.calls(GET).isEmpty());
  }

  @Test
  void aRetryGoesToAnotherServer() {
    try (FakeLedger other = new FakeLedger()) {
      ledger.on(CREATE, failing(Status.Code.UNAVAILABLE, 1_000_000));
      other.on(CREATE, failing(Status.Code.OK, 0));
      String both = "ipv4:" + ledger.address() + "," + other.address();
      try (LedgerClient client = ledger.client().address(both).build()) {
        for (int i = 0; i < 20; i++) {
          client.tasks().createTask(NEW);
        }
      }
      assertEquals(20, other.calls(CREATE).size());
    }
  }

  @Test
  void aServerIsFoundAgainSoonAfterARestart() {
    ledger.on(GET, found());
    try (LedgerClient client = ledger.client().build()) {
      client.tasks().getTask(ONE);
      int port = ledger.port();
      ledger.close();
      assertThrows(StatusRuntimeException.class, () -> client.tasks().getTask(ONE));
      try (FakeLedger restarted = new FakeLedger(port)) {
        restarted.on(GET, found());
        client.tasks().withWaitForReady().getTask(ONE);
        assertEquals(1, restarted.calls(GET).size());
      }
    }
  }

  @Test
  void aClosedClientSaysSo() {
    LedgerClient client = ledger.client().build();
    client.close();
    assertThrows(ClientClosedException.class, () -> client.tasks().getTask(ONE));
    assertThrows(ClientClosedException.class, () -> client.emitAll(List.of()));
    client.close();
  }
}
