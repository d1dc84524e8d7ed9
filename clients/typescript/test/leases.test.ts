import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Directive, LeaseSchema, LeaseStateSchema, LeaseStatus } from "@orchestration-ledger/client/v1";
import { type KeptLease, LeaseTable } from "../src/leases.js";

function keptOf(taskCode: string, ms: number, sentAt = 0) {
  const reasons: string[] = [];
  const directives: Directive[] = [];
  const kept: KeptLease = {
    lease: create(LeaseSchema, { taskCode, fence: 2n ** 60n, duration: durationFromMs(ms) }),
    validUntil: sentAt + ms,
    nextBeat: 0,
    sending: false,
    ending: false,
    usage: undefined,
    budgetLeft: undefined,
    lost: (reason) => void reasons.push(reason),
    directed: (directive) => void directives.push(directive),
  };
  return { kept, reasons, directives };
}

const held = (ms: number, directive = Directive.CONTINUE) =>
  create(LeaseStateSchema, { status: LeaseStatus.HELD, directive, timeLeft: durationFromMs(ms) });

test("three beats in a lease, and one call for leases that are due soon", () => {
  const table = new LeaseTable();
  const first = keptOf("a", 9_000);
  const second = keptOf("b", 9_000, 1_000);
  table.add(first.kept, 0);
  table.add(second.kept, 1_000);
  assert.equal(table.nextWake(), 3_000);
  assert.deepEqual(table.due(2_999), []);
  assert.deepEqual(table.due(3_000), [first.kept, second.kept]);
  assert.deepEqual(table.due(3_000), []);
});

test("the watchdog counts from the sending of the accepted beat", () => {
  const table = new LeaseTable();
  const { kept, reasons } = keptOf("a", 9_000);
  table.add(kept, 0);
  const beaten = table.due(3_000);
  // The answer took 5 seconds.
  table.accepted(beaten, [held(9_000)], 3_000, 3_000);
  assert.equal(kept.validUntil, 12_000);
  table.expire(11_999);
  assert.deepEqual(reasons, []);
  table.expire(12_000);
  assert.deepEqual(reasons, ["no heartbeat was accepted in time"]);
  assert.equal(table.nextWake(), Infinity);
});

test("a beat that is not answered delays no expiry", () => {
  const table = new LeaseTable();
  const { kept, reasons } = keptOf("a", 9_000);
  table.add(kept, 0);
  table.due(3_000);
  assert.equal(table.nextWake(), 9_000);
  table.expire(9_000);
  assert.equal(reasons.length, 1);
});

test("a failed beat is tried again soon, and the lease still ends", () => {
  const table = new LeaseTable();
  const { kept } = keptOf("a", 9_000);
  table.add(kept, 0);
  table.failed(table.due(3_000), 3_100);
  assert.equal(kept.nextBeat, 3_550);
  assert.equal(kept.validUntil, 9_000);
});

test("the server's word ends a lease, and an answer that comes after the end is ignored", () => {
  const table = new LeaseTable();
  const { kept, reasons, directives } = keptOf("a", 9_000);
  table.add(kept, 0);
  const beaten = table.due(3_000);
  table.accepted(beaten, [create(LeaseStateSchema, { status: LeaseStatus.LOST })], 3_000, 3_000);
  assert.deepEqual(reasons, ["the server says that the lease has ended"]);
  table.accepted(beaten, [held(9_000)], 3_000, 3_000);
  assert.deepEqual(directives, []);
  assert.equal(table.nextWake(), Infinity);
});

test("the deadline of the attempt shortens the lease", () => {
  const table = new LeaseTable();
  const { kept } = keptOf("a", 9_000);
  table.add(kept, 0);
  table.accepted(table.due(3_000), [held(1_500)], 3_000, 3_000);
  assert.equal(kept.validUntil, 4_500);
  assert.equal(kept.nextBeat, 3_500);
});

test("directives reach the holder", () => {
  const table = new LeaseTable();
  const { kept, directives } = keptOf("a", 9_000);
  table.add(kept, 0);
  table.accepted(table.due(3_000), [held(9_000, Directive.PAUSE)], 3_000, 3_000);
  assert.deepEqual(directives, [Directive.PAUSE]);
});

test("a lease that its holder releases may end without being lost", () => {
  const table = new LeaseTable();
  const { kept, reasons } = keptOf("a", 9_000);
  table.add(kept, 0);
  kept.ending = true;
  const lost = create(LeaseStateSchema, { status: LeaseStatus.LOST });
  table.accepted(table.due(3_000), [lost], 3_000, 3_000);
  assert.deepEqual(reasons, []);
  // The release failed: the next beat tells.
  kept.ending = false;
  table.accepted(table.due(4_000), [lost], 4_000, 4_000);
  assert.deepEqual(reasons, ["the server says that the lease has ended"]);
});

test("one lease that is kept twice is lost twice", () => {
  const table = new LeaseTable();
  const both = [keptOf("a", 9_000), keptOf("a", 9_000)];
  for (const { kept } of both) {
    table.add(kept, 0);
  }
  table.expire(9_000);
  assert.deepEqual(
    both.map(({ reasons }) => reasons.length),
    [1, 1],
  );
});
