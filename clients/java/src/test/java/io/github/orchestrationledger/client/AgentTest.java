package io.github.orchestrationledger.client;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.google.protobuf.Timestamp;
import io.github.orchestrationledger.example.Agent;
import io.github.orchestrationledger.v1.AssembleContextResponse;
import io.github.orchestrationledger.v1.AttemptOutcome;
import io.github.orchestrationledger.v1.ClaimTaskResponse;
import io.github.orchestrationledger.v1.ClaimedTask;
import io.github.orchestrationledger.v1.Context;
import io.github.orchestrationledger.v1.EmitEventResponse;
import io.github.orchestrationledger.v1.GetSprintStatusReportResponse;
import io.github.orchestrationledger.v1.Lease;
import io.github.orchestrationledger.v1.ReleaseTaskRequest;
import io.github.orchestrationledger.v1.ReleaseTaskResponse;
import io.github.orchestrationledger.v1.Task;
import org.junit.jupiter.api.Test;

class AgentTest {
  private static ClaimTaskResponse claimed() {
    Lease.Builder lease =
        Lease.newBuilder()
            .setTaskCode("t1")
            .setFence(1)
            .setDuration(com.google.protobuf.Duration.newBuilder().setSeconds(90))
            .setStartTime(Timestamp.newBuilder().setSeconds(1_000))
            .setExpireTime(Timestamp.newBuilder().setSeconds(1_090));
    return ClaimTaskResponse.newBuilder()
        .addClaims(
            ClaimedTask.newBuilder().setLease(lease).setTask(Task.newBuilder().setCode("t1")))
        .build();
  }

  @Test
  void theAgentTakesLogsAndFinishes() {
    try (FakeLedger ledger = new FakeLedger();
        LedgerClient client = ledger.client().build()) {
      ledger.on(
          "CoordinationService/ClaimTask",
          call -> {
            boolean first = ledger.calls("CoordinationService/ClaimTask").size() == 1;
            call.answer(first ? claimed() : ClaimTaskResponse.getDefaultInstance());
          });
      ledger.on(
          "EventService/EmitEvent", call -> call.answer(EmitEventResponse.getDefaultInstance()));
      ledger.on(
          "ContextService/AssembleContext",
          call ->
              call.answer(
                  AssembleContextResponse.newBuilder()
                      .setContext(Context.newBuilder().setMarkdown("write the parser"))
                      .build()));
      ledger.on(
          "CoordinationService/ReleaseTask",
          call ->
              call.answer(
                  ReleaseTaskResponse.newBuilder()
                      .setTask(Task.newBuilder().setCode("t1"))
                      .build()));
      ledger.on(
          "ReportService/GetSprintStatusReport",
          call ->
              call.answer(GetSprintStatusReportResponse.newBuilder().setMarkdown("# S1").build()));
      assertEquals("# S1", Agent.run(client, "S1"));
      ReleaseTaskRequest release =
          ledger.calls("CoordinationService/ReleaseTask").get(0).as(ReleaseTaskRequest.class);
      assertEquals(AttemptOutcome.ATTEMPT_OUTCOME_COMPLETED, release.getOutcome());
      assertEquals("read 3 words", release.getReason());
      assertEquals(1, release.getUsage().getToolCalls());
    }
  }
}
