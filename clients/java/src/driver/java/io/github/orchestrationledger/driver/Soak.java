package io.github.orchestrationledger.driver;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import com.google.protobuf.FieldMask;
import io.github.orchestrationledger.client.EmitTotals;
import io.github.orchestrationledger.client.LedgerClient;
import io.github.orchestrationledger.client.LedgerException;
import io.github.orchestrationledger.client.Timeline;
import io.github.orchestrationledger.client.Work;
import io.github.orchestrationledger.v1.ClaimTaskRequest;
import io.github.orchestrationledger.v1.CreateTaskRequest;
import io.github.orchestrationledger.v1.Event;
import io.github.orchestrationledger.v1.EventFilter;
import io.github.orchestrationledger.v1.GetTaskRequest;
import io.github.orchestrationledger.v1.GetTaskResponse;
import io.github.orchestrationledger.v1.NewEvent;
import io.github.orchestrationledger.v1.StreamTimelineRequest;
import io.github.orchestrationledger.v1.Task;
import io.github.orchestrationledger.v1.UpdateTaskRequest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;

/**
 * The work of an agent for some minutes, by four threads: a caller, an emitter, a follower and a
 * claimer.
 */
final class Soak {
  private static final int MOST_ERRORS = 5;
  private static final int BATCH = 20;
  private static final int PAUSE_MS = 5;

  /** Of the tasks that are claimed, each of this number is given back. */
  private static final int GIVEN_BACK = 4;

  private static final Duration EMIT_RETRY_TIMEOUT = Duration.ofSeconds(60);

  /** How long the follower may take for the last events. */
  private static final Duration LAST_EVENTS = Duration.ofSeconds(30);

  private final LedgerClient client;
  private final String name;
  private final String label;
  private final AtomicInteger calls = new AtomicInteger();
  private final AtomicInteger failed = new AtomicInteger();
  private final AtomicInteger emitted = new AtomicInteger();
  private final AtomicInteger claimed = new AtomicInteger();
  private final List<String> errors = new ArrayList<>();
  private final JsonArray held = new JsonArray();
  private final Set<Long> numbers = new HashSet<>();
  private int seen;
  private int repeated;
  private final CountDownLatch allEmitted = new CountDownLatch(1);
  private volatile long until;

  Soak(LedgerClient client, String name, String label) {
    this.client = client;
    this.name = name;
    this.label = label;
  }

  JsonObject run(Duration time) throws InterruptedException {
    until = System.nanoTime() + time.toNanos();
    List<Thread> threads =
        List.of(
            thread(this::callTasks), thread(this::emit), thread(this::follow), thread(this::claim));
    for (Thread thread : threads) {
      thread.join();
    }
    JsonObject answer = new JsonObject();
    JsonArray messages = new JsonArray();
    errors.forEach(messages::add);
    answer.addProperty("calls", calls.get());
    answer.addProperty("failed", failed.get());
    answer.add("errors", messages);
    answer.addProperty("emitted", emitted.get());
    answer.addProperty("seen", seen);
    answer.addProperty("repeated", repeated);
    answer.addProperty("missed", emitted.get() - numbers.size());
    answer.addProperty("claimed", claimed.get());
    answer.add("held", held);
    return answer;
  }

  private interface Part {
    void run() throws Exception;
  }

  private Thread thread(Part part) {
    Thread thread =
        new Thread(
            () -> {
              try {
                part.run();
              } catch (Exception error) {
                fail(error);
              }
            });
    thread.start();
    return thread;
  }

  private boolean goesOn() {
    return until - System.nanoTime() > 0;
  }

  /** Count a call and its failure. */
  private <T> Optional<T> count(Callable<T> call) throws Exception {
    calls.incrementAndGet();
    try {
      return Optional.of(call.call());
    } catch (LedgerException error) {
      fail(error);
      return Optional.empty();
    }
  }

  private void fail(Exception error) {
    failed.incrementAndGet();
    synchronized (errors) {
      if (errors.size() < MOST_ERRORS) {
        errors.add(error.toString());
      }
    }
  }

  private void callTasks() throws Exception {
    for (int i = 0; goesOn(); i++) {
      String code = name + "-" + i;
      Task task = Task.newBuilder().setCode(code).setTitle("Task " + i).addLabels(label).build();
      CreateTaskRequest create = CreateTaskRequest.newBuilder().setTask(task).build();
      count(() -> client.call(client.tasks()::createTask, create));
      UpdateTaskRequest update =
          UpdateTaskRequest.newBuilder()
              .setTask(Task.newBuilder().setCode(code).setTitle("Renamed " + i))
              .setUpdateMask(FieldMask.newBuilder().addPaths("title"))
              .build();
      count(() -> client.call(client.tasks()::updateTask, update));
      GetTaskRequest get = GetTaskRequest.newBuilder().setTaskCode(code).build();
      Optional<GetTaskResponse> found = count(() -> client.call(client.tasks()::getTask, get));
      String title = found.map(answer -> answer.getTask().getTitle()).orElse("Renamed " + i);
      if (!title.equals("Renamed " + i)) {
        fail(new IllegalStateException("the title of " + code + " is " + title));
      }
      TimeUnit.MILLISECONDS.sleep(PAUSE_MS);
    }
  }

  private void emit() throws Exception {
    try {
      while (goesOn()) {
        EmitTotals totals = client.emitAll(this::events, BATCH, EMIT_RETRY_TIMEOUT);
        if (totals.duplicates() + totals.sampledOut() > 0) {
          fail(new IllegalStateException("events were not stored as new: " + totals));
        }
      }
    } finally {
      allEmitted.countDown();
    }
  }

  /** Return events, one after each pause, until the time has passed. */
  private Iterator<NewEvent> events() {
    return new Iterator<>() {
      @Override
      public boolean hasNext() {
        return goesOn();
      }

      @Override
      public NewEvent next() {
        int n = emitted.getAndIncrement();
        if (n % BATCH == 0) {
          calls.incrementAndGet();
        }
        LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(PAUSE_MS));
        return Commands.event(name + ".step", n);
      }
    };
  }

  private void follow() throws InterruptedException {
    StreamTimelineRequest request =
        StreamTimelineRequest.newBuilder()
            .setFilter(EventFilter.newBuilder().addTypes(name + ".step"))
            .setFollow(true)
            .build();
    try (Timeline timeline = client.follow(request)) {
      long end = 0;
      while (true) {
        Optional<Event> event = timeline.poll(Duration.ofMillis(200));
        event.ifPresent(this::see);
        if (allEmitted.getCount() > 0) {
          continue;
        }
        end = end == 0 ? System.nanoTime() + LAST_EVENTS.toNanos() : end;
        // One look more after the last event, for a repeat of it.
        boolean all = numbers.size() >= emitted.get() && event.isEmpty();
        if (all || timeline.hasEnded() || end - System.nanoTime() < 0) {
          return;
        }
      }
    }
  }

  private void see(Event event) {
    long n = (long) event.getPayload().getFieldsOrThrow("n").getNumberValue();
    seen++;
    if (!numbers.add(n)) {
      repeated++;
    }
  }

  private void claim() throws Exception {
    ClaimTaskRequest request =
        ClaimTaskRequest.newBuilder()
            .addLabels(label)
            .setLease(com.google.protobuf.Duration.newBuilder().setSeconds(10))
            .setWait(com.google.protobuf.Duration.newBuilder().setSeconds(1))
            .build();
    while (goesOn()) {
      Optional<Work> work = count(() -> client.claim(request)).flatMap(taken -> taken);
      if (work.isPresent()) {
        hold(work.get());
      }
    }
  }

  private void hold(Work work) throws Exception {
    int number = claimed.incrementAndGet();
    double start = now();
    count(
        () -> {
          work.log("working");
          return true;
        });
    TimeUnit.MILLISECONDS.sleep(PAUSE_MS);
    JsonArray one = new JsonArray();
    one.add(work.task().getCode());
    one.add(Long.toString(work.fence()));
    one.add(start);
    one.add(now());
    held.add(one);
    boolean back = number % GIVEN_BACK == 0;
    count(() -> back ? work.giveBack("for another agent") : work.finish("done"));
  }

  private static double now() {
    return System.currentTimeMillis() / 1e3;
  }
}
