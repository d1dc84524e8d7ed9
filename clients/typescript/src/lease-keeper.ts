import type { Client as Stub } from "@connectrpc/connect";
import { LONGEST_TIMER_MS, now as monotonic } from "./clock.js";
import type { CoordinationService } from "./gen/orchestration/v1/coordination_pb.js";
import { heartbeatOf, type KeptLease, LeaseTable } from "./leases.js";

/** The longest deadline of a heartbeat, in milliseconds. */
export const BEAT_TIMEOUT_MS = 5_000;
const SHORTEST_BEAT_MS = 50;
const CLOSED = "the client is closed";

/** The heartbeats of all work of one client, in one loop that runs while there is a lease. */
export class LeaseKeeper {
  readonly #coordination: Stub<typeof CoordinationService>;
  readonly #warn: (message: string) => void;
  readonly #clock: () => number;
  readonly #table = new LeaseTable();
  readonly #end = new AbortController();
  #timer: NodeJS.Timeout | undefined;

  /** Create a keeper, which starts with the first lease. */
  constructor(
    coordination: Stub<typeof CoordinationService>,
    warn: (message: string) => void,
    clock: () => number = monotonic,
  ) {
    this.#coordination = coordination;
    this.#warn = warn;
    this.#clock = clock;
  }

  /** Beat for a lease until it is dropped or lost. */
  keep(kept: KeptLease): void {
    if (this.#end.signal.aborted) {
      kept.lost(CLOSED);
      return;
    }
    this.#table.add(kept, this.#clock());
    this.#arm();
  }

  /** Beat for a lease no longer. */
  drop(kept: KeptLease): void {
    this.#table.remove(kept);
    this.#arm();
  }

  /** Give up the leases whose time has passed, even if a busy event loop has delayed the timer. */
  expire(): void {
    this.#table.expire(this.#clock());
  }

  /** End the heartbeats. The leases count as lost, and expire by themselves. */
  close(): void {
    this.#end.abort();
    this.#table.loseAll(CLOSED);
    clearTimeout(this.#timer);
  }

  #arm(): void {
    clearTimeout(this.#timer);
    const wake = this.#table.nextWake();
    if (wake === Infinity || this.#end.signal.aborted) {
      return;
    }
    const delay = Math.min(LONGEST_TIMER_MS, Math.max(0, Math.ceil(wake - this.#clock())));
    this.#timer = setTimeout(() => {
      this.#run();
    }, delay);
  }

  #run(): void {
    this.#table.expire(this.#clock());
    const due = this.#table.due(this.#clock());
    if (due.length > 0) {
      void this.#beat(due);
    }
    this.#arm();
  }

  async #beat(due: readonly KeptLease[]): Promise<void> {
    const sentAt = this.#clock();
    // A call that is not answered by then is of no use: the watchdog does not wait for it.
    const left = this.#table.firstExpiry() - sentAt;
    try {
      const answer = await this.#coordination.heartbeat(heartbeatOf(due), {
        timeoutMs: Math.max(SHORTEST_BEAT_MS, Math.min(BEAT_TIMEOUT_MS, left)),
        signal: this.#end.signal,
      });
      this.#table.accepted(due, answer.leases, sentAt, this.#clock());
    } catch (error) {
      if (this.#end.signal.aborted) {
        return;
      }
      this.#warn(`heartbeat of ${due.length} leases failed: ${String(error)}`);
      this.#table.failed(due, this.#clock());
    }
    this.#arm();
  }
}
