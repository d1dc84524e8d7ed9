package io.github.orchestrationledger.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.google.rpc.RetryInfo;
import io.grpc.Status;
import java.time.Duration;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class RetryTest {
  private final AtomicLong clock = new AtomicLong(Long.MAX_VALUE - 10);

  private Retry retry(Duration timeout, double random) {
    return new Retry(timeout, clock::get, () -> random);
  }

  private static LedgerException error(Status.Code code) {
    return LedgerException.of(code.toStatus(), null, null);
  }

  private static LedgerException error(Status.Code code, int seconds) {
    return LedgerException.of(
        FakeLedger.error(
            code,
            RetryInfo.newBuilder()
                .setRetryDelay(com.google.protobuf.Duration.newBuilder().setSeconds(seconds))
                .build()));
  }

  private static double seconds(long nanos) {
    return nanos / 1e9;
  }

  @Test
  void thePauseGrowsToFiveSecondsAndStartsAgain() {
    Retry retry = retry(null, 1.0);
    double[] expected = {0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5, 5, 5, 5, 5};
    for (double each : expected) {
      assertEquals(each, seconds(retry.pause(error(Status.Code.UNAVAILABLE))), 1e-6);
    }
    retry.progress();
    assertEquals(0.05, seconds(retry.pause(error(Status.Code.UNAVAILABLE))), 1e-6);
    assertEquals(0.025, seconds(retry(null, 0.0).pause(error(Status.Code.UNAVAILABLE))), 1e-6);
  }

  @Test
  void aGreetingIsProgressOnlyIfTheStreamLivesOn() {
    Retry retry = retry(null, 1.0);
    for (double each : new double[] {0.05, 0.1, 0.2}) {
      retry.heard();
      assertEquals(each, seconds(retry.pause(error(Status.Code.UNAVAILABLE))), 1e-6);
    }
    retry.heard();
    clock.addAndGet(Duration.ofSeconds(5).toNanos());
    assertEquals(0.05, seconds(retry.pause(error(Status.Code.UNAVAILABLE))), 1e-6);
  }

  @Test
  void theServersDelayIsObeyed() {
    assertEquals(
        7, seconds(retry(null, 1.0).pause(error(Status.Code.RESOURCE_EXHAUSTED, 7))), 1e-6);
    assertEquals(3, seconds(retry(null, 1.0).pause(error(Status.Code.UNAVAILABLE, 3))), 1e-6);
  }

  @ParameterizedTest
  @EnumSource(
      names = {
        "RESOURCE_EXHAUSTED",
        "INVALID_ARGUMENT",
        "FAILED_PRECONDITION",
        "PERMISSION_DENIED"
      })
  void anErrorThatStaysIsThrown(Status.Code code) {
    Retry retry = retry(null, 1.0);
    assertThrows(LedgerException.class, () -> retry.pause(error(code)));
  }

  @Test
  void theServerMayDeclareAnErrorRetryable() {
    assertEquals(
        0.05, seconds(retry(null, 1.0).pause(error(Status.Code.RESOURCE_EXHAUSTED), true)), 1e-6);
  }

  @ParameterizedTest
  @EnumSource(names = {"INTERNAL", "UNKNOWN"})
  void anAmbiguousErrorIsRetriedFourTimesInARow(Status.Code code) {
    Retry retry = retry(null, 1.0);
    for (int i = 0; i < 4; i++) {
      retry.pause(error(code));
    }
    assertThrows(LedgerException.class, () -> retry.pause(error(code)));
    retry.progress();
    retry.pause(error(code));
  }

  @Test
  void theTimeoutCountsFromTheFirstErrorAfterProgress() {
    Retry retry = retry(Duration.ofSeconds(10), 1.0);
    retry.pause(error(Status.Code.UNAVAILABLE));
    clock.addAndGet(Duration.ofSeconds(9).toNanos());
    retry.pause(error(Status.Code.UNAVAILABLE));
    retry.progress();
    clock.addAndGet(Duration.ofSeconds(9).toNanos());
    retry.pause(error(Status.Code.UNAVAILABLE));
    clock.addAndGet(Duration.ofSeconds(10).toNanos());
    assertThrows(LedgerException.class, () -> retry.pause(error(Status.Code.UNAVAILABLE)));
  }
}
