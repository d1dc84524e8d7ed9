package io.github.orchestrationledger.client;

import io.github.orchestrationledger.v1.EmitEventsRequest;
import io.github.orchestrationledger.v1.NewEvent;
import java.util.Iterator;
import java.util.NoSuchElementException;

/** An iterator that packs events into messages of limited length and size. */
final class Batches implements Iterator<EmitEventsRequest> {
  static final int MAX_EVENTS = 500;

  /** Below the 4 MB that a gRPC server accepts by default. */
  private static final int MAX_BYTES = 2 * 1024 * 1024;

  private final Iterator<NewEvent> events;
  private final int size;

  /** The event that did not fit into the last message. */
  private NewEvent left;

  Batches(Iterator<NewEvent> events, int size) {
    if (size < 1 || size > MAX_EVENTS) {
      throw new IllegalArgumentException("batch must be from 1 to " + MAX_EVENTS + ", not " + size);
    }
    this.events = events;
    this.size = size;
  }

  @Override
  public boolean hasNext() {
    return left != null || events.hasNext();
  }

  @Override
  public EmitEventsRequest next() {
    if (!hasNext()) {
      throw new NoSuchElementException();
    }
    EmitEventsRequest.Builder message =
        EmitEventsRequest.newBuilder().setRequestId(CallInterceptor.newRequestId());
    int bytes = 0;
    while (message.getEventsCount() < size && hasNext()) {
      NewEvent event = left != null ? left : events.next();
      left = null;
      if (message.getEventsCount() > 0 && bytes + event.getSerializedSize() > MAX_BYTES) {
        left = event;
        break;
      }
      bytes += event.getSerializedSize();
      message.addEvents(event);
    }
    return message.build();
  }
}
