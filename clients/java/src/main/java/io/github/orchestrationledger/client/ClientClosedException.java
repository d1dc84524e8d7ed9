package io.github.orchestrationledger.client;

/** Thrown if a client is used after it was closed. */
public final class ClientClosedException extends IllegalStateException {
  private static final long serialVersionUID = 1L;

  ClientClosedException() {
    super("the client is closed");
  }
}
