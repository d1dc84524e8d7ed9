package io.github.orchestrationledger.client;

import com.google.protobuf.Struct;
import com.google.protobuf.Value;
import io.github.orchestrationledger.v1.EmitEventRequest;
import io.github.orchestrationledger.v1.EntityType;
import io.github.orchestrationledger.v1.Lease;
import io.github.orchestrationledger.v1.LogActivityRequest;
import io.github.orchestrationledger.v1.NewEvent;
import java.util.Map;

/** The requests that log what an agent did. */
final class WorkLog {
  /** The type of the event of a log outside a session. */
  private static final String LOGGED = "agent.work.logged";

  private WorkLog() {}

  static LogActivityRequest activity(
      String session, String message, String kind, Map<String, ?> fields) {
    LogActivityRequest.Builder activity =
        LogActivityRequest.newBuilder().setSessionKey(session).setKind(kind).setMessage(message);
    if (!fields.isEmpty()) {
      activity.setPayload(Structs.of(fields));
    }
    return activity.build();
  }

  static EmitEventRequest event(Lease lease, String message, String kind, Map<String, ?> fields) {
    String fence = Long.toString(lease.getFence());
    Struct.Builder payload =
        Structs.of(Map.of("kind", kind, "message", message, "fence", fence)).toBuilder();
    if (!fields.isEmpty()) {
      payload.putFields("payload", Value.newBuilder().setStructValue(Structs.of(fields)).build());
    }
    NewEvent.Builder event =
        NewEvent.newBuilder()
            .setType(LOGGED)
            .setEntityType(EntityType.ENTITY_TYPE_TASK)
            .setEntityCode(lease.getTaskCode())
            .setPayload(payload);
    return EmitEventRequest.newBuilder().setEvent(event).build();
  }
}
