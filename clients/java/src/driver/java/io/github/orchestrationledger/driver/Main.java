package io.github.orchestrationledger.driver;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import io.grpc.Context;
import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/**
 * The driver of the conformance suite: reads a command a line from standard input, and answers each
 * with its id. See clients/conformance/README.md.
 */
public final class Main {
  private final Commands commands = new Commands();
  private final Map<String, Context.CancellableContext> calls = new ConcurrentHashMap<>();
  private final PrintStream out;

  private Main(PrintStream out) {
    this.out = out;
  }

  /**
   * Answer commands until standard input ends.
   *
   * @param arguments none
   * @throws IOException if standard input cannot be read
   */
  public static void main(String[] arguments) throws IOException {
    PrintStream out =
        new PrintStream(new FileOutputStream(FileDescriptor.out), false, StandardCharsets.UTF_8);
    Main main = new Main(out);
    ExecutorService executor = Executors.newCachedThreadPool();
    try (BufferedReader in =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
      for (String line = in.readLine(); line != null; line = in.readLine()) {
        if (!line.isBlank()) {
          JsonObject command = JsonParser.parseString(line).getAsJsonObject();
          Runnable action = main.command(command);
          if (Json.text(command, "op").equals("open")) {
            action.run(); // It does not wait, and the next command may need its client.
          } else {
            executor.execute(action);
          }
        }
      }
    }
    main.commands.close();
    System.exit(0);
  }

  /** Return what a command does. A call is known by its name before the next command is read. */
  private Runnable command(JsonObject command) {
    String name = Json.text(command, "call");
    if (Json.text(command, "op").equals("cancel")) {
      return () -> {
        Context.CancellableContext call = calls.get(name);
        if (call != null) {
          call.cancel(null);
        }
        answer(command, "ok", new JsonObject());
      };
    }
    Context.CancellableContext context = Context.ROOT.withCancellation();
    if (!name.isEmpty()) {
      calls.put(name, context);
    }
    return () -> {
      try {
        answer(command, "ok", context.call(() -> commands.run(command)));
      } catch (Throwable error) {
        answer(command, "error", Errors.json(error));
      } finally {
        calls.remove(name, context);
        context.cancel(null);
      }
    };
  }

  private void answer(JsonObject command, String key, JsonObject value) {
    JsonObject answer = new JsonObject();
    answer.add("id", command.get("id"));
    answer.add(key, value);
    String line = answer.toString();
    synchronized (out) {
      out.println(line);
      out.flush();
    }
  }
}
