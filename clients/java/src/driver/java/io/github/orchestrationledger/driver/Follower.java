package io.github.orchestrationledger.driver;

import com.google.gson.JsonObject;
import io.github.orchestrationledger.client.LedgerException;
import io.github.orchestrationledger.client.Timeline;
import io.github.orchestrationledger.v1.Event;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** A timeline under a name. */
final class Follower {
  private final Timeline timeline;

  /** The error that came after events that were answered first; null if there is none. */
  private LedgerException failure;

  Follower(Timeline timeline) {
    this.timeline = timeline;
  }

  synchronized JsonObject next(int count, Duration timeout) throws InterruptedException {
    List<Event> events = new ArrayList<>();
    if (failure != null) {
      throw failure;
    }
    long until = System.nanoTime() + timeout.toNanos();
    try {
      while (events.size() < count) {
        long left = Math.max(0, until - System.nanoTime());
        Optional<Event> event = timeline.poll(Duration.ofNanos(left));
        if (event.isEmpty()) {
          break;
        }
        events.add(event.get());
      }
    } catch (LedgerException error) {
      if (events.isEmpty()) {
        throw error;
      }
      failure = error;
    }
    JsonObject answer = new JsonObject();
    boolean ended = timeline.hasEnded() && failure == null;
    answer.add("events", Json.array(events));
    answer.addProperty("cursor", timeline.cursor());
    answer.addProperty("ended", ended);
    answer.addProperty("timedOut", events.size() < count && !ended && failure == null);
    return answer;
  }

  void close() {
    timeline.close();
  }
}
