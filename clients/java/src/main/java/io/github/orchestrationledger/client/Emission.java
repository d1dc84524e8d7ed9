package io.github.orchestrationledger.client;

import io.github.orchestrationledger.v1.EmitError;
import io.github.orchestrationledger.v1.EmitEventsRequest;
import io.github.orchestrationledger.v1.EmitEventsResponse;
import io.github.orchestrationledger.v1.EventServiceGrpc;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.Status;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.OptionalLong;
import java.util.concurrent.TimeUnit;

/**
 * Emits many events over one stream. Each message is stored once, even if connections break:
 * messages without an answer are sent again under the same request_id.
 */
final class Emission {
  /**
   * Messages that may wait for an answer, so that memory does not grow with the number of events.
   */
  private static final int IN_FLIGHT = 4;

  /**
   * If a server stops answering, the stream ends after this time, and unanswered messages are sent
   * again.
   */
  private static final long STREAM_SECONDS = 120;

  /** How long the server may take to end a stream whose messages are all answered. */
  private static final long END_SECONDS = 5;

  private final Channel channel;
  private final Batches messages;
  private final Retry retry;

  /** The messages that wait for an answer, oldest first, by request_id. */
  private final Map<String, Pending> pending = new LinkedHashMap<>();

  private EmitTotals totals = new EmitTotals(0, 0, 0);
  private long taken;
  private MessageStream<EmitEventsRequest, EmitEventsResponse> stream;

  Emission(Channel channel, Batches messages, Duration retryTimeout) {
    this.channel = channel;
    this.messages = messages;
    this.retry = new Retry(retryTimeout);
  }

  private record Pending(EmitEventsRequest message, long firstEvent) {}

  EmitTotals run() {
    try {
      while (send()) {
        OptionalLong pause = receive();
        if (pause.isPresent()) {
          stream.cancel();
          stream = null;
          TimeUnit.NANOSECONDS.sleep(pause.getAsLong());
        }
      }
      if (stream != null) {
        stream.halfClose();
        // All messages are answered, so the outcome is irrelevant.
        while (true) {
          MessageStream.Item<EmitEventsResponse> last =
              stream.take(TimeUnit.SECONDS.toNanos(END_SECONDS));
          if (last == null || last.isEnd()) {
            break;
          }
        }
      }
      return totals;
    } catch (InterruptedException error) {
      throw Timeline.interrupted(error);
    } finally {
      if (stream != null) {
        stream.cancel();
      }
    }
  }

  /** Send what may be in flight. Returns false if all events are stored. */
  private boolean send() {
    while (pending.size() < IN_FLIGHT && messages.hasNext()) {
      EmitEventsRequest message = messages.next();
      pending.put(message.getRequestId(), new Pending(message, taken));
      taken += message.getEventsCount();
      if (stream != null) {
        stream.send(message);
      }
    }
    if (!pending.isEmpty() && stream == null) {
      CallOptions options = CallOptions.DEFAULT.withDeadlineAfter(STREAM_SECONDS, TimeUnit.SECONDS);
      stream = MessageStream.open(channel, EventServiceGrpc.getEmitEventsMethod(), options);
      pending.values().forEach(each -> stream.send(each.message()));
    }
    return !pending.isEmpty();
  }

  /**
   * Take one answer. Returns the pause after which to send all waiting messages again, if there is
   * need.
   */
  private OptionalLong receive() throws InterruptedException {
    MessageStream.Item<EmitEventsResponse> item =
        stream.take(TimeUnit.SECONDS.toNanos(2 * STREAM_SECONDS));
    if (item == null) {
      return OptionalLong.of(retry.pause(LedgerException.of(Status.DEADLINE_EXCEEDED, null, null)));
    }
    if (item.isEnd()) {
      LedgerException failure = item.failure();
      return OptionalLong.of(
          retry.pause(failure != null ? failure : LedgerException.of(Retry.ENDED, null, null)));
    }
    EmitEventsResponse answer = item.message();
    Pending answered = pending.get(answer.getRequestId());
    if (answered == null) {
      return OptionalLong.empty();
    }
    if (answer.hasError()) {
      return OptionalLong.of(refused(answer, answered.firstEvent()));
    }
    retry.progress();
    totals = totals.plus(answer.getStored(), answer.getDuplicates(), answer.getSampledOut());
    pending.remove(answer.getRequestId());
    return OptionalLong.empty();
  }

  private long refused(EmitEventsResponse answer, long firstEvent) {
    EmitError error = answer.getError();
    Map<String, String> metadata = new LinkedHashMap<>();
    metadata.put("first_event", Long.toString(firstEvent));
    metadata.put("request_id", answer.getRequestId());
    Status status = Status.fromCodeValue(error.getCode()).withDescription(error.getMessage());
    LedgerException.Details details =
        new LedgerException.Details(
            status, null, error.getReason(), metadata, error.getViolationsMap(), null, null);
    LedgerException failure = new LedgerException(details, null);
    if (!error.getRetryable()) {
      throw failure;
    }
    return retry.pause(failure, true);
  }
}
