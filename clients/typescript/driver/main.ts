#!/usr/bin/env node
import { createInterface } from "node:readline";
import { Commands } from "./commands.js";
import { type Command, errorOf } from "./wire.js";

const commands = new Commands();

async function answer(command: Command): Promise<void> {
  let result: object;
  try {
    result = { ok: await commands.run(command) };
  } catch (error) {
    result = { error: errorOf(error) };
  }
  process.stdout.write(`${JSON.stringify({ id: command.id, ...result })}\n`);
}

for await (const line of createInterface({ input: process.stdin })) {
  if (line.trim()) {
    void answer(JSON.parse(line) as Command);
  }
}
commands.close();
process.exitCode = 0;
