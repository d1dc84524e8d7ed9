package io.github.orchestrationledger.driver;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.protobuf.util.JsonFormat;
import java.time.Duration;

/** Values of commands and answers. Messages are in the JSON mapping of protobuf. */
final class Json {
  private static final JsonFormat.Printer PRINTER =
      JsonFormat.printer().omittingInsignificantWhitespace();
  private static final JsonFormat.Parser PARSER = JsonFormat.parser();

  private Json() {}

  /** Return a text; empty if there is none. */
  static String text(JsonObject command, String name) {
    return has(command, name) ? command.get(name).getAsString() : "";
  }

  static int number(JsonObject command, String name, int otherwise) {
    return has(command, name) ? command.get(name).getAsInt() : otherwise;
  }

  /** Return a time in seconds. */
  static Duration seconds(JsonObject command, String name, double otherwise) {
    double found = has(command, name) ? command.get(name).getAsDouble() : otherwise;
    return Duration.ofNanos((long) (found * 1e9));
  }

  static boolean has(JsonObject command, String name) {
    return command.has(name) && !command.get(name).isJsonNull();
  }

  /** Fill a builder with a message of a command, if it has it. */
  static <B extends Message.Builder> B message(JsonObject command, String name, B builder) {
    if (has(command, name)) {
      merge(command.get(name), builder);
    }
    return builder;
  }

  static void merge(JsonElement json, Message.Builder builder) {
    try {
      PARSER.merge(json.toString(), builder);
    } catch (InvalidProtocolBufferException error) {
      throw new IllegalArgumentException(error.getMessage(), error);
    }
  }

  static JsonObject of(Message message) {
    try {
      return JsonParser.parseString(PRINTER.print(message)).getAsJsonObject();
    } catch (InvalidProtocolBufferException error) {
      throw new IllegalArgumentException(error.getMessage(), error);
    }
  }

  static JsonArray array(Iterable<? extends Message> messages) {
    JsonArray found = new JsonArray();
    messages.forEach(each -> found.add(of(each)));
    return found;
  }
}
