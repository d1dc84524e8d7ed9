package io.github.orchestrationledger.client;

import io.github.orchestrationledger.v1.AdminServiceGrpc;
import io.github.orchestrationledger.v1.ContextServiceGrpc;
import io.github.orchestrationledger.v1.CoordinationServiceGrpc;
import io.github.orchestrationledger.v1.EventServiceGrpc;
import io.github.orchestrationledger.v1.ReportServiceGrpc;
import io.github.orchestrationledger.v1.ScheduleServiceGrpc;
import io.github.orchestrationledger.v1.SessionServiceGrpc;
import io.github.orchestrationledger.v1.SprintServiceGrpc;
import io.github.orchestrationledger.v1.TaskServiceGrpc;
import io.github.orchestrationledger.v1.TemplateServiceGrpc;
import io.grpc.MethodDescriptor;
import io.grpc.ServiceDescriptor;
import java.util.List;
import java.util.Map;

/**
 * The service config that clients/service_config.json publishes: how calls are retried and
 * balanced.
 */
final class ServiceConfig {
  /** The services of the ledger. */
  static final List<ServiceDescriptor> SERVICES =
      List.of(
          SprintServiceGrpc.getServiceDescriptor(),
          TaskServiceGrpc.getServiceDescriptor(),
          EventServiceGrpc.getServiceDescriptor(),
          SessionServiceGrpc.getServiceDescriptor(),
          ContextServiceGrpc.getServiceDescriptor(),
          CoordinationServiceGrpc.getServiceDescriptor(),
          TemplateServiceGrpc.getServiceDescriptor(),
          ScheduleServiceGrpc.getServiceDescriptor(),
          ReportServiceGrpc.getServiceDescriptor(),
          AdminServiceGrpc.getServiceDescriptor());

  /** The most attempts of a call. */
  static final int ATTEMPTS = 5;

  private ServiceConfig() {}

  /** Return the config as the builder of a channel takes it: all numbers are doubles. */
  static Map<String, ?> map() {
    // A server that stops gracefully ends its pending calls with CANCELLED. Retrying such a call is
    // safe only because
    // every mutation carries a request_id.
    Map<String, ?> policy =
        Map.of(
            "maxAttempts",
            (double) ATTEMPTS,
            "initialBackoff",
            "0.05s",
            "maxBackoff",
            "1s",
            "backoffMultiplier",
            2.0,
            "retryableStatusCodes",
            List.of("UNAVAILABLE", "CANCELLED"));
    return Map.of(
        "loadBalancingConfig", List.of(Map.of("round_robin", Map.of())),
        "methodConfig", List.of(Map.of("name", retriedMethods(), "retryPolicy", policy)));
  }

  /** Return all unary methods: timelines and emission resume their streams themselves. */
  private static List<Map<String, String>> retriedMethods() {
    return SERVICES.stream()
        .flatMap(service -> service.getMethods().stream())
        .filter(method -> method.getType() == MethodDescriptor.MethodType.UNARY)
        .map(
            method ->
                Map.of("service", method.getServiceName(), "method", method.getBareMethodName()))
        .toList();
  }
}
