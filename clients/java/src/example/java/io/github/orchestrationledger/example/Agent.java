package io.github.orchestrationledger.example;

import io.github.orchestrationledger.client.Claims;
import io.github.orchestrationledger.client.LedgerClient;
import io.github.orchestrationledger.client.LedgerException;
import io.github.orchestrationledger.client.Work;
import io.github.orchestrationledger.v1.AttemptOutcome;
import io.github.orchestrationledger.v1.ClaimTaskRequest;
import io.github.orchestrationledger.v1.GetSprintStatusReportRequest;
import io.github.orchestrationledger.v1.ReleaseTaskRequest;
import io.github.orchestrationledger.v1.Usage;
import java.util.Map;

/**
 * An agent that takes ready work until there is none: {@code build/agent SPRINT}, after {@code make
 * example}.
 */
public final class Agent {
  private Agent() {}

  /** Stand for a call of a model. */
  private static String askModel(String prompt) {
    return "read " + prompt.strip().split("\\s+").length + " words";
  }

  /** Do the work of one task. The lease is kept meanwhile. */
  private static void workOn(Work work) {
    work.log("started", "note", Map.of("attempt", work.lease().getAttempt()));
    String answer = askModel(work.prompt(2_000));
    if (answer.contains("enough for today")) {
      work.giveBack(answer);
    } else {
      work.end(
          ReleaseTaskRequest.newBuilder()
              .setOutcome(AttemptOutcome.ATTEMPT_OUTCOME_COMPLETED)
              .setReason(answer)
              .setUsage(Usage.newBuilder().setToolCalls(1))
              .build());
    }
  }

  /**
   * Take the ready work of a sprint, and return the report of the sprint.
   *
   * @param ledger the ledger
   * @param sprint the code of the sprint
   * @return the report as Markdown
   */
  public static String run(LedgerClient ledger, String sprint) {
    ClaimTaskRequest ready = ClaimTaskRequest.newBuilder().setSprintCode(sprint).build();
    try (Claims claims = ledger.claims(ready)) {
      for (Work work : claims) {
        try {
          work.run(Agent::workOn);
        } catch (LedgerException error) {
          System.out.println(work.task().getCode() + " " + error.getMessage());
        }
      }
    }
    GetSprintStatusReportRequest report =
        GetSprintStatusReportRequest.newBuilder()
            .setSprintCode(sprint)
            .setIncludeMarkdown(true)
            .build();
    return ledger.call(ledger.reports()::getSprintStatusReport, report).getMarkdown();
  }

  /**
   * Start the agent.
   *
   * @param arguments the code of the sprint
   */
  public static void main(String[] arguments) {
    try (LedgerClient ledger = LedgerClient.builder().agent("builder-1").build()) {
      System.out.println(run(ledger, arguments[0]));
    }
  }
}
