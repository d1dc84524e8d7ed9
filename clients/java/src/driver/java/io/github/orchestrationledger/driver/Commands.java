package io.github.orchestrationledger.driver;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.protobuf.Message;
import io.github.orchestrationledger.client.Claims;
import io.github.orchestrationledger.client.EmitTotals;
import io.github.orchestrationledger.client.Faults;
import io.github.orchestrationledger.client.LedgerClient;
import io.github.orchestrationledger.client.LedgerClientBuilder;
import io.github.orchestrationledger.client.Structs;
import io.github.orchestrationledger.client.Work;
import io.github.orchestrationledger.v1.ClaimTaskRequest;
import io.github.orchestrationledger.v1.NewEvent;
import io.github.orchestrationledger.v1.StreamTimelineRequest;
import io.github.orchestrationledger.v1.Task;
import io.grpc.CallOptions;
import io.grpc.MethodDescriptor;
import io.grpc.stub.ClientCalls;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** What the commands of the suite do with the client. */
final class Commands implements AutoCloseable {
  private static final Duration EMIT_RETRY_TIMEOUT = Duration.ofSeconds(60);

  private final Map<String, LedgerClient> clients = new ConcurrentHashMap<>();
  private final Map<String, Follower> followers = new ConcurrentHashMap<>();
  private final Map<String, Work> works = new ConcurrentHashMap<>();

  JsonObject run(JsonObject command) throws Exception {
    return switch (Json.text(command, "op")) {
      case "open" -> open(command);
      case "call" -> call(command);
      case "list" -> list(command);
      case "follow" -> follow(command);
      case "next" ->
          known(followers, command, "follower")
              .next(Json.number(command, "count", 1), Json.seconds(command, "timeout", 10));
      case "unfollow" -> done(known(followers, command, "follower")::close);
      case "emitAll" -> emitAll(command);
      case "claim" -> claim(command);
      case "claims" -> claims(command);
      case "soak" -> soak(command);
      case "close" -> done(client(command)::close);
      default -> runWork(command);
    };
  }

  private JsonObject runWork(JsonObject command) throws Exception {
    Work work = known(works, command, "work");
    String reason = Json.text(command, "reason");
    return switch (Json.text(command, "op")) {
      case "log" -> done(() -> work.log(Json.text(command, "message")));
      case "update" ->
          done(() -> work.update(Json.message(command, "task", Task.newBuilder()).build()));
      case "finish" -> done(() -> work.finish(reason));
      case "return" -> done(() -> work.giveBack(reason));
      case "fail" -> done(() -> work.fail(reason));
      case "block" -> done(() -> work.block(reason));
      case "state" -> state(work);
      case "awaitLost" -> awaitLost(work, Json.seconds(command, "timeout", 60));
      case "abandon" -> done(work::abandon);
      default -> throw new IllegalArgumentException("no op is called " + Json.text(command, "op"));
    };
  }

  private JsonObject open(JsonObject command) {
    LedgerClientBuilder builder = LedgerClient.builder();
    if (Json.has(command, "address")) {
      builder.address(Json.text(command, "address"));
    }
    if (Json.has(command, "token")) {
      builder.token(Json.text(command, "token"));
    }
    if (Json.has(command, "project")) {
      builder.project(Json.text(command, "project"));
    }
    if (Json.has(command, "ca")) {
      builder.caFile(Json.text(command, "ca"));
    }
    if (Json.has(command, "cert") || Json.has(command, "key")) {
      builder.certificate(Path.of(Json.text(command, "cert")), Path.of(Json.text(command, "key")));
    }
    if (Json.has(command, "timeout")) {
      builder.timeout(Json.seconds(command, "timeout", 10));
    }
    builder
        .agent(Json.text(command, "agent"))
        .session(Json.text(command, "session"))
        .correlationId(Json.text(command, "correlation"));
    Faults.apply(builder);
    LedgerClient before = clients.put(Json.text(command, "client"), builder.build());
    if (before != null) {
      before.close();
    }
    return new JsonObject();
  }

  private JsonObject call(JsonObject command) {
    MethodDescriptor<Message, Message> method = Methods.find(Json.text(command, "method"));
    Message request = Json.message(command, "request", Methods.request(method)).build();
    JsonObject answer = new JsonObject();
    answer.add("response", Json.of(call(client(command), method, options(command), request)));
    return answer;
  }

  private static CallOptions options(JsonObject command) {
    if (!Json.has(command, "timeout")) {
      return CallOptions.DEFAULT;
    }
    long nanos = Json.seconds(command, "timeout", 0).toNanos();
    return CallOptions.DEFAULT.withDeadlineAfter(nanos, TimeUnit.NANOSECONDS);
  }

  private static Message call(
      LedgerClient client,
      MethodDescriptor<Message, Message> method,
      CallOptions options,
      Message request) {
    return client.call(
        sent -> ClientCalls.blockingUnaryCall(client.channel(), method, options, sent), request);
  }

  private JsonObject list(JsonObject command) {
    MethodDescriptor<Message, Message> method = Methods.find(Json.text(command, "method"));
    Message request = Json.message(command, "request", Methods.request(method)).build();
    LedgerClient client = client(command);
    Stream<Message> items =
        client.pages(
            asked -> call(client, method, options(command), asked), request, Methods::items);
    if (Json.has(command, "limit")) {
      items = items.limit(Json.number(command, "limit", 0));
    }
    JsonObject answer = new JsonObject();
    answer.add("items", Json.array(items.toList()));
    return answer;
  }

  private JsonObject follow(JsonObject command) {
    StreamTimelineRequest request =
        Json.message(command, "request", StreamTimelineRequest.newBuilder()).build();
    Follower before =
        followers.put(
            Json.text(command, "follower"), new Follower(client(command).follow(request)));
    if (before != null) {
      before.close();
    }
    return new JsonObject();
  }

  private JsonObject emitAll(JsonObject command) {
    Stream<NewEvent> events;
    if (Json.has(command, "events")) {
      Stream.Builder<NewEvent> given = Stream.builder();
      for (JsonElement event : command.getAsJsonArray("events")) {
        NewEvent.Builder builder = NewEvent.newBuilder();
        Json.merge(event, builder);
        given.add(builder.build());
      }
      events = given.build();
    } else {
      String type = Json.text(command, "type");
      events = IntStream.range(0, Json.number(command, "count", 0)).mapToObj(n -> event(type, n));
    }
    EmitTotals totals =
        client(command)
            .emitAll(events::iterator, Json.number(command, "batch", 500), EMIT_RETRY_TIMEOUT);
    JsonObject answer = new JsonObject();
    answer.addProperty("stored", totals.stored());
    answer.addProperty("duplicates", totals.duplicates());
    answer.addProperty("sampledOut", totals.sampledOut());
    return answer;
  }

  static NewEvent event(String type, int n) {
    return NewEvent.newBuilder().setType(type).setPayload(Structs.of(Map.of("n", n))).build();
  }

  private JsonObject claim(JsonObject command) {
    ClaimTaskRequest request =
        Json.message(command, "request", ClaimTaskRequest.newBuilder()).build();
    Optional<Work> taken = client(command).claim(request);
    JsonObject answer = new JsonObject();
    taken.ifPresent(
        work -> {
          works.put(Json.text(command, "work"), work);
          answer.addProperty("taskCode", work.task().getCode());
          answer.addProperty("fence", Long.toString(work.fence()));
          answer.addProperty("attempt", work.lease().getAttempt());
        });
    return answer;
  }

  private JsonObject claims(JsonObject command) {
    ClaimTaskRequest request =
        Json.message(command, "request", ClaimTaskRequest.newBuilder()).build();
    int limit = Json.number(command, "limit", Integer.MAX_VALUE);
    JsonArray codes = new JsonArray();
    try (Claims claims = client(command).claims(request)) {
      while (codes.size() < limit && claims.hasNext()) {
        Work work = claims.next();
        work.run(
            taken -> {
              taken.log("working");
              taken.finish("done");
            });
        codes.add(work.task().getCode());
      }
    }
    JsonObject answer = new JsonObject();
    answer.add("taskCodes", codes);
    return answer;
  }

  private static JsonObject state(Work work) {
    JsonObject answer = new JsonObject();
    answer.addProperty("lost", work.isLost());
    answer.addProperty("reason", work.isLost() ? work.lostReason() : work.directiveReason());
    answer.addProperty("directive", work.directive().name());
    return answer;
  }

  private static JsonObject awaitLost(Work work, Duration timeout)
      throws InterruptedException, ExecutionException {
    try {
      work.lost().get(timeout.toNanos(), TimeUnit.NANOSECONDS);
    } catch (TimeoutException error) {
      return state(work);
    }
    return state(work);
  }

  private JsonObject soak(JsonObject command) throws InterruptedException {
    String name = Json.text(command, "name");
    String label = Json.has(command, "label") ? Json.text(command, "label") : name;
    return new Soak(client(command), name, label).run(Json.seconds(command, "seconds", 10));
  }

  private LedgerClient client(JsonObject command) {
    return known(clients, command, "client");
  }

  private static <T> T known(Map<String, T> things, JsonObject command, String kind) {
    T found = things.get(Json.text(command, kind));
    if (found == null) {
      throw new IllegalArgumentException(
          "no " + kind + " is called '" + Json.text(command, kind) + "'");
    }
    return found;
  }

  private static JsonObject done(Runnable action) {
    action.run();
    return new JsonObject();
  }

  @Override
  public void close() {
    clients.values().forEach(LedgerClient::close);
  }
}
