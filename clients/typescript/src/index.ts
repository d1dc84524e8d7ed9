/**
 * The client of the orchestration ledger. The generated messages and services are in `@orchestration-ledger/client/v1`.
 *
 * @packageDocumentation
 */
export { DEFAULT_ADDRESS } from "./address.js";
export { type ClaimInput, type ClaimsOptions } from "./claims.js";
export { Client } from "./client.js";
export { type EmitOptions, type EmitTotals, type EventInput } from "./emitting.js";
export {
  codeName,
  type ErrorDetails,
  LedgerError,
  LocalError,
  type LocalReason,
  type Resource,
} from "./errors.js";
export { type ItemOf } from "./paging.js";
export { type ClientOptions } from "./settings.js";
export { Stubs } from "./stubs.js";
export { type FollowOptions, Timeline } from "./timeline.js";
export { type CallSettings, type HeadersInput, LedgerTransport, newRequestId } from "./transport.js";
export { type Report, Work } from "./work.js";
