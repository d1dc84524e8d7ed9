package io.github.orchestrationledger.client;

import com.google.protobuf.Descriptors.FieldDescriptor;
import com.google.protobuf.Message;
import io.grpc.StatusRuntimeException;
import java.util.Collections;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.function.Function;

/** An iterator over the items of all pages of a list. Pages are read when they are needed. */
final class Pages<Q extends Message, R extends Message, T> implements Iterator<T> {
  private final Function<Q, R> method;
  private final Function<R, List<T>> items;

  /** The request of the next page; null after the last. It is the first one but for its token. */
  private Q request;

  private Iterator<T> page = Collections.emptyIterator();

  Pages(Function<Q, R> method, Q request, Function<R, List<T>> items) {
    field(request, "page_token");
    this.method = method;
    this.request = request;
    this.items = items;
  }

  @Override
  public boolean hasNext() {
    while (!page.hasNext() && request != null) {
      read();
    }
    return page.hasNext();
  }

  @Override
  public T next() {
    if (!hasNext()) {
      throw new NoSuchElementException("the list has ended");
    }
    return page.next();
  }

  private void read() {
    R answer;
    try {
      answer = method.apply(request);
    } catch (StatusRuntimeException error) {
      throw LedgerException.of(error);
    }
    page = items.apply(answer).iterator();
    Object token = answer.getField(field(answer, "next_page_token"));
    request = "".equals(token) ? null : withToken(request, token);
  }

  private static FieldDescriptor field(Message message, String name) {
    FieldDescriptor found = message.getDescriptorForType().findFieldByName(name);
    if (found == null) {
      throw new IllegalArgumentException(
          message.getDescriptorForType().getName() + " has no " + name);
    }
    return found;
  }

  @SuppressWarnings("unchecked") // A builder of a message builds messages of its class.
  private static <Q extends Message> Q withToken(Q request, Object token) {
    return (Q) request.toBuilder().setField(field(request, "page_token"), token).build();
  }
}
