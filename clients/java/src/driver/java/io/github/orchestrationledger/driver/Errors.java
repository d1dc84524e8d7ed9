package io.github.orchestrationledger.driver;

import com.google.gson.JsonObject;
import io.github.orchestrationledger.client.ClientClosedException;
import io.github.orchestrationledger.client.LeaseLostException;
import io.github.orchestrationledger.client.LedgerException;
import io.grpc.StatusRuntimeException;
import java.util.Map;

/** Errors as the suite compares them. */
final class Errors {
  private Errors() {}

  static JsonObject json(Throwable error) {
    if (error instanceof LeaseLostException) {
      return local("LEASE_LOST", error);
    }
    if (error instanceof ClientClosedException) {
      return local("CLOSED", error);
    }
    if (error instanceof StatusRuntimeException refused) {
      return ofLedger(LedgerException.of(refused));
    }
    if (error instanceof IllegalArgumentException) {
      return local("INVALID", error);
    }
    error.printStackTrace();
    return local("UNEXPECTED", error);
  }

  private static JsonObject ofLedger(LedgerException error) {
    JsonObject found = new JsonObject();
    found.addProperty("code", error.code().name());
    found.addProperty("reason", error.reason());
    found.addProperty("message", error.description());
    found.add("metadata", object(error.metadata()));
    found.add("violations", object(error.violations()));
    error.retryDelay().ifPresent(delay -> found.addProperty("retryDelay", delay.toNanos() / 1e9));
    error
        .resource()
        .ifPresent(
            resource ->
                found.add(
                    "resource", object(Map.of("type", resource.type(), "name", resource.name()))));
    return found;
  }

  private static JsonObject local(String reason, Throwable error) {
    JsonObject found = new JsonObject();
    found.addProperty("code", "LOCAL");
    found.addProperty("reason", reason);
    found.addProperty("message", String.valueOf(error.getMessage()));
    return found;
  }

  private static JsonObject object(Map<String, String> values) {
    JsonObject found = new JsonObject();
    values.forEach(found::addProperty);
    return found;
  }
}
