import { type Client as Stub, createClient, type Transport } from "@connectrpc/connect";
import { AdminService } from "./gen/orchestration/v1/admin_pb.js";
import { ContextService } from "./gen/orchestration/v1/context_pb.js";
import { CoordinationService } from "./gen/orchestration/v1/coordination_pb.js";
import { EventService } from "./gen/orchestration/v1/event_pb.js";
import { ReportService } from "./gen/orchestration/v1/report_pb.js";
import { ScheduleService } from "./gen/orchestration/v1/schedule_pb.js";
import { SessionService } from "./gen/orchestration/v1/session_pb.js";
import { SprintService } from "./gen/orchestration/v1/sprint_pb.js";
import { TaskService } from "./gen/orchestration/v1/task_pb.js";
import { TemplateService } from "./gen/orchestration/v1/template_pb.js";

/** The stubs of all services on one transport. */
export class Stubs {
  /** The stub of SprintService. */
  readonly sprints: Stub<typeof SprintService>;
  /** The stub of TaskService. */
  readonly tasks: Stub<typeof TaskService>;
  /** The stub of EventService. */
  readonly events: Stub<typeof EventService>;
  /** The stub of SessionService. */
  readonly sessions: Stub<typeof SessionService>;
  /** The stub of ContextService. */
  readonly contexts: Stub<typeof ContextService>;
  /** The stub of CoordinationService. */
  readonly coordination: Stub<typeof CoordinationService>;
  /** The stub of TemplateService. */
  readonly templates: Stub<typeof TemplateService>;
  /** The stub of ScheduleService. */
  readonly schedules: Stub<typeof ScheduleService>;
  /** The stub of ReportService. */
  readonly reports: Stub<typeof ReportService>;
  /** The stub of AdminService. */
  readonly admin: Stub<typeof AdminService>;

  /** Create the stubs. */
  constructor(transport: Transport) {
    this.sprints = createClient(SprintService, transport);
    this.tasks = createClient(TaskService, transport);
    this.events = createClient(EventService, transport);
    this.sessions = createClient(SessionService, transport);
    this.contexts = createClient(ContextService, transport);
    this.coordination = createClient(CoordinationService, transport);
    this.templates = createClient(TemplateService, transport);
    this.schedules = createClient(ScheduleService, transport);
    this.reports = createClient(ReportService, transport);
    this.admin = createClient(AdminService, transport);
  }
}
