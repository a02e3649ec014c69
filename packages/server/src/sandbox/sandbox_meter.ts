/**
 * Looks at what each sandbox uses of the machine, and acts on it: too much memory ends it, memory that stays high
 * replaces it, processor time that others want lowers its priority.
 *
 * A few sandboxes are looked at in each tick of the pool, so that no tick takes long.
 *
 * @module
 */
import { hogsAmong, setHog } from "./fair_share.ts";
import { readUsage, readWaitedMs } from "./process_usage.ts";
import { outOfMemory } from "./death_reasons.ts";
import { type Charge, MEMORY_HIGH_PART, type Sandbox } from "./sandbox.ts";

export interface SandboxMeter {
  add(sandbox: Sandbox): void;
  remove(sandbox: Sandbox): void;
  /** Called every `tickMs`. */
  tick(nowMs: number, tickMs: number): void;
  /** Of all sandboxes, as it was seen last. */
  memoryMiB(): number;
  memoryOf(sandbox: Sandbox): number;
  /** `functionIdOf` is undefined for a blank sandbox. */
  shareProcessors(functionIdOf: (sandbox: Sandbox) => string | undefined): void;
}

interface Reading {
  privateMiB: number;
  cpuMs: number;
  /** Processors it kept busy between the last two looks. */
  cpus: number;
  waitedMs: number;
  /** Those that it was ready to keep busy and did not get. */
  waitedCpus: number;
  lookedAtMs: number;
  memoryHighSinceMs: number | undefined;
  isHog: boolean;
}

/** Every sandbox that does something is looked at within this time. */
const LOOK_EVERY_MS = 500;
/** The others: code may run without a request. */
const LOOK_IDLE_EVERY_MS = 5_000;
/**
 * Memory beside the heap and the buffers: V8's young generation, compiled code, stacks. Above limit and this the
 * sandbox is ended.
 */
const MEMORY_SLACK_MIB = 32;
/** A sandbox whose memory was high for so long is replaced before it hits the limit. */
const MEMORY_HIGH_MS = 5_000;

/** Without requests since the last look, and without work of its own then. */
function isIdle({ load, idleSinceMs }: Sandbox, { lookedAtMs, cpus, isHog }: Reading, nowMs: number): boolean {
  return load === 0 && idleSinceMs < lookedAtMs && nowMs - idleSinceMs > LOOK_EVERY_MS && cpus < 0.05 && !isHog;
}

/** `onLook` is told what a sandbox took since the look before. */
export function createSandboxMeter(
  now: () => number,
  onLook: (sandbox: Sandbox, charge: Charge) => void,
): SandboxMeter {
  const readings = new Map<Sandbox, Reading>();
  let next: Iterator<Sandbox> = readings.keys();

  function look(sandbox: Sandbox, nowMs: number): void {
    const reading = readings.get(sandbox);
    if (reading === undefined || (isIdle(sandbox, reading, nowMs) && nowMs - reading.lookedAtMs < LOOK_IDLE_EVERY_MS)) {
      return;
    }
    const usage = readUsage(sandbox.pid);
    if (usage === undefined) return;
    const waitedMs = readWaitedMs(sandbox.pid);
    const passedMs = Math.max(1, nowMs - reading.lookedAtMs);
    const cpuMs = usage.cpuMs - reading.cpuMs;
    reading.cpus = cpuMs / passedMs;
    reading.cpuMs = usage.cpuMs;
    reading.waitedCpus = (waitedMs - reading.waitedMs) / passedMs;
    reading.waitedMs = waitedMs;
    reading.privateMiB = usage.privateMiB;
    const memoryMiB = Math.max(0, usage.privateMiB - sandbox.memoryBaselineMiB);
    onLook(sandbox, { sinceMs: reading.lookedAtMs, nowMs, cpuMs, memoryMiB });
    reading.lookedAtMs = nowMs;
    checkMemory(sandbox, reading, nowMs);
  }

  /** What comes back when it ends. */
  function memoryOf(sandbox: Sandbox): number {
    const { privateMiB } = readings.get(sandbox) ?? { privateMiB: 0 };
    return Math.max(0, privateMiB - sandbox.memoryBaselineMiB) + sandbox.ownMiB;
  }

  function checkMemory(sandbox: Sandbox, reading: Reading, nowMs: number): void {
    const limitMiB = sandbox.limits.memoryMiB;
    const usedMiB = reading.privateMiB - sandbox.memoryBaselineMiB;
    if (usedMiB > limitMiB + MEMORY_SLACK_MIB) {
      return sandbox.kill(outOfMemory(limitMiB, `heap and buffers have ${Math.round(usedMiB)} MB`));
    }
    if (usedMiB < limitMiB * MEMORY_HIGH_PART) reading.memoryHighSinceMs = undefined;
    else reading.memoryHighSinceMs ??= nowMs;
    const highMs = nowMs - (reading.memoryHighSinceMs ?? nowMs);
    if (highMs > MEMORY_HIGH_MS && sandbox.state === "ready") sandbox.drain();
  }

  return {
    add(sandbox) {
      const { privateMiB, cpuMs } = readUsage(sandbox.pid) ?? { privateMiB: 0, cpuMs: 0 };
      readings.set(sandbox, {
        privateMiB,
        cpuMs,
        cpus: 0,
        waitedMs: readWaitedMs(sandbox.pid),
        waitedCpus: 0,
        lookedAtMs: now(),
        memoryHighSinceMs: undefined,
        isHog: false,
      });
    },
    remove: (sandbox) => void readings.delete(sandbox),
    tick(nowMs, tickMs) {
      for (let left = Math.ceil(readings.size * tickMs / LOOK_EVERY_MS); left > 0; left -= 1) {
        const { done, value } = next.next();
        if (!done) look(value, nowMs);
        else next = readings.keys();
      }
    },
    memoryMiB() {
      let sum = 0;
      for (const sandbox of readings.keys()) sum += memoryOf(sandbox);
      return sum;
    },
    memoryOf,
    shareProcessors(functionIdOf) {
      const usages = new Map<string, { functionId: string; cpus: number; waitedCpus: number }>();
      for (const [sandbox, { cpus, waitedCpus }] of readings) {
        const functionId = functionIdOf(sandbox);
        if (functionId === undefined) continue;
        const usage = usages.get(functionId);
        if (usage === undefined) usages.set(functionId, { functionId, cpus, waitedCpus });
        else {
          usage.cpus += cpus;
          usage.waitedCpus += waitedCpus;
        }
      }
      const hogs = hogsAmong([...usages.values()], navigator.hardwareConcurrency);
      for (const [sandbox, reading] of readings) {
        const isHog = hogs.has(functionIdOf(sandbox) ?? "");
        if (isHog !== reading.isHog) setHog(sandbox.pid, isHog);
        reading.isHog = isHog;
      }
    },
  };
}
