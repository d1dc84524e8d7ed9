import type { TestContext } from "node:test";
import { create } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ConnectError } from "@connectrpc/connect";
import {
  AttemptOutcome,
  ContextService,
  CoordinationService,
  Directive,
  EventService,
  type HeartbeatRequest,
  LeaseStatus,
  type ReleaseTaskRequest,
  ReportService,
  SessionService,
  TaskSchema,
  TaskService,
  type UpdateTaskRequest,
} from "@orchestration-ledger/client/v1";
import { startServer } from "./fake-server.js";

/** The fence of every lease, which a double cannot hold. */
export const FENCE = 2n ** 60n + 1n;

/** What the fake ledger does. */
export interface Options {
  leaseMs?: number;
  status?: () => LeaseStatus;
  claimErrors?: ConnectError[];
}

/** Start a server with tasks that are ready. A task that is given back is ready again. */
export async function startLedger(t: TestContext, ready: string[], options: Options = {}) {
  const { leaseMs = 60_000, status = () => LeaseStatus.HELD, claimErrors = [] } = options;
  const log = {
    claims: [] as string[],
    released: [] as ReleaseTaskRequest[],
    updated: [] as UpdateTaskRequest[],
    beats: [] as HeartbeatRequest[],
    messages: [] as string[],
  };
  const server = await startServer(t, (router) => {
    router.service(CoordinationService, {
      claimTask(request) {
        log.claims.push(request.requestId);
        const refused = claimErrors.shift();
        if (refused) {
          throw refused;
        }
        const code = request.taskCode || ready[0];
        if (code === undefined) {
          return {};
        }
        ready.splice(ready.indexOf(code), 1);
        const start = 1_700_000_000_000;
        const lease = {
          taskCode: code,
          fence: FENCE,
          attempt: 1,
          duration: durationFromMs(leaseMs),
          startTime: timestampFromMs(start),
          expireTime: timestampFromMs(start + leaseMs),
        };
        return { claims: [{ lease, task: { code } }] };
      },
      listReadyTasks: () => ({ tasks: ready.map((code) => create(TaskSchema, { code })) }),
      heartbeat(request) {
        log.beats.push(request);
        const state = {
          status: status(),
          directive: Directive.DRAIN,
          reason: "nightly",
          timeLeft: durationFromMs(leaseMs),
        };
        return { leases: request.leases.map((lease) => ({ ...state, taskCode: lease.taskCode })) };
      },
      releaseTask(request) {
        log.released.push(request);
        if (request.outcome === AttemptOutcome.RETURNED) {
          ready.push(request.taskCode);
        }
        return { task: { code: request.taskCode }, attempt: { fence: request.fence } };
      },
    });
    router.service(TaskService, {
      updateTask(request) {
        log.updated.push(request);
        return { task: request.task };
      },
    });
    router.service(EventService, {
      emitEvent(request) {
        log.messages.push(request.event?.payload?.message as string);
        return {};
      },
    });
    router.service(ContextService, {
      assembleContext: (request) => ({ context: { markdown: `# ${String(request.target.value)}` } }),
    });
    router.service(ReportService, {
      getSprintStatusReport: (request) => ({ markdown: `report of ${request.sprintCode}` }),
    });
    router.service(SessionService, {
      logActivity(request) {
        log.messages.push(`${request.sessionKey}: ${request.message}`);
        return {};
      },
    });
  });
  return { address: server.address, ...log };
}
