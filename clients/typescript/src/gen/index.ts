// The generated messages and services of orchestration.v1. Written by scripts/generate.sh.
export * from "./orchestration/v1/admin_pb.js";
export * from "./orchestration/v1/common_pb.js";
export * from "./orchestration/v1/context_pb.js";
export * from "./orchestration/v1/coordination_pb.js";
export * from "./orchestration/v1/event_pb.js";
export * from "./orchestration/v1/lease_pb.js";
export * from "./orchestration/v1/report_pb.js";
export * from "./orchestration/v1/schedule_pb.js";
export * from "./orchestration/v1/session_pb.js";
export * from "./orchestration/v1/sprint_pb.js";
export * from "./orchestration/v1/task_pb.js";
export * from "./orchestration/v1/template_pb.js";
