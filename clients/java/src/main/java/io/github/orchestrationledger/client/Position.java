package io.github.orchestrationledger.client;

import io.github.orchestrationledger.v1.Event;
import io.github.orchestrationledger.v1.StreamTimelineRequest;
import io.github.orchestrationledger.v1.StreamTimelineResponse;
import java.util.ArrayDeque;
import java.util.Queue;

/**
 * The position of a reader of the timeline: events that it has not returned yet, and the cursor
 * before them. One thread changes it; any thread reads the cursor.
 */
final class Position {
  private final StreamTimelineRequest request;
  private final Queue<Event> waiting = new ArrayDeque<>();
  private volatile String cursor;
  private volatile boolean caughtUp;

  Position(StreamTimelineRequest request) {
    this.request = request;
    this.cursor = request.getAfterCursor();
  }

  String cursor() {
    return cursor;
  }

  boolean caughtUp() {
    return caughtUp;
  }

  /** Return true if the stream goes on after the history. */
  boolean follows() {
    return request.getFollow();
  }

  /**
   * Return the request to continue with. Until a first cursor is known it has the original start.
   */
  StreamTimelineRequest resume() {
    caughtUp = false;
    return cursor.isEmpty() ? request : request.toBuilder().setAfterCursor(cursor).build();
  }

  /**
   * Take a message. It is read only after all events of the last one were returned, so no cursor is
   * too early. Returns true if it brings the reader on.
   */
  boolean accept(StreamTimelineResponse message) {
    String before = cursor;
    switch (message.getMessageCase()) {
      case EVENTS -> waiting.addAll(message.getEvents().getEventsList());
      case CHECKPOINT -> move(message.getCheckpoint().getCursor());
      case CAUGHT_UP -> {
        move(message.getCaughtUp().getCursor());
        caughtUp = true;
      }
      case FELL_BEHIND -> {
        move(message.getFellBehind().getCursor());
        caughtUp = false;
      }
      case MESSAGE_NOT_SET -> {
        // A message of a newer server.
      }
    }
    return hasEvent() || !cursor.equals(before);
  }

  private void move(String to) {
    if (!to.isEmpty()) {
      cursor = to;
    }
  }

  boolean hasEvent() {
    return !waiting.isEmpty();
  }

  Event take() {
    Event event = waiting.remove();
    cursor = event.getCursor();
    return event;
  }
}
