package io.github.orchestrationledger.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.Timestamp;
import io.github.orchestrationledger.v1.Directive;
import io.github.orchestrationledger.v1.Lease;
import io.github.orchestrationledger.v1.LeaseState;
import io.github.orchestrationledger.v1.LeaseStatus;
import io.github.orchestrationledger.v1.Usage;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;

class LeaseTableTest {
  private static final long SECOND = 1_000_000_000L;

  /** A moment near the overflow of the clock, which nothing may notice. */
  private static final long START = Long.MAX_VALUE - 5 * SECOND;

  private final LeaseTable table = new LeaseTable();
  private final List<String> lost = new ArrayList<>();

  private static com.google.protobuf.Duration seconds(long seconds) {
    return com.google.protobuf.Duration.newBuilder().setSeconds(seconds).build();
  }

  private KeptLease lease(String code, int duration, int lasts, long sentAt) {
    Lease lease =
        Lease.newBuilder()
            .setTaskCode(code)
            .setFence(7)
            .setDuration(seconds(duration))
            .setStartTime(Timestamp.newBuilder().setSeconds(1_000))
            .setExpireTime(Timestamp.newBuilder().setSeconds(1_000 + lasts))
            .build();
    return new KeptLease(lease, sentAt, reason -> lost.add(code));
  }

  private KeptLease kept(String code, int duration, long now) {
    KeptLease lease = lease(code, duration, duration, now);
    table.add(lease, now);
    return lease;
  }

  private static LeaseState held(long left) {
    return LeaseState.newBuilder()
        .setStatus(LeaseStatus.LEASE_STATUS_HELD)
        .setDirective(Directive.DIRECTIVE_CONTINUE)
        .setTimeLeft(seconds(left))
        .build();
  }

  @Test
  void aHeartbeatIsDueAfterAThirdOfTheLease() {
    KeptLease lease = kept("a", 30, START);
    assertEquals(OptionalLong.of(10 * SECOND), table.untilWake(START));
    assertEquals(List.of(), table.due(START + 10 * SECOND - 1));
    assertEquals(List.of(lease), table.due(START + 10 * SECOND));
    assertEquals(List.of(), table.due(START + 10 * SECOND), "it is being sent");
  }

  @Test
  void leasesThatAreDueSoonShareACall() {
    KeptLease first = kept("a", 30, START);
    KeptLease soon = kept("b", 30, START + 4 * SECOND);
    kept("c", 30, START + 6 * SECOND);
    assertEquals(List.of(first, soon), table.due(START + 10 * SECOND));
  }

  @Test
  void theWatchdogCountsFromTheSendingOfTheLastAcceptedHeartbeat() {
    KeptLease lease = kept("a", 30, START);
    List<KeptLease> due = table.due(START + 10 * SECOND);
    table.accepted(due, List.of(held(30)), START + 10 * SECOND, START + 10 * SECOND);
    assertEquals(OptionalLong.of(30 * SECOND), table.untilExpiry(START + 10 * SECOND));
    table.expire(START + 40 * SECOND - 1);
    assertEquals(List.of(), lost);
    table.expire(START + 40 * SECOND);
    assertEquals(List.of("a"), lost);
    assertEquals(OptionalLong.empty(), table.untilWake(lease.nextBeat));
  }

  @Test
  void aFailedHeartbeatExtendsNothingAndIsTriedAgainSoon() {
    kept("a", 30, START);
    List<KeptLease> due = table.due(START + 10 * SECOND);
    table.failed(due, START + 12 * SECOND);
    assertEquals(List.of(), table.due(START + 13 * SECOND));
    assertEquals(due, table.due(START + 12 * SECOND + 1_500_000_000L));
    table.expire(START + 30 * SECOND);
    assertEquals(List.of("a"), lost);
  }

  @Test
  void theServerSaysThatALeaseIsLost() {
    kept("a", 30, START);
    KeptLease other = kept("b", 30, START);
    List<KeptLease> due = table.due(START + 10 * SECOND);
    LeaseState ended = LeaseState.newBuilder().setStatus(LeaseStatus.LEASE_STATUS_LOST).build();
    table.accepted(due, List.of(ended, held(30)), START + 10 * SECOND, START + 10 * SECOND);
    assertEquals(List.of("a"), lost);
    assertEquals(List.of(other), table.due(START + 20 * SECOND));
  }

  @Test
  void theDeadlineOfAnAttemptMayLeaveLess() {
    KeptLease lease = lease("a", 30, 12, START);
    table.add(lease, START);
    assertEquals(OptionalLong.of(12 * SECOND), table.untilExpiry(START));
    List<KeptLease> due = table.due(START + 4 * SECOND);
    table.accepted(due, List.of(held(6)), START + 4 * SECOND, START + 4 * SECOND);
    assertEquals(OptionalLong.of(6 * SECOND), table.untilExpiry(START + 4 * SECOND));
    assertEquals(OptionalLong.of(2 * SECOND), table.untilWake(START + 4 * SECOND));
  }

  @Test
  void aLateAnswerForADroppedLeaseIsIgnored() {
    KeptLease lease = kept("a", 30, START);
    List<KeptLease> due = table.due(START + 10 * SECOND);
    table.remove(lease);
    table.accepted(
        due, List.of(LeaseState.getDefaultInstance()), START + 10 * SECOND, START + 10 * SECOND);
    assertEquals(List.of(), lost);
    assertEquals(OptionalLong.empty(), table.untilWake(START));
  }

  @Test
  void aDirectiveComesAndGoes() {
    KeptLease lease = kept("a", 30, START);
    LeaseState pause =
        held(30).toBuilder().setDirective(Directive.DIRECTIVE_PAUSE).setReason("lunch").build();
    table.accepted(
        table.due(START + 10 * SECOND), List.of(pause), START + 10 * SECOND, START + 10 * SECOND);
    assertEquals(Directive.DIRECTIVE_PAUSE, lease.told.directive());
    assertEquals("lunch", lease.told.reason());
    table.accepted(
        table.due(START + 20 * SECOND),
        List.of(held(30)),
        START + 20 * SECOND,
        START + 20 * SECOND);
    assertEquals(Directive.DIRECTIVE_CONTINUE, lease.told.directive());
    assertEquals("", lease.told.reason());
  }

  @Test
  void aHeartbeatReportsTheUsage() {
    KeptLease lease = kept("a", 30, START);
    assertTrue(!lease.reference().hasUsage());
    lease.usage = Usage.newBuilder().setToolCalls(3).build();
    assertEquals(3, lease.reference().getUsage().getToolCalls());
    assertEquals(7, lease.reference().getFence());
  }

  @Test
  void aLeaseThatItsHolderReleasesMayEndWithoutBeingLost() {
    KeptLease lease = kept("a", 30, START);
    lease.ending = true;
    LeaseState ended = LeaseState.getDefaultInstance();
    long now = START + 10 * SECOND;
    table.accepted(table.due(now), List.of(ended), now, now);
    assertEquals(List.of(), lost);
    lease.ending = false; // The release failed: the next heartbeat tells.
    long later = now + 2 * SECOND;
    table.accepted(table.due(later), List.of(ended), later, later);
    assertEquals(List.of("a"), lost);
  }

  @Test
  void allLeasesOfAClosedClientAreLost() {
    kept("a", 30, START);
    kept("b", 30, START);
    table.loseAll("the client is closed");
    assertEquals(List.of("a", "b"), lost);
    assertEquals(OptionalLong.empty(), table.untilWake(START));
  }
}
