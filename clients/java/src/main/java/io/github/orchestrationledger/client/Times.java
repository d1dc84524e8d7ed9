package io.github.orchestrationledger.client;

import com.google.protobuf.Timestamp;
import java.time.Duration;
import java.time.Instant;

/** Conversion of durations and times of protobuf. */
final class Times {
  private Times() {}

  static Duration duration(com.google.protobuf.Duration value) {
    return Duration.ofSeconds(value.getSeconds(), value.getNanos());
  }

  static com.google.protobuf.Duration proto(Duration value) {
    return com.google.protobuf.Duration.newBuilder()
        .setSeconds(value.getSeconds())
        .setNanos(value.getNano())
        .build();
  }

  static Duration between(Timestamp start, Timestamp end) {
    return Duration.between(instant(start), instant(end));
  }

  /**
   * Return the nanoseconds of a duration, at most those of a century, so that a sum with a clock
   * does not overflow.
   */
  static long nanos(Duration value) {
    Duration century = Duration.ofDays(36_500);
    return (value.compareTo(century) > 0 ? century : value).toNanos();
  }

  private static Instant instant(Timestamp value) {
    return Instant.ofEpochSecond(value.getSeconds(), value.getNanos());
  }
}
