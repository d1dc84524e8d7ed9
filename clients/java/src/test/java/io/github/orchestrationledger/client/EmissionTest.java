package io.github.orchestrationledger.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.Message;
import io.github.orchestrationledger.v1.EmitError;
import io.github.orchestrationledger.v1.EmitEventsRequest;
import io.github.orchestrationledger.v1.EmitEventsResponse;
import io.github.orchestrationledger.v1.NewEvent;
import io.grpc.Status;
import io.grpc.stub.StreamObserver;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class EmissionTest {
  private static final String EMIT = "EventService/EmitEvents";
  private static final Duration MINUTE = Duration.ofMinutes(1);

  private final FakeLedger ledger = new FakeLedger();
  private LedgerClient client;

  @BeforeEach
  void open() {
    client = ledger.client().build();
  }

  @AfterEach
  void close() {
    client.close();
    ledger.close();
  }

  private static Iterable<NewEvent> events(int count) {
    return IntStream.range(0, count)
            .mapToObj(
                n ->
                    NewEvent.newBuilder()
                        .setType("test.event")
                        .setPayload(Structs.of(Map.of("n", n)))
                        .build())
        ::iterator;
  }

  private static EmitEventsResponse stored(EmitEventsRequest message) {
    return EmitEventsResponse.newBuilder()
        .setRequestId(message.getRequestId())
        .setStored(message.getEventsCount() - 1)
        .setDuplicates(1)
        .build();
  }

  private List<EmitEventsRequest> messages() {
    return ledger.calls(EMIT).stream().map(call -> call.as(EmitEventsRequest.class)).toList();
  }

  @Test
  void allEventsAreStored() {
    ledger.on(EMIT, call -> call.answers().onNext(stored(call.as(EmitEventsRequest.class))));
    assertEquals(new EmitTotals(1247, 3, 0), client.emitAll(events(1_250)));
    assertEquals(
        List.of(500, 500, 250),
        messages().stream().map(EmitEventsRequest::getEventsCount).toList());
  }

  @Test
  void nothingIsSentForNoEvents() {
    assertEquals(new EmitTotals(0, 0, 0), client.emitAll(List.of()));
    assertTrue(ledger.calls(EMIT).isEmpty());
  }

  @Test
  void messagesWithoutAnAnswerAreSentAgainUnderTheirRequestIds() {
    List<String> stored = new ArrayList<>();
    Set<StreamObserver<Message>> streams = new LinkedHashSet<>();
    ledger.on(
        EMIT,
        call -> {
          EmitEventsRequest message = call.as(EmitEventsRequest.class);
          boolean first = streams.isEmpty() || streams.iterator().next() == call.answers();
          streams.add(call.answers());
          if (first && stored.size() == 1) {
            // It is stored, but the connection breaks before the answer.
            call.fail(Status.Code.UNAVAILABLE);
          } else {
            call.answers().onNext(stored(message));
          }
          stored.add(message.getRequestId());
        });
    EmitTotals totals = client.emitAll(events(60), 10, MINUTE);
    assertEquals(new EmitTotals(54, 6, 0), totals);
    assertEquals(6, new HashSet<>(stored).size());
    assertTrue(stored.size() > 6);
    assertEquals(2, streams.size());
  }

  @Test
  void aRefusedMessageNamesItsFirstEvent() {
    ledger.on(
        EMIT,
        call -> {
          EmitEventsRequest message = call.as(EmitEventsRequest.class);
          EmitEventsResponse.Builder answer = stored(message).toBuilder();
          if (ledger.calls(EMIT).size() == 2) {
            answer.setError(
                EmitError.newBuilder()
                    .setCode(Status.Code.INVALID_ARGUMENT.value())
                    .setReason("INVALID_ARGUMENT")
                    .setMessage("a type is invalid")
                    .putViolations("events[3].type", "is no type"));
          }
          call.answers().onNext(answer.build());
        });
    LedgerException error =
        assertThrows(LedgerException.class, () -> client.emitAll(events(60), 10, MINUTE));
    assertEquals(Status.Code.INVALID_ARGUMENT, error.code());
    assertEquals("INVALID_ARGUMENT", error.reason());
    assertEquals("10", error.metadata().get("first_event"));
    assertEquals("is no type", error.violations().get("events[3].type"));
  }

  @Test
  void aMessageThatTheServerWillTakeLaterIsSentAgain() {
    ledger.on(
        EMIT,
        call -> {
          EmitEventsRequest message = call.as(EmitEventsRequest.class);
          EmitEventsResponse.Builder answer = stored(message).toBuilder();
          if (ledger.calls(EMIT).size() == 1) {
            answer.setError(
                EmitError.newBuilder()
                    .setCode(Status.Code.RESOURCE_EXHAUSTED.value())
                    .setReason("EMIT_QUEUE_FULL")
                    .setRetryable(true));
          }
          call.answers().onNext(answer.build());
        });
    assertEquals(new EmitTotals(9, 1, 0), client.emitAll(events(10)));
    assertEquals(1, messages().stream().map(EmitEventsRequest::getRequestId).distinct().count());
  }

  @Test
  void theRetryTimeoutEndsTheEmission() {
    ledger.on(EMIT, call -> call.fail(Status.Code.UNAVAILABLE));
    LedgerException error =
        assertThrows(
            LedgerException.class, () -> client.emitAll(events(10), 10, Duration.ofMillis(100)));
    assertEquals(Status.Code.UNAVAILABLE, error.code());
  }

  @Test
  void interruptionEndsTheEmission() {
    ledger.on(EMIT, call -> {});
    Thread.currentThread().interrupt();
    LedgerException error = assertThrows(LedgerException.class, () -> client.emitAll(events(10)));
    assertEquals(Status.Code.CANCELLED, error.code());
    assertTrue(Thread.interrupted());
  }

  @Test
  void aMessageHasAtMostTwoMebibytes() {
    NewEvent large =
        NewEvent.newBuilder().setType("test.large").setActor("x".repeat(1_500_000)).build();
    Batches batches = new Batches(List.of(large, large, large).iterator(), 500);
    List<Integer> counts = new ArrayList<>();
    batches.forEachRemaining(message -> counts.add(message.getEventsCount()));
    assertEquals(List.of(1, 1, 1), counts);
  }

  @Test
  void anImpossibleBatchIsRefused() {
    assertThrows(IllegalArgumentException.class, () -> client.emitAll(events(1), 0, MINUTE));
    assertThrows(IllegalArgumentException.class, () -> client.emitAll(events(1), 501, MINUTE));
  }
}
