/**
 * From the text of a setting to its value. Each parser says what it expects, for the message and the reference page.
 *
 * @module
 */
import type { Limit } from "@fluxbase/contract";
import { Secret } from "../core/secret.ts";
import { type Mirror, parseMirror } from "../bundler/mirrors.ts";
import { type AddressRange, parseRange } from "../ratelimit/client_address.ts";
import { type EgressHole, parseHole } from "../sandbox/egress.ts";

export interface Parser<T> {
  /** Completes the sentence "it must be …". */
  readonly expected: string;
  /** Undefined: not acceptable. */
  parse(text: string): T | undefined;
}

const ENCRYPTION_KEY_BYTES = 32;
const HEX = /^[0-9a-f]+$/i;

export const anyText: Parser<string> = { expected: "a text that is not empty", parse: (text) => text || undefined };

export const boolean: Parser<boolean> = {
  expected: "true or false",
  parse: (text) => ({ true: true, "1": true, false: false, "0": false })[text.toLowerCase()],
};

export const list: Parser<readonly string[]> = {
  expected: "a list with commas",
  parse: (text) => text.split(",").map((item) => item.trim()).filter((item) => item !== ""),
};

const HOST_NAME = /^(\*|(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*)$/;

export const hostNames: Parser<readonly string[]> = {
  expected: "a list with commas of host names, *.name for all below one, or *",
  parse(text) {
    const names = list.parse(text)?.map((name) => name.toLowerCase());
    return names?.every((name) => HOST_NAME.test(name)) ? names : undefined;
  },
};

/** `from=to`; nothing but `none` for no mirror at all. */
export const mirrors: Parser<readonly Mirror[]> = {
  expected: "none, or a list with commas of pairs such as https://esm.sh/=npm: or jsr:=https://jsr.example.com/",
  parse(text) {
    if (text.trim() === "none") return [];
    const pairs = list.parse(text)?.map(parseMirror);
    return pairs?.every((pair) => pair !== undefined) ? pairs : undefined;
  },
};

/** As OpenTelemetry has them. */
export const keyValues: Parser<Readonly<Record<string, string>>> = {
  expected: "a list with commas of name=value, values percent-encoded",
  parse(text) {
    const pairs = list.parse(text)?.map((pair) => /^([^=\s]+)\s*=(.*)$/.exec(pair));
    try {
      return pairs?.every((pair) => pair !== null)
        ? Object.fromEntries(pairs.map(([, name = "", value = ""]) => [name, decodeURIComponent(value.trim())]))
        : undefined;
    } catch {
      return undefined;
    }
  },
};

/** As one JSON object: values may be credentials. */
export const httpHeaders: Parser<Secret> = {
  expected: `${keyValues.expected}, that HTTP allows`,
  parse(text) {
    const pairs = keyValues.parse(text);
    try {
      return pairs === undefined
        ? undefined
        : new Secret(JSON.stringify(Object.fromEntries(new Headers({ ...pairs }))));
    } catch {
      return undefined;
    }
  },
};

export const ratio: Parser<number> = {
  expected: "a number from 0 to 1",
  parse(text) {
    const value = text.trim() === "" ? NaN : Number(text);
    return value >= 0 && value <= 1 ? value : undefined;
  },
};

export function integer({ min, max }: Omit<Limit, "default">): Parser<number> {
  return {
    expected: `an integer from ${min} to ${max}`,
    parse(text) {
      const value = /^-?\d+$/.test(text.trim()) ? Number(text) : NaN;
      return value >= min && value <= max ? value : undefined;
    },
  };
}

const PROCESSES_MAX_COUNT = 64;
/** A server and what its functions do keep about two busy. */
const CORES_OF_PROCESS = 2;
const CORES_FOR_SEVERAL = 4;

export const processCount: Parser<number> = {
  expected: `auto, or ${integer({ min: 1, max: PROCESSES_MAX_COUNT }).expected}`,
  parse(text) {
    if (text.trim() !== "auto") return integer({ min: 1, max: PROCESSES_MAX_COUNT }).parse(text);
    const { hardwareConcurrency: cores } = navigator;
    if (cores < CORES_FOR_SEVERAL || Deno.build.os !== "linux") return 1;
    return Math.min(PROCESSES_MAX_COUNT, Math.floor(cores / CORES_OF_PROCESS));
  },
};

export function oneOf<const T extends string>(...values: readonly T[]): Parser<T> {
  return { expected: `one of ${values.join(", ")}`, parse: (text) => values.find((value) => value === text) };
}

export function listOf<const T extends string>(...values: readonly T[]): Parser<readonly T[]> {
  const one = oneOf(...values);
  return {
    expected: `a list with commas of ${values.join(", ")}`,
    parse(text) {
      const found = list.parse(text)?.map((item) => one.parse(item));
      return found?.every((item) => item !== undefined) ? found : undefined;
    },
  };
}

export const egressHoles: Parser<readonly EgressHole[]> = {
  expected: "a list with commas of IPv4 ranges, IPv4 addresses and host names, the last two with a port or without",
  parse(text) {
    const holes = list.parse(text)?.map(parseHole);
    return holes?.every((hole) => hole !== undefined) ? holes : undefined;
  },
};

export const addressRanges: Parser<readonly AddressRange[]> = {
  expected: "a list with commas of addresses and ranges, such as 10.0.0.0/8 or 2001:db8::1",
  parse(text) {
    const ranges = list.parse(text)?.map(parseRange);
    return ranges?.every((range) => range !== undefined) ? ranges : undefined;
  },
};

export interface ListenAddress {
  readonly hostname: string;
  readonly port: number;
}

export const listenAddress: Parser<ListenAddress> = {
  expected: "host:port, or :port for all addresses",
  parse(text) {
    const match = /^(?:\[([0-9a-fA-F:]+)\]|([^:[\]\s]*)):(\d{1,5})$/.exec(text.trim());
    const port = Number(match?.[3]);
    if (match === null || port > 65_535) return undefined;
    return { hostname: (match[1] ?? match[2]) || "0.0.0.0", port };
  },
};

/** Without a slash at its end. */
export const httpUrl: Parser<string> = {
  expected: "an http or https URL without query",
  parse(text) {
    const url = URL.parse(text);
    const isPlain = url !== null && /^https?:$/.test(url.protocol) && url.search === "" && url.hash === "";
    return isPlain ? `${url.origin}${url.pathname.replace(/\/+$/, "")}` : undefined;
  },
};

/** Without a slash at its end. */
export const urlPath: Parser<string> = {
  expected: "a path of letters, digits, and . _ ~ - between slashes, such as /admin",
  parse: (text) => /^(\/(?!\.{1,2}(\/|$))[A-Za-z0-9._~-]+)+\/?$/.test(text) ? text.replace(/\/$/, "") : undefined,
};

/** As it stands in a URL. */
export const hostName: Parser<string> = {
  expected: "a host name without a port, such as dashboard.example.com",
  parse(text) {
    const url = URL.parse(`http://${text}/`);
    return url !== null && url.port === "" && url.hostname === text.toLowerCase() ? url.hostname : undefined;
  },
};

export const postgresUrl: Parser<Secret> = {
  expected: "a URL that starts with postgres:// or postgresql://",
  parse(text) {
    const url = URL.parse(text);
    return url !== null && /^postgres(ql)?:$/.test(url.protocol) ? new Secret(text) : undefined;
  },
};

export const redisUrl: Parser<Secret> = {
  expected: "a URL that starts with redis:// or rediss://",
  parse(text) {
    const url = URL.parse(text);
    return url !== null && /^rediss?:$/.test(url.protocol) ? new Secret(text) : undefined;
  },
};

/** A secret that is sent in a header. */
export function secretToken(minCharacters: number): Parser<Secret> {
  return {
    expected: `at least ${minCharacters} letters, digits and signs without a space`,
    parse: (text) => text.length >= minCharacters && /^[\x21-\x7e]+$/.test(text) ? new Secret(text) : undefined,
  };
}

export function secretText(minCharacters: number): Parser<Secret> {
  return {
    expected: `at least ${minCharacters} characters long`,
    parse: (text) => text.length >= minCharacters ? new Secret(text) : undefined,
  };
}

/** The value holds base64, whatever the spelling was. */
export const encryptionKey: Parser<Secret> = {
  expected: "32 bytes: 64 hexadecimal digits, 44 characters of base64, or 32 plain characters",
  parse(text) {
    const bytes = encryptionKeyBytes(text);
    return bytes?.length === ENCRYPTION_KEY_BYTES ? new Secret(bytes.toBase64()) : undefined;
  },
};

export const encryptionKeys: Parser<readonly Secret[]> = {
  expected: `a list with commas of keys, each of ${encryptionKey.expected}`,
  parse(text) {
    const keys = list.parse(text)?.map((item) => encryptionKey.parse(item));
    return keys?.every((key) => key !== undefined) ? keys : undefined;
  },
};

function encryptionKeyBytes(text: string): Uint8Array | undefined {
  if (text.length === 2 * ENCRYPTION_KEY_BYTES && HEX.test(text)) return Uint8Array.fromHex(text);
  const plain = new TextEncoder().encode(text);
  if (plain.length === ENCRYPTION_KEY_BYTES) return plain;
  try {
    return Uint8Array.fromBase64(text.replaceAll("-", "+").replaceAll("_", "/"));
  } catch {
    return undefined;
  }
}
