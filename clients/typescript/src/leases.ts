import { create } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import {
  type Directive,
  type HeartbeatRequest,
  HeartbeatRequestSchema,
  type LeaseState,
  LeaseStatus,
} from "./gen/orchestration/v1/coordination_pb.js";
import type { Lease, Usage } from "./gen/orchestration/v1/lease_pb.js";
import type { Budget } from "./gen/orchestration/v1/task_pb.js";

const MAX_BEATS = 10_000;
const BEATS_PER_LEASE = 3;
/** Attempts in the duration of a lease while heartbeats fail. */
const RETRIES_PER_LEASE = 20;

/** Why a lease is lost. */
export const HAS_ENDED = "the server says that the lease has ended";
const OUT_OF_TIME = "no heartbeat was accepted in time";

/** A lease that the client keeps. */
export interface KeptLease {
  readonly lease: Lease;
  /**
   * The moment until which the lease is certainly valid, by the client's monotonic clock in milliseconds: its duration
   * after the sending of the last heartbeat that the server accepted, or of the claim.
   */
  validUntil: number;
  nextBeat: number;
  sending: boolean;
  /** True while the client releases the task. The server may say then that the lease has ended. */
  ending: boolean;
  /** What the attempt has used so far. Each heartbeat reports it. */
  usage: Usage | undefined;
  /** What is left of the budget of the task, by the last heartbeat. */
  budgetLeft: Budget | undefined;
  /** Called once if the lease is lost. */
  lost(reason: string): void;
  /** Called with the directive of each heartbeat. */
  directed(directive: Directive, reason: string): void;
}

/** Return how long a lease lasts, in milliseconds. */
export function leaseMs(lease: Lease): number {
  return lease.duration ? durationMs(lease.duration) : 0;
}

/** The leases of one client: when to beat, and when a lease is lost. No I/O and no clock of its own. */
export class LeaseTable {
  // One lease may be kept twice: a claim that is repeated with its request_id returns the same one.
  readonly #kept = new Set<KeptLease>();

  /** Keep a lease from now on. */
  add(kept: KeptLease, now: number): void {
    kept.nextBeat = now + leaseMs(kept.lease) / BEATS_PER_LEASE;
    this.#kept.add(kept);
  }

  /** Keep a lease no longer. Answers that arrive later are ignored. */
  remove(kept: KeptLease): void {
    this.#kept.delete(kept);
  }

  /** Return the moment at which the next heartbeat or expiry is due; Infinity if there is no lease. */
  nextWake(): number {
    let wake = Infinity;
    for (const kept of this.#kept) {
      wake = Math.min(wake, kept.validUntil, kept.sending ? Infinity : kept.nextBeat);
    }
    return wake;
  }

  /** Return the moment at which the first lease is lost unless a heartbeat is accepted. */
  firstExpiry(): number {
    let first = Infinity;
    for (const kept of this.#kept) {
      first = Math.min(first, kept.validUntil);
    }
    return first;
  }

  /** Give up the leases that are no longer certainly valid. */
  expire(now: number): void {
    for (const kept of [...this.#kept].filter((each) => now >= each.validUntil)) {
      this.remove(kept);
      kept.lost(OUT_OF_TIME);
    }
  }

  /** Give up all leases. */
  loseAll(reason: string): void {
    for (const kept of [...this.#kept]) {
      this.remove(kept);
      kept.lost(reason);
    }
  }

  /** Return the leases to beat now, and those that are due soon, so that they share a call. */
  due(now: number): KeptLease[] {
    const idle = [...this.#kept].filter((kept) => !kept.sending);
    if (!idle.some((kept) => kept.nextBeat <= now)) {
      return [];
    }
    const found = idle
      .filter((kept) => kept.nextBeat - leaseMs(kept.lease) / (2 * BEATS_PER_LEASE) <= now)
      .slice(0, MAX_BEATS);
    for (const kept of found) {
      kept.sending = true;
    }
    return found;
  }

  /** Take the answer to a heartbeat that was sent at a moment. */
  accepted(beaten: readonly KeptLease[], states: readonly LeaseState[], sentAt: number, now: number): void {
    for (const [index, kept] of beaten.entries()) {
      kept.sending = false;
      if (!this.#kept.has(kept)) {
        continue;
      }
      const state = states[index];
      if (state?.status !== LeaseStatus.HELD) {
        if (kept.ending) {
          kept.nextBeat = now + leaseMs(kept.lease) / RETRIES_PER_LEASE;
          continue;
        }
        this.remove(kept);
        kept.lost(HAS_ENDED);
        continue;
      }
      // The deadline of an attempt may leave less than the duration. Time passes at the same speed on all clocks,
      // whatever they show.
      const left = Math.min(leaseMs(kept.lease), state.timeLeft ? durationMs(state.timeLeft) : 0);
      kept.validUntil = sentAt + left;
      kept.nextBeat = sentAt + left / BEATS_PER_LEASE;
      kept.budgetLeft = state.budgetLeft;
      kept.directed(state.directive, state.reason);
    }
  }

  /** Take the failure of a heartbeat. The server may have accepted it, so try again soon. */
  failed(beaten: readonly KeptLease[], now: number): void {
    for (const kept of beaten) {
      kept.sending = false;
      kept.nextBeat = now + leaseMs(kept.lease) / RETRIES_PER_LEASE;
    }
  }
}

/** Return the heartbeat of leases. */
export function heartbeatOf(beaten: readonly KeptLease[]): HeartbeatRequest {
  return create(HeartbeatRequestSchema, {
    leases: beaten.map(({ lease, usage }) => ({ taskCode: lease.taskCode, fence: lease.fence, usage })),
  });
}
