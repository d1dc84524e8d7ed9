package io.github.orchestrationledger.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.Message;
import io.github.orchestrationledger.v1.Event;
import io.github.orchestrationledger.v1.EventBatch;
import io.github.orchestrationledger.v1.StreamTimelineRequest;
import io.github.orchestrationledger.v1.StreamTimelineResponse;
import io.github.orchestrationledger.v1.TimelineCaughtUp;
import io.github.orchestrationledger.v1.TimelineCheckpoint;
import io.github.orchestrationledger.v1.TimelineFellBehind;
import io.grpc.Context;
import io.grpc.Status;
import io.grpc.stub.StreamObserver;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class TimelineTest {
  private static final String STREAM = "EventService/StreamTimeline";
  private static final StreamTimelineRequest FOLLOW =
      StreamTimelineRequest.newBuilder().setLast(3).setFollow(true).build();

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

  private static Message events(int from, int to) {
    EventBatch.Builder batch = EventBatch.newBuilder();
    for (int i = from; i <= to; i++) {
      batch.addEvents(Event.newBuilder().setId("e" + i).setCursor("c" + i));
    }
    return StreamTimelineResponse.newBuilder().setEvents(batch).build();
  }

  private static Message checkpoint(String cursor) {
    return StreamTimelineResponse.newBuilder()
        .setCheckpoint(TimelineCheckpoint.newBuilder().setCursor(cursor))
        .build();
  }

  private static Message caughtUp(String cursor) {
    return StreamTimelineResponse.newBuilder()
        .setCaughtUp(TimelineCaughtUp.newBuilder().setCursor(cursor))
        .build();
  }

  private static Message fellBehind(String cursor) {
    return StreamTimelineResponse.newBuilder()
        .setFellBehind(TimelineFellBehind.newBuilder().setCursor(cursor))
        .build();
  }

  /** Sends messages on the stream of a number, counted from 0. */
  private interface Script {
    void send(int number, StreamObserver<Message> answers);
  }

  private void serve(Script script) {
    ledger.on(STREAM, call -> script.send(ledger.calls(STREAM).size() - 1, call.answers()));
  }

  private StreamTimelineRequest request(int number) {
    return ledger.calls(STREAM).get(number).as(StreamTimelineRequest.class);
  }

  private static void end(StreamObserver<Message> answers, Status.Code code) {
    answers.onError(code.toStatus().asRuntimeException());
  }

  private static List<String> read(Timeline timeline, int count) {
    List<String> ids = new ArrayList<>();
    while (ids.size() < count) {
      ids.add(timeline.next().getId());
    }
    return ids;
  }

  @Test
  void aBrokenStreamGoesOnAfterTheLastReturnedEvent() {
    serve(
        (number, answers) -> {
          if (number == 0) {
            answers.onNext(events(1, 3));
            end(answers, Status.Code.UNAVAILABLE);
          } else {
            answers.onNext(events(4, 5));
          }
        });
    try (Timeline timeline = client.follow(FOLLOW)) {
      assertEquals(List.of("e1", "e2"), read(timeline, 2));
      assertEquals("c2", timeline.cursor());
      assertEquals(List.of("e3", "e4", "e5"), read(timeline, 3));
    }
    assertEquals(FOLLOW, request(0));
    assertEquals("c3", request(1).getAfterCursor());
    assertTrue(request(1).getFollow());
    assertEquals(StreamTimelineRequest.StartCase.AFTER_CURSOR, request(1).getStartCase());
  }

  @Test
  void withoutACursorTheOriginalStartIsSentAgain() {
    serve(
        (number, answers) -> {
          if (number == 0) {
            end(answers, Status.Code.UNAVAILABLE);
          } else {
            answers.onNext(events(1, 1));
          }
        });
    try (Timeline timeline = client.follow(FOLLOW)) {
      assertEquals(List.of("e1"), read(timeline, 1));
    }
    assertEquals(FOLLOW, request(1));
  }

  @Test
  void otherMessagesMoveTheCursor() {
    List<Message> messages = List.of(checkpoint("c7"), caughtUp("c8"), fellBehind("c9"));
    serve(
        (number, answers) -> {
          if (number < messages.size()) {
            answers.onNext(messages.get(number));
            end(answers, Status.Code.UNAVAILABLE);
          } else {
            answers.onNext(caughtUp("c10"));
            answers.onNext(events(11, 11));
          }
        });
    try (Timeline timeline = client.follow(FOLLOW)) {
      read(timeline, 1);
      assertTrue(timeline.caughtUp());
    }
    assertEquals("c7", request(1).getAfterCursor());
    assertEquals("c8", request(2).getAfterCursor());
    assertEquals("c9", request(3).getAfterCursor());
  }

  @Test
  void lookingAheadDoesNotMoveTheCursor() {
    serve((number, answers) -> answers.onNext(events(1, 2)));
    try (Timeline timeline = client.follow(FOLLOW)) {
      assertTrue(timeline.hasNext());
      assertEquals("", timeline.cursor());
      timeline.next();
      assertTrue(timeline.hasNext());
      assertEquals("c1", timeline.cursor());
    }
  }

  @Test
  void aStreamThatFollowsAndEndsInOrderIsOpenedAgain() {
    serve(
        (number, answers) -> {
          answers.onNext(events(number + 1, number + 1));
          answers.onCompleted();
        });
    try (Timeline timeline = client.follow(FOLLOW)) {
      assertEquals(List.of("e1", "e2", "e3"), read(timeline, 3));
    }
  }

  @Test
  void theEndOfTheHistoryEndsTheIteration() {
    serve(
        (number, answers) -> {
          answers.onNext(events(1, 2));
          answers.onNext(caughtUp("c2"));
          answers.onCompleted();
        });
    List<String> ids = new ArrayList<>();
    try (Timeline timeline = client.follow(FOLLOW.toBuilder().setFollow(false).build())) {
      timeline.forEach(event -> ids.add(event.getId()));
      assertTrue(timeline.hasEnded());
      assertTrue(timeline.caughtUp());
    }
    assertEquals(List.of("e1", "e2"), ids);
    assertEquals(1, ledger.calls(STREAM).size());
  }

  @Test
  void aPermanentErrorEndsTheIteration() {
    serve(
        (number, answers) -> {
          answers.onNext(events(1, 1));
          end(answers, Status.Code.FAILED_PRECONDITION);
        });
    try (Timeline timeline = client.follow(FOLLOW)) {
      read(timeline, 1);
      LedgerException error = assertThrows(LedgerException.class, timeline::hasNext);
      assertEquals(Status.Code.FAILED_PRECONDITION, error.code());
      assertTrue(timeline.hasEnded());
      assertFalse(timeline.hasNext());
    }
    assertEquals(1, ledger.calls(STREAM).size());
  }

  @Test
  void theRetryTimeoutEndsTheIteration() {
    serve((number, answers) -> end(answers, Status.Code.UNAVAILABLE));
    try (Timeline timeline = client.follow(FOLLOW, Duration.ofMillis(100))) {
      LedgerException error = assertThrows(LedgerException.class, timeline::hasNext);
      assertEquals(Status.Code.UNAVAILABLE, error.code());
    }
  }

  @Test
  void waitingForALimitedTimeLosesNothing() throws InterruptedException {
    CountDownLatch released = new CountDownLatch(1);
    serve(
        (number, answers) ->
            new Thread(
                    () -> {
                      await(released);
                      answers.onNext(events(1, 1));
                    })
                .start());
    try (Timeline timeline = client.follow(FOLLOW)) {
      assertEquals(Optional.empty(), timeline.poll(Duration.ZERO));
      assertEquals(Optional.empty(), timeline.poll(Duration.ofMillis(50)));
      assertFalse(timeline.hasEnded());
      released.countDown();
      assertEquals("e1", timeline.poll(Duration.ofSeconds(30)).orElseThrow().getId());
    }
    assertEquals(1, ledger.calls(STREAM).size());
  }

  @Test
  void aClientThatClosesBeforeTheStreamIsOpenedEndsTheTimeline() {
    // As if close() of the client had not come to this timeline yet.
    Timeline timeline = new Timeline(client.channel(), FOLLOW, null);
    client.close();
    assertFalse(timeline.hasNext());
    assertTrue(timeline.hasEnded());
  }

  @Test
  void closeEndsAWaitOfAnotherThread() throws InterruptedException {
    CountDownLatch arrived = new CountDownLatch(1);
    serve((number, answers) -> arrived.countDown());
    Timeline timeline = client.follow(FOLLOW);
    Thread closer =
        new Thread(
            () -> {
              await(arrived);
              timeline.close();
            });
    closer.start();
    assertFalse(timeline.hasNext());
    closer.join();
  }

  @Test
  void closingTheClientEndsItsTimelines() throws InterruptedException {
    CountDownLatch arrived = new CountDownLatch(1);
    serve((number, answers) -> arrived.countDown());
    Timeline timeline = client.follow(FOLLOW);
    Thread closer =
        new Thread(
            () -> {
              await(arrived);
              client.close();
            });
    closer.start();
    assertFalse(timeline.hasNext());
    closer.join();
  }

  @Test
  void anInterruptedIterationGoesOn() {
    serve((number, answers) -> answers.onNext(events(1, 2)));
    try (Timeline timeline = client.follow(FOLLOW)) {
      Thread.currentThread().interrupt();
      LedgerException error = assertThrows(LedgerException.class, timeline::next);
      assertEquals(Status.Code.CANCELLED, error.code());
      assertTrue(Thread.interrupted());
      assertEquals(List.of("e1", "e2"), read(timeline, 2));
    }
  }

  @Test
  void aCancelledContextEndsTheWaitAndNotTheTimeline() {
    CountDownLatch arrived = new CountDownLatch(1);
    serve((number, answers) -> arrived.countDown());
    try (Timeline timeline = client.follow(FOLLOW);
        Context.CancellableContext context = Context.ROOT.withCancellation()) {
      new Thread(
              () -> {
                await(arrived);
                context.cancel(null);
              })
          .start();
      LedgerException error =
          assertThrows(LedgerException.class, () -> context.call(timeline::hasNext));
      assertEquals(Status.Code.CANCELLED, error.code());
      ledger.calls(STREAM).get(0).answers().onNext(events(1, 1));
      assertEquals(List.of("e1"), read(timeline, 1));
    }
    assertEquals(1, ledger.calls(STREAM).size());
  }

  private static void await(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException error) {
      Thread.currentThread().interrupt();
    }
  }
}
