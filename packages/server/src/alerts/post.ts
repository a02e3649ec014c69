/**
 * Posts to URLs that somebody gave, and to nothing that is not meant for the public: what functions may not reach is
 * not reached here either. The address that was checked is the one that is connected to, and redirects are not followed.
 *
 * @module
 */
import { lookup } from "node:dns/promises";
import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { isIP } from "node:net";

export interface PostOptions {
  /** Whether an IPv4 address is closed. */
  readonly isDenied: (address: string) => boolean;
  readonly signal: AbortSignal;
}

const TIMEOUT_MS = 10_000;
const ANSWER_MAX_CHARACTERS = 200;

/** @throws {Error} with a sentence, when it is not taken with a status of 2xx */
export async function postJson(url: URL, body: unknown, { isDenied, signal }: PostOptions): Promise<void> {
  const { hostname, protocol, port, pathname, search } = url;
  const address = await addressOf(hostname);
  if (isDenied(address)) {
    throw new Error(
      `${hostname} is ${address}, which is closed to functions and alerts; FLUXBASE_FUNCTIONS_EGRESS_ALLOW opens it`,
    );
  }
  const text = JSON.stringify(body);
  const isSecure = protocol === "https:";
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]);
  const { status, answer } = await new Promise<{ status: number; answer: string }>((resolve, reject) => {
    const sent = (isSecure ? requestHttps : requestHttp)({
      host: address,
      servername: isIP(hostname) === 0 ? hostname : undefined,
      port: port === "" ? isSecure ? 443 : 80 : Number(port),
      path: pathname + search,
      method: "POST",
      agent: false,
      headers: {
        host: url.host,
        "content-type": "application/json",
        "content-length": String(new TextEncoder().encode(text).length),
        "user-agent": "fluxbase-alerts",
        connection: "close",
      },
      signal: deadline,
    }, (response) => {
      let answer = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        answer += chunk.slice(0, ANSWER_MAX_CHARACTERS);
        if (answer.length < ANSWER_MAX_CHARACTERS) return;
        resolve({ status: response.statusCode ?? 0, answer });
        response.destroy();
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, answer }));
      response.on("error", reject);
    });
    sent.on("error", reject);
    deadline.addEventListener("abort", () => {
      reject(new Error(`no answer within ${TIMEOUT_MS / 1_000} s`));
      sent.destroy();
    }, { once: true });
    sent.end(text);
  });
  if (status < 200 || status > 299) {
    throw new Error(`it answered ${status} ${answer.slice(0, ANSWER_MAX_CHARACTERS).replaceAll(/\s+/g, " ")}`.trim());
  }
}

/** IPv4 only, as for functions. */
async function addressOf(hostname: string): Promise<string> {
  const literal = hostname.replace(/^\[|\]$/g, "");
  if (isIP(literal) === 4) return literal;
  if (isIP(literal) === 6) throw new Error("IPv6 addresses are closed to functions and alerts");
  try {
    return (await lookup(literal, { family: 4 })).address;
  } catch {
    throw new Error(`there is no IPv4 address of ${hostname}`);
  }
}
