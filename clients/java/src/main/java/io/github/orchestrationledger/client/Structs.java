package io.github.orchestrationledger.client;

import com.google.protobuf.ListValue;
import com.google.protobuf.NullValue;
import com.google.protobuf.Struct;
import com.google.protobuf.Value;
import java.math.BigDecimal;
import java.util.List;
import java.util.Map;

/** Structs of JSON values, for payloads, metadata and settings. */
public final class Structs {
  /** From this number on, two whole numbers may be the same double. */
  private static final BigDecimal WHOLE_BELOW = BigDecimal.valueOf(1L << 53);

  private Structs() {}

  /**
   * Return the Struct of JSON values.
   *
   * @param values strings, numbers, booleans, nulls, lists and maps, by name
   * @return the Struct
   * @throws IllegalArgumentException for what a Struct cannot hold, with its path: numbers that a
   *     double does not hold exactly, and types that JSON does not have
   */
  public static Struct of(Map<String, ?> values) {
    return struct(values, "");
  }

  private static Struct struct(Map<?, ?> values, String path) {
    Struct.Builder found = Struct.newBuilder();
    values.forEach(
        (key, value) -> {
          String inner = path.isEmpty() ? String.valueOf(key) : path + "." + key;
          found.putFields(String.valueOf(key), value(value, inner));
        });
    return found.build();
  }

  private static Value value(Object value, String path) {
    Value.Builder found = Value.newBuilder();
    if (value == null) {
      found.setNullValue(NullValue.NULL_VALUE);
    } else if (value instanceof CharSequence text) {
      found.setStringValue(text.toString());
    } else if (value instanceof Boolean flag) {
      found.setBoolValue(flag);
    } else if (value instanceof Number number) {
      found.setNumberValue(exact(number, path));
    } else if (value instanceof Map<?, ?> map) {
      found.setStructValue(struct(map, path));
    } else if (value instanceof List<?> list) {
      ListValue.Builder items = ListValue.newBuilder();
      for (int i = 0; i < list.size(); i++) {
        items.addValues(value(list.get(i), path + "[" + i + "]"));
      }
      found.setListValue(items);
    } else {
      throw new IllegalArgumentException(
          path
              + " is "
              + value.getClass().getName()
              + ", which JSON does not have: use a string,"
              + " number, boolean, null, list or map");
    }
    return found.build();
  }

  private static double exact(Number number, String path) {
    double found = number.doubleValue();
    if (!Double.isFinite(found)) {
      throw new IllegalArgumentException(
          path + " is " + number + ", which JSON does not have: use null or a string");
    }
    boolean real =
        number instanceof Double || number instanceof Float || number instanceof BigDecimal;
    if (!real && new BigDecimal(number.toString()).abs().compareTo(WHOLE_BELOW) >= 0) {
      throw new IllegalArgumentException(
          path + " is " + number + ", which a double does not hold exactly: use a string");
    }
    return found;
  }
}
