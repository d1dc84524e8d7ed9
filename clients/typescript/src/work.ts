import { inspect } from "node:util";
import { create, equals, type JsonObject, type MessageInitShape } from "@bufbuild/protobuf";
import { durationMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { isAbort, LocalError } from "./errors.js";
import { EntityType } from "./gen/orchestration/v1/common_pb.js";
import type { Context } from "./gen/orchestration/v1/context_pb.js";
import {
  type ClaimedTask,
  Directive,
  type LeaseState,
  LeaseStatus,
  type ReleaseTaskRequest,
  ReleaseTaskRequestSchema,
} from "./gen/orchestration/v1/coordination_pb.js";
import {
  type ArtifactSchema,
  type Attempt,
  AttemptOutcome,
  type Lease,
  type UsageSchema,
  UsageSchema as Usage,
} from "./gen/orchestration/v1/lease_pb.js";
import { type Budget, type Task, TaskSchema } from "./gen/orchestration/v1/task_pb.js";
import { HAS_ENDED, type KeptLease, leaseMs } from "./leases.js";
import type { LeaseKeeper } from "./lease-keeper.js";
import type { Stubs } from "./stubs.js";
import { copyOf, newRequestId } from "./transport.js";

const MAX_REASON = 2_000;
/** The type of the event of `log` outside a session. */
const LOGGED = "agent.work.logged";

/** What the holder reports at the end of an attempt. */
export interface Report {
  /** What the attempt used. The default is what was reported last. */
  usage?: MessageInitShape<typeof UsageSchema> | undefined;
  /** What the attempt produced. */
  artifacts?: MessageInitShape<typeof ArtifactSchema>[] | undefined;
}

/** What the work of one client shares. */
export interface Workplace {
  readonly stubs: Stubs;
  readonly keeper: LeaseKeeper;
  readonly sessionKey: string;
  readonly warn: (message: string) => void;
}

/**
 * A claimed task. Its lease is kept by heartbeats until the work ends or the lease is lost.
 *
 * A write throws LedgerError if the server refuses it, and LocalError with LEASE_LOST, without a call, after the loss.
 */
export class Work {
  /** The lease as ClaimTask returned it. */
  readonly lease: Lease;
  /** The context of the task, if the claim asked for it. */
  readonly context: Context | undefined;
  readonly #place: Workplace;
  readonly #kept: KeptLease;
  readonly #lost = new AbortController();
  #task: Task;
  #directive = Directive.CONTINUE;
  #directiveReason = "";
  #lostReason = "";
  #outcome = AttemptOutcome.UNSPECIFIED;
  /** The last release that was sent. */
  #release: ReleaseTaskRequest | undefined;

  /**
   * `sentAt` is when the claim was sent, or the heartbeat whose answer is `state`.
   *
   * @internal
   */
  constructor(place: Workplace, claimed: ClaimedTask, sentAt: number, state?: LeaseState) {
    if (!claimed.task || !claimed.lease) {
      throw new TypeError("a claimed task has a task and a lease");
    }
    this.#place = place;
    this.#task = claimed.task;
    this.lease = claimed.lease;
    this.context = claimed.context;
    this.#kept = {
      lease: this.lease,
      validUntil: sentAt + firstMs(this.lease, state),
      nextBeat: 0,
      sending: false,
      ending: false,
      usage: undefined,
      budgetLeft: undefined,
      lost: (reason) => {
        this.#lostReason = reason;
        this.#lost.abort(this.#lossError());
      },
      directed: (directive, reason) => {
        this.#directive = directive;
        this.#directiveReason = reason;
      },
    };
    if (state && state.status !== LeaseStatus.HELD) {
      this.#kept.lost(HAS_ENDED);
    } else {
      place.keeper.keep(this.#kept);
    }
  }

  /** The task, as the last answer has it. */
  get task(): Task {
    return this.#task;
  }

  /** The fence of the lease, for systems outside the ledger that can refuse an older one. */
  get fence(): bigint {
    return this.lease.fence;
  }

  /** A signal that is aborted when the lease is lost. Pass it to calls that the work makes elsewhere. */
  get signal(): AbortSignal {
    return this.#lost.signal;
  }

  /** True if the lease is lost: another agent may have the task. */
  get lost(): boolean {
    // A busy event loop delays the timer of the watchdog.
    this.#place.keeper.expire();
    return this.#lost.signal.aborted;
  }

  /** Why the lease is lost; empty if it is not. */
  get lostReason(): string {
    return this.#lostReason;
  }

  /** How this client ended the attempt; UNSPECIFIED if it did not. */
  get outcome(): AttemptOutcome {
    return this.#outcome;
  }

  /** True if the work has ended, by this client or by the loss of the lease. */
  get ended(): boolean {
    return this.#outcome !== AttemptOutcome.UNSPECIFIED || this.lost;
  }

  /** What the server asks the holder to do, by the last heartbeat. */
  get directive(): Directive {
    return this.#directive;
  }

  /** Why, and by whom. */
  get directiveReason(): string {
    return this.#directiveReason;
  }

  /** What is left of the budget of the task, by the last heartbeat. Undefined if it has none. */
  get budgetLeft(): Budget | undefined {
    return this.#kept.budgetLeft;
  }

  /** Throw a LocalError if the lease is lost. Call it before an effect outside the ledger. */
  check(): void {
    if (this.lost) {
      throw this.#lossError();
    }
  }

  /**
   * Report with each heartbeat from now on what the attempt has used since its start. The ledger keeps it if the attempt
   * ends without another report. If the budget of the task is used up, `directive` becomes CANCEL.
   */
  report(usage: MessageInitShape<typeof UsageSchema>): void {
    this.#kept.usage = copyOf(Usage, usage);
  }

  /** Log what the agent did: an activity of the client's session, or else an event about the task. */
  async log(message: string, fields?: JsonObject, kind = "note"): Promise<void> {
    const { stubs, sessionKey } = this.#place;
    if (sessionKey) {
      await stubs.sessions.logActivity({ sessionKey, kind, message, ...(fields && { payload: fields }) });
      return;
    }
    const payload: JsonObject = {
      kind,
      message,
      fence: String(this.fence),
      ...(fields && { payload: fields }),
    };
    const about = { entityType: EntityType.TASK, entityCode: this.task.code };
    await stubs.events.emitEvent({ event: { type: LOGGED, ...about, payload } });
  }

  /** Update the given fields of the task, with the fence. A field that is given as undefined is emptied. */
  async update(fields: Omit<MessageInitShape<typeof TaskSchema>, "$typeName" | "code">): Promise<Task> {
    this.check();
    const given = Object.keys(fields).filter(
      (name) => name !== "$typeName" && name !== "$unknown" && name !== "code",
    );
    const paths = given.map((name) => {
      const field = TaskSchema.fields.find((each) => each.localName === name);
      if (!field) {
        throw new LocalError("INVALID", `a task has no field "${name}"`);
      }
      return field.name;
    });
    const task = { ...fields, code: this.task.code } as MessageInitShape<typeof TaskSchema>;
    const answer = await this.#place.stubs.tasks.updateTask({
      task,
      updateMask: { paths },
      fence: this.fence,
    });
    this.#task = answer.task ?? this.#task;
    return this.#task;
  }

  /** Complete the task. */
  finish(summary = "", report: Report = {}): Promise<Attempt> {
    return this.#end(AttemptOutcome.COMPLETED, summary, report);
  }

  /** End the attempt as failed. The retry policy of the task decides what follows, unless another try cannot succeed. */
  fail(reason: string, report: Report & { notRetryable?: boolean | undefined } = {}): Promise<Attempt> {
    return this.#end(AttemptOutcome.FAILED, reason, report, report.notRetryable);
  }

  /** Give the task back without a fault of the task, which becomes ready again. */
  giveBack(reason = ""): Promise<Attempt> {
    return this.#end(AttemptOutcome.RETURNED, reason);
  }

  /** End the attempt because the task cannot continue for now, and block the task. */
  block(reason: string): Promise<Attempt> {
    return this.#end(AttemptOutcome.BLOCKED, reason);
  }

  /** End the heartbeats and send nothing. The lease expires by itself. */
  abandon(): void {
    this.#place.keeper.drop(this.#kept);
  }

  /**
   * Run a block of work and end the attempt with it, if the block did not: as failed if it throws, and as returned if it
   * ends without an outcome or by the caller's own cancellation. Returns what the block returned.
   */
  async run<T>(block: (work: this) => Promise<T> | T): Promise<T> {
    let result: T;
    try {
      result = await block(this);
    } catch (error) {
      await this.#leave(error).catch((refused: unknown) => {
        this.#place.warn(`task ${this.task.code} was not released: ${String(refused)}`);
      });
      throw error;
    }
    await this.#leave();
    return result;
  }

  async #leave(error?: unknown): Promise<void> {
    try {
      if (this.ended) {
        return;
      }
      if (error === undefined) {
        await this.giveBack("the block ended without finish()");
      } else if (isAbort(error)) {
        await this.giveBack(textOf(error));
      } else {
        await this.fail(textOf(error));
      }
    } finally {
      this.abandon();
    }
  }

  async #end(
    outcome: AttemptOutcome,
    reason: string,
    report: Report = {},
    notRetryable = false,
  ): Promise<Attempt> {
    const request = this.#sameRelease(
      create(ReleaseTaskRequestSchema, {
        taskCode: this.task.code,
        fence: this.fence,
        outcome,
        reason: shortened(reason),
        notRetryable,
        ...(report.usage && { usage: report.usage }),
        artifacts: report.artifacts ?? [],
      }),
    );
    // From here on a heartbeat may find that the lease has ended.
    this.#kept.ending = true;
    const answer = await this.#place.stubs.coordination.releaseTask(request).catch((error: unknown) => {
      this.#kept.ending = false;
      throw error;
    });
    this.#outcome = outcome;
    this.abandon();
    this.#task = answer.task ?? this.#task;
    if (!answer.attempt) {
      throw new TypeError("the answer has no attempt");
    }
    return answer.attempt;
  }

  /**
   * Return the last release if it had the same content, or else the given one with an id of its own. The last one may have
   * taken effect although its answer was an error, and ended the lease.
   */
  #sameRelease(request: ReleaseTaskRequest): ReleaseTaskRequest {
    request.requestId = this.#release?.requestId ?? "";
    if (!this.#release || !equals(ReleaseTaskRequestSchema, request, this.#release)) {
      this.check();
      request.requestId = newRequestId();
      this.#release = request;
    }
    return request;
  }

  #lossError(): LocalError {
    return new LocalError("LEASE_LOST", `the lease of task ${this.task.code} is lost: ${this.#lostReason}`);
  }
}

/** Return how long a lease lasts after its claim: the deadline of the attempt may leave less than its duration. */
function firstMs(lease: Lease, state?: LeaseState): number {
  if (state) {
    return Math.min(leaseMs(lease), state.timeLeft ? durationMs(state.timeLeft) : 0);
  }
  const { startTime, expireTime } = lease;
  const lasts = startTime && expireTime ? timestampMs(expireTime) - timestampMs(startTime) : 0;
  return Math.min(leaseMs(lease), lasts);
}

function textOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : `threw ${inspect(error)}`;
}

function shortened(reason: string): string {
  // The ledger counts code points, not the units of UTF-16.
  return reason.length <= MAX_REASON ? reason : Array.from(reason).slice(0, MAX_REASON).join("");
}
