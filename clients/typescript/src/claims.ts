import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { now, pause } from "./clock.js";
import { cancelled, LedgerError } from "./errors.js";
import {
  type ClaimTaskRequest,
  ClaimTaskRequestSchema,
  CoordinationService,
  ListReadyTasksRequestSchema,
} from "./gen/orchestration/v1/coordination_pb.js";
import { AttemptOutcome } from "./gen/orchestration/v1/lease_pb.js";
import type { Task } from "./gen/orchestration/v1/task_pb.js";
import { BEAT_TIMEOUT_MS } from "./lease-keeper.js";
import { pages } from "./paging.js";
import { StreamRetry } from "./retry.js";
import { copyOf, type LedgerTransport, withRequestId } from "./transport.js";
import { Work, type Workplace } from "./work.js";

/** The time that a claim has beyond its wait. */
const ANSWER_MS = 10_000;
/** The longest time of a claim that is taken off its lease without asking the server. */
const SURE_MS = 1_000;
/** The longest wait of one call. */
const LONGEST_WAIT_MS = 60_000;
/** The time between two looks for a task that a loop has not given back. */
const LOOK_AGAIN_MS = 5_000;
/** How long a loop waits for an overloaded server. */
const OVERLOADED_MS = 60_000;
const TAKEN = new Set(["TASK_HELD", "TASK_NOT_READY", "NOT_FOUND"]);

/** A request for a claim, as a message or as an object with its fields. */
export type ClaimInput = MessageInitShape<typeof ClaimTaskRequestSchema>;

/** Options of claims. */
export interface ClaimsOptions {
  /**
   * The milliseconds to wait for the next ready task before the loop ends; Infinity to wait for ever. The default is the
   * wait of the request, else 0.
   */
  waitMs?: number | undefined;
  /** Ends the loop with CANCELLED when it is aborted while it waits for a task. */
  signal?: AbortSignal | undefined;
}

/** Claim what a request asks for, and keep the leases by heartbeats. */
export async function claim(place: Workplace, request: ClaimInput, signal?: AbortSignal): Promise<Work[]> {
  const waitMs = request.wait
    ? durationMs(copyOf(ClaimTaskRequestSchema, request).wait ?? durationFromMs(0))
    : 0;
  const sentAt = now();
  const call = { timeoutMs: waitMs + ANSWER_MS, ...(signal && { signal }) };
  const { claims } = await place.stubs.coordination.claimTask(request, call);
  const tookLong = now() - sentAt > SURE_MS;
  if (claims.length > 0 && tookLong) {
    // It is not known when in that time the leases began: a heartbeat tells until when they are valid.
    const leases = claims.flatMap(({ lease }) =>
      lease ? [{ taskCode: lease.taskCode, fence: lease.fence }] : [],
    );
    const askedAt = now();
    try {
      const beat = await place.stubs.coordination.heartbeat({ leases }, { timeoutMs: BEAT_TIMEOUT_MS });
      return claims.map((claimed, index) => new Work(place, claimed, askedAt, beat.leases[index]));
    } catch (error) {
      place.warn(`the leases of a slow claim are counted from its start: ${String(error)}`);
    }
  }
  return claims.map((claimed) => new Work(place, claimed, sentAt));
}

/** Claim one ready task after the other, as claims of the client describes. */
export async function* claims(
  place: Workplace,
  transport: LedgerTransport,
  input: ClaimInput,
  options: ClaimsOptions,
): AsyncGenerator<Work, void, undefined> {
  const request = copyOf(ClaimTaskRequestSchema, input);
  const waitMs = options.waitMs ?? (request.wait ? durationMs(request.wait) : 0);
  const loop = new ClaimLoop(place, transport, request, options.signal);
  let last: Work | undefined;
  try {
    for (;;) {
      const end = now() + waitMs;
      do {
        last = await loop.next(Math.max(0, end - now()));
      } while (!last && now() < end);
      if (!last) {
        return;
      }
      yield last;
      const left = last;
      last = undefined;
      await loop.leave(left);
    }
  } finally {
    if (last) {
      await loop.leave(last);
    }
  }
}

class ClaimLoop {
  readonly #givenBack = new Set<string>();

  constructor(
    private readonly place: Workplace,
    private readonly transport: LedgerTransport,
    private readonly request: ClaimTaskRequest,
    private readonly signal: AbortSignal | undefined,
  ) {}

  /** Give back work that has not ended. */
  async leave(work: Work): Promise<void> {
    if (!work.ended) {
      this.place.warn(`the loop went on before the work on ${work.task.code} had ended: it is given back`);
      await work.giveBack("the loop went on before the work had ended");
    }
    if (work.outcome === AttemptOutcome.RETURNED) {
      this.#givenBack.add(work.task.code);
    }
  }

  /** Claim the next task, or wait for one for a part of the time that is left. */
  async next(left: number): Promise<Work | undefined> {
    if (this.#givenBack.size === 0) {
      const request = copyOf(ClaimTaskRequestSchema, this.request);
      request.requestId = "";
      request.wait = left > 0 ? durationFromMs(Math.floor(Math.min(left, LONGEST_WAIT_MS))) : undefined;
      const [work] = await this.#claim(request);
      return work;
    }
    const work = await this.#other();
    if (!work && left > 0) {
      await pause(Math.min(left, LOOK_AGAIN_MS), this.signal);
      if (this.signal?.aborted) {
        throw cancelled(this.signal);
      }
    }
    return work;
  }

  /**
   * Claim the next ready task that this loop has not given back, by its code. A claim has no filter for that: it would get
   * the same task again and again.
   */
  async #other(): Promise<Work | undefined> {
    const { sprintCode } = this.request;
    const listed = create(ListReadyTasksRequestSchema, { sprintCode, pageSize: 500 });
    const call = this.signal && { signal: this.signal };
    for await (const task of pages(this.transport, CoordinationService.method.listReadyTasks, listed, call)) {
      if (this.#givenBack.has(task.code) || !this.#matches(task)) {
        continue;
      }
      const named = copyOf(ClaimTaskRequestSchema, this.request);
      Object.assign(named, {
        taskCode: task.code,
        sprintCode: "",
        labels: [],
        priorities: [],
        wait: undefined,
      });
      named.requestId = "";
      try {
        const [work] = await this.#claim(named);
        return work;
      } catch (error) {
        if (!(error instanceof LedgerError && TAKEN.has(error.reason))) {
          throw error;
        }
      }
    }
    return undefined;
  }

  #matches(task: Task): boolean {
    const { labels, priorities, capabilities } = this.request;
    return (
      labels.every((label) => task.labels.includes(label)) &&
      (priorities.length === 0 || priorities.includes(task.priority)) &&
      task.capabilities.every((name) => capabilities.includes(name))
    );
  }

  /** Claim a task. While the server is overloaded, wait as it asks, and send the same request again. */
  async #claim(request: ClaimTaskRequest): Promise<Work[]> {
    const asked = withRequestId(ClaimTaskRequestSchema, request);
    const retry = new StreamRetry(OVERLOADED_MS, this.place.warn);
    for (;;) {
      try {
        return await claim(this.place, asked, this.signal);
      } catch (error) {
        if (!(error instanceof LedgerError && error.code === Code.ResourceExhausted)) {
          throw error;
        }
        await pause(retry.pause(error), this.signal);
      }
    }
  }
}
