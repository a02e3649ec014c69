/**
 * Passwords: hashed with argon2id on other threads, a few at a time.
 *
 * @module
 */
import { PlatformError } from "@fluxbase/contract";
import { hash, verify } from "@node-rs/argon2";

/** 2 is argon2id; the costs are those that OWASP recommends for it. 30 ms on one core. */
const COSTS = { algorithm: 2, memoryCost: 19_456, timeCost: 2, parallelism: 1 };
/** Each takes 19 MiB and a core. */
const AT_ONCE_COUNT = 2;
const WAITING_MAX_COUNT = 100;

export interface Passwords {
  /** @throws {PlatformError} RATE_LIMITED when too many wait */
  hash(password: string): Promise<string>;
  /**
   * Takes as long without a hash as with one, so that nobody learns from the time whether an account exists.
   *
   * @throws {PlatformError} RATE_LIMITED when too many wait
   */
  verify(hashed: string | undefined, password: string): Promise<boolean>;
}

export function createPasswords(): Passwords {
  const waiting: (() => void)[] = [];
  let runningCount = 0;
  const nobody = hash(crypto.randomUUID(), COSTS);
  nobody.catch(() => {});

  async function inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    if (runningCount >= AT_ONCE_COUNT) {
      if (waiting.length >= WAITING_MAX_COUNT) throw tooMany();
      await new Promise<void>((resolve) => waiting.push(resolve));
    } else {
      runningCount += 1;
    }
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next === undefined) runningCount -= 1;
      else next();
    }
  }

  return {
    hash: (password) => inTurn(() => hash(password, COSTS)),
    verify: (hashed, password) =>
      inTurn(async () => {
        const isRight = await verify(hashed ?? await nobody, password);
        return isRight && hashed !== undefined;
      }),
  };
}

function tooMany(): PlatformError {
  return new PlatformError("RATE_LIMITED", "Cannot check the password now: too many wait for it", {
    details: { retry_after: 2 },
  });
}
