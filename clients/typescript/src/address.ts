import * as net from "node:net";
import { LocalError } from "./errors.js";

/** The address of a server that an option or a variable gave, taken apart. */
export interface Address {
  /** The address as it was given. */
  readonly text: string;
  /** The name or the number of the host; empty for a socket file. */
  readonly host: string;
  /** The port; 0 for a socket file. */
  readonly port: number;
  /** The path of a socket file; empty for a host. */
  readonly path: string;
}

/** The address of a server that listens on this machine with the default port. */
export const DEFAULT_ADDRESS = "127.0.0.1:20051";

// As gRPC: the port of HTTPS.
const DEFAULT_PORT = 443;
const LABEL = /^[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/;

/** Return the parts of an address. Throws a LocalError if no server can be there, since waiting would not help. */
export function parseAddress(text: string): Address {
  // A URL may contain a password.
  const shown = text.replace(/\/\/.*@/, "//…@");
  const refuse = (fault: string): LocalError =>
    new LocalError(
      "INVALID",
      `"${shown}" is no address: ${fault}; use HOST:PORT, such as ${DEFAULT_ADDRESS}`,
    );
  if (/\s/.test(text)) {
    throw refuse("it contains a space");
  }
  if (text.startsWith("unix:")) {
    const path = text.slice("unix:".length).replace(/^\/\//, "");
    if (!path) {
      throw refuse("it names no file");
    }
    return { text, host: "", port: 0, path };
  }
  const target = text.replace(/^(?:dns:(?:\/\/[^/]*\/)?|ipv4:|ipv6:)/, "");
  const scheme = /^[A-Za-z][A-Za-z0-9+.-]*:\/\//.exec(target);
  if (scheme) {
    throw refuse(`leave out ${scheme[0]} (for TLS, name the authorities in ORCHESTRATION_CA_FILE)`);
  }
  if (target.includes(",")) {
    throw refuse("this client takes one address; a name may resolve to several servers");
  }
  return { text, path: "", ...parseHost(target, refuse) };
}

function parseHost(target: string, refuse: (fault: string) => LocalError): { host: string; port: number } {
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/.exec(target);
  if (bracketed) {
    const host = bracketed[1] ?? "";
    if (!net.isIPv6(host)) {
      throw refuse(`"${host}" is no IPv6 address`);
    }
    return { host, port: parsePort(bracketed[2], refuse) };
  }
  if (net.isIPv6(target)) {
    return { host: target, port: DEFAULT_PORT };
  }
  const colon = target.lastIndexOf(":");
  const host = colon < 0 ? target : target.slice(0, colon);
  const port = parsePort(colon < 0 ? undefined : target.slice(colon + 1), refuse);
  const labels = host.replace(/\.$/, "").split(".");
  if (host.length > 253 || !labels.every((label) => LABEL.test(label))) {
    throw refuse(`"${host}" is no name of a host`);
  }
  return { host, port };
}

function parsePort(text: string | undefined, refuse: (fault: string) => LocalError): number {
  if (text === undefined) {
    return DEFAULT_PORT;
  }
  const port = Number(text);
  if (!/^[0-9]+$/.test(text) || port < 1 || port > 65_535) {
    throw refuse(`"${text}" is no port`);
  }
  return port;
}

/** Return true if an address is on this machine. Names other than localhost are not resolved. */
export function onLoopback(address: Address): boolean {
  const { host } = address;
  if (address.path || host === "localhost") {
    return true;
  }
  if (net.isIPv4(host)) {
    return host.startsWith("127.");
  }
  if (net.isIPv6(host)) {
    return LOOPBACK.check(host, "ipv6");
  }
  return false;
}

const LOOPBACK = new net.BlockList();
LOOPBACK.addAddress("::1", "ipv6");
